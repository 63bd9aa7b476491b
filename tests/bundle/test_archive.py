from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
import zstandard

from pipeline.bundle import archive
from pipeline.bundle.archive import measure, pack, read_member, unpack
from pipeline.bundle.members import survey
from pipeline.errors import BundleError
from pipeline.model import Bundle

EPOCH = 1790820708
TOP = "llama.cpp-1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    (folder / "licenses").mkdir(parents=True)
    (folder / "licenses" / "LICENSE").write_text("MIT\n")
    (folder / "libx.so.1").write_bytes(b"x" * 3000)
    (folder / "libx.so.1").chmod(0o700)
    (folder / "libx.so").symlink_to("libx.so.1")
    (folder / "Füllung").write_bytes(bytes(range(256)) * 9)
    (folder / ("n" * 140)).write_text("a name that does not fit into a plain header")
    return folder


def packed(root: Path, name: str = "a.tar.zst", *, level: int = 3, mtime: int = EPOCH) -> Bundle:
    return pack(root, root.parent / name, top=TOP, level=level, mtime=mtime)


def plain(path: Path) -> bytes:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        data: bytes = reader.read()
        return data


def test_says_exactly_what_it_wrote(root: Path) -> None:
    bundle = packed(root)

    data = bundle.path.read_bytes()
    assert (bundle.size, bundle.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert bundle.tar_sha256 == hashlib.sha256(plain(bundle.path)).hexdigest()
    assert (bundle.top, bundle.files) == (TOP, 4)
    assert bundle.unpacked_size == sum(
        path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()
    )
    assert measure(bundle.path) == bundle


def test_writes_a_plain_deterministic_tar(root: Path) -> None:
    bundle = packed(root)

    with tarfile.open(fileobj=io.BytesIO(plain(bundle.path))) as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    assert names == [TOP, *sorted(names[1:])]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", EPOCH)}
    modes = {member.name.removeprefix(f"{TOP}/"): member.mode for member in members}
    assert (modes[TOP], modes["licenses"], modes["libx.so.1"], modes["licenses/LICENSE"]) == (
        0o755,
        0o755,
        0o755,
        0o644,
    )
    assert next(member.linkname for member in members if member.issym()) == "libx.so.1"


def test_bytes_depend_on_content_and_time_alone(root: Path, tmp_path: Path) -> None:
    first = packed(root)
    for path in (*root.rglob("*"), root):
        if not path.is_symlink():
            os.utime(path, (1, 1))
    (root / "licenses").chmod(0o700)
    (root / "licenses" / "LICENSE").chmod(0o600)
    second = packed(root, "b.tar.zst")
    later = packed(root, "c.tar.zst", mtime=EPOCH + 1)

    assert first.path.read_bytes() == second.path.read_bytes()
    assert later.tar_sha256 != first.tar_sha256


@pytest.mark.parametrize("level", [1, 3, 12])
def test_bytes_do_not_depend_on_the_number_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    folder = tmp_path / "staging"
    folder.mkdir()
    # Half noise, half repetition, and larger than several of zstd's jobs.
    noise = hashlib.shake_256(b"noise").digest(3 << 20)
    (folder / "large").write_bytes(noise + bytes(9 << 20) + noise)
    found = set()
    for cores in (None, 1, 2, 5):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found.add(packed(folder, level=level).sha256)

    assert len(found) == 1


def test_hard_links_become_files(root: Path) -> None:
    (root / "again").hardlink_to(root / "libx.so.1")

    assert packed(root).files == 5


def test_leaves_nothing_half_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = packed(root)
    before = good.path.read_bytes()
    leftover = good.path.with_name(f".{good.path.name}.partial")
    leftover.write_text("of a run that was killed")

    def broken(member: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "_content", broken)
    with pytest.raises(KeyboardInterrupt):
        packed(root)

    assert good.path.read_bytes() == before
    assert sorted(path.name for path in good.path.parent.iterdir()) == ["a.tar.zst", "staging"]


def test_refuses_a_level_zstd_does_not_know(root: Path) -> None:
    for level in (0, 23):
        with pytest.raises(BundleError, match=f"zstd has no level {level}"):
            packed(root, level=level)


@pytest.mark.parametrize("change", [b"x", b"x" * 5000])
def test_refuses_a_file_that_changes(root: Path, monkeypatch: pytest.MonkeyPatch, change: bytes) -> None:
    def then_change(folder: Path) -> object:
        members = survey(folder)
        (folder / "libx.so.1").write_bytes(change)
        return members

    monkeypatch.setattr(archive, "survey", then_change)
    with pytest.raises(BundleError, match=r"libx\.so\.1: the file changed while it was packed"):
        packed(root)


@pytest.mark.parametrize("top", ["", "a/b", "..", "/a", "a\n"])
def test_refuses_an_odd_top_folder(root: Path, top: str) -> None:
    with pytest.raises(BundleError):
        pack(root, root.parent / "x", top=top, level=1, mtime=0)


def test_unpacks_what_it_packed(root: Path, tmp_path: Path) -> None:
    bundle = packed(root)

    top = unpack(bundle.path, tmp_path / "new")

    assert top == tmp_path / "new" / TOP
    shape = {path.relative_to(top).as_posix() for path in top.rglob("*")}
    assert shape == {path.relative_to(root).as_posix() for path in root.rglob("*")}
    for name in ("libx.so.1", "licenses/LICENSE", "Füllung", "n" * 140):
        assert (top / name).read_bytes() == (root / name).read_bytes()
    assert str((top / "libx.so").readlink()) == "libx.so.1"
    assert stat.S_IMODE((top / "libx.so.1").stat().st_mode) == 0o755
    assert stat.S_IMODE((top / "licenses" / "LICENSE").stat().st_mode) == 0o644


def test_reads_one_member(root: Path) -> None:
    bundle = packed(root)

    assert read_member(bundle.path, "licenses/LICENSE") == b"MIT\n"
    with pytest.raises(BundleError, match=r"a\.tar\.zst: there is no file libx\.so inside"):
        read_member(bundle.path, "libx.so")
