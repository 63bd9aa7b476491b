from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bundle.members import Kind, check_link, check_name, survey
from pipeline.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


def test_lists_in_archive_order(tmp_path: Path) -> None:
    for name in ("b/c", "b-c", "a", "b/d/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "a").chmod(0o755)
    (tmp_path / "b" / "up").symlink_to("../a")

    members = survey(tmp_path)

    assert [(member.name, member.kind) for member in members] == [
        ("a", Kind.FILE),
        ("b", Kind.FOLDER),
        ("b/c", Kind.FILE),
        ("b/d", Kind.FOLDER),
        ("b/d/e", Kind.FILE),
        ("b/up", Kind.LINK),
        ("b-c", Kind.FILE),
    ]
    assert [member.name for member in members if member.executable] == ["a"]


@pytest.mark.parametrize("name", ["a\nb", "a\x1b", "a\u202eb", b"a\xff".decode("utf-8", "surrogateescape"), "a\\b"])
def test_names_a_file_with_an_odd_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")

    with pytest.raises(BundleError, match="control characters, a backslash, or is not valid UTF-8") as caught:
        survey(tmp_path)
    assert str(caught.value).isprintable()


def test_names_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "libggml.so").touch()

    with pytest.raises(BundleError, match=r"libggml\.so: the file is empty"):
        survey(tmp_path)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/usr/lib/libggml.so", "which is not relative"),
        ("../libggml.so", "outside the bundle"),
        ("x/../y", r"'\.\.' part"),
        ("x//y", "empty"),
    ],
)
def test_names_a_link_that_leaves(tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(target)

    with pytest.raises(BundleError, match=message):
        survey(tmp_path)


def test_names_pipes_and_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # socket names are short
    os.mkfifo("pipe")
    with pytest.raises(BundleError, match="pipe: it is neither a file, a folder nor a symbolic link"):
        survey(tmp_path)
    (tmp_path / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind("socket")
        with pytest.raises(BundleError, match="socket: it is neither a file"):
            survey(tmp_path)


def test_needs_a_folder_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(BundleError, match="holds no file"):
        survey(tmp_path)
    with pytest.raises(BundleError, match="no staging folder"):
        survey(tmp_path / "gone")


@pytest.mark.parametrize("name", ["", "/a", "a//b", "a/", ".", "a/../b"])
def test_refuses_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(BundleError):
        check_name(name)


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), min_size=1, max_size=6), st.integers(0, 3))
def test_an_accepted_link_stays_inside(parts: list[str], depth: int) -> None:
    name, target = "/".join(["d"] * depth + ["link"]), "/".join(parts)
    try:
        check_link(name, target)
    except BundleError:
        return
    end = os.path.normpath(f"/top/{name.rpartition('/')[0]}/{target}")
    assert (end + "/").startswith("/top/")
    assert ".." not in parts[next((at for at, part in enumerate(parts) if part != ".."), len(parts)) :]
