from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from release.errors import SealError
from release.folder import asset_of, replace_file
from release.model import AssetKind


def test_a_file_is_replaced_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"

    replace_file(path, b"one")
    replace_file(path, b"two")

    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SealError, match="No space left on device") as caught:
        replace_file(path, b"new")

    assert caught.value.where == str(path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_asset_is_described_as_it_lies_there(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"{}")

    found = asset_of(path, AssetKind.REPORT)

    assert (found.name, found.size, found.sha256) == ("report.json", 2, hashlib.sha256(b"{}").hexdigest())


def test_an_asset_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="No such file") as caught:
        asset_of(tmp_path / "report.json", AssetKind.REPORT)

    assert caught.value.where == str(tmp_path / "report.json")


def test_what_a_kill_leaves_half_made_is_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = tmp_path / "release"

    class Killed(BaseException):
        pass

    def killed(descriptor: int) -> None:
        # As after SIGKILL: what lies there now stays.
        assert [entry.name.startswith(".file.") for entry in half.iterdir()] == [True]
        assert sorted(tmp_path.iterdir()) == [half]
        raise Killed

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(Killed):
        replace_file(tmp_path / "file", b"new", half=half)


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_an_asset_that_is_no_plain_file_is_refused_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "report.html"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")

    with pytest.raises(SealError, match="cannot be read"):
        asset_of(path, AssetKind.REPORT)
