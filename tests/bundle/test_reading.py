from __future__ import annotations

import contextlib
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.bundle import reading
from pipeline.bundle.archive import measure, read_member, unpack
from pipeline.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


def folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info


def file(name: str, size: int = 3, mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar(*members: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as writer:
        for member in members:
            writer.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "bundle.tar.zst"
    path.write_bytes(zstandard.ZstdCompressor(level=1).compress(data))
    return path


HOSTILE = {
    "an absolute name": ([folder("t"), file("/etc/passwd")], "is not relative"),
    "a name that climbs": ([folder("t"), file("t/../../x")], "'..' part"),
    "a name with a backslash": ([folder("t"), file("t/a\\b")], "backslash"),
    "a name with a control character": ([folder("t"), file("t/a\x1b[31m")], "control characters"),
    "a second top folder": ([folder("t"), folder("u")], "more than one top folder: 't' and 'u'"),
    "a file outside": ([file("t")], "t lies outside a top folder"),
    "a file twice": ([folder("t"), file("t/a"), file("t/a")], "t/a is there twice"),
    "a folder twice": ([folder("t"), folder("t")], "t is there twice"),
    "an unlisted folder": ([folder("t"), file("t/d/a")], "the folder of t/d/a is not listed before it"),
    "a file as folder": ([folder("t"), file("t/d"), file("t/d/a")], "the folder of t/d/a"),
    "a link as folder": ([folder("t"), link("t/d", "e"), file("t/d/a")], "the folder of t/d/a"),
    "a link out": ([folder("t"), link("t/d", "../../etc")], "d: the link points to '../../etc', outside the bundle"),
    "a link to the root": ([folder("t"), link("t/d", "/etc")], "which is not relative"),
    "a link through a name": ([folder("t"), link("t/d", "e/../../..")], "'..' part"),
    "an empty link": ([folder("t"), link("t/d", "")], "which is not relative"),
    "a hard link": ([folder("t"), link("t/d", "t/a", tarfile.LNKTYPE)], "neither a file, a folder nor a symbolic link"),
    "a device": ([folder("t"), link("t/d", "", tarfile.CHRTYPE)], "neither a file"),
    "a pipe": ([folder("t"), link("t/d", "", tarfile.FIFOTYPE)], "neither a file"),
    "a set-user-id file": ([folder("t"), file("t/a", mode=0o4755)], "t/a has the set-user-id"),
    "nothing": ([], "it is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses(tmp_path: Path, case: str) -> None:
    members, message = HOSTILE[case]
    path = write(tmp_path, tar(*members))

    for read in (lambda: unpack(path, tmp_path / "out"), lambda: measure(path)):
        with pytest.raises(BundleError) as caught:
            read()
        assert message in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []
    assert [found.name for found in sorted(tmp_path.iterdir())] == ["bundle.tar.zst", "out"]


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda data: data[:700], "it ends too early"),
        (lambda data: data[:1100], "it ends in the middle of a file"),
        (lambda data: data[:2048], "it ends too early"),
        (lambda data: data[:2560], "it ends too early"),
        (lambda data: data + b"more", "there is data behind its end"),
        (lambda data: data[:100] + b"\xff" + data[101:], "a header is damaged"),
        (lambda data: data[:1024] + bytes(512) + data[1024:], "a header is damaged: bad checksum"),
        (lambda data: data[:512] + bytes(1024) + data[512:], "there is data behind its end"),
        (lambda data: bytes(512) + data, "a single empty block stands between its members"),
    ],
)
def test_refuses_a_damaged_tar(tmp_path: Path, cut: object, message: str) -> None:
    data = cut(tar(folder("t"), file("t/a", 600)))  # type: ignore[operator]

    with pytest.raises(BundleError, match=message):
        measure(write(tmp_path, data))


@pytest.mark.parametrize("data", [b"", b"not zstd", zstandard.ZstdCompressor().compress(b"x" * 9999)[:-7]])
def test_refuses_what_is_not_zstd(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bundle.tar.zst"
    path.write_bytes(data)

    for read in (lambda: measure(path), lambda: unpack(path, tmp_path / "out"), lambda: read_member(path, "a")):
        with pytest.raises(BundleError, match=r"it ends too early|not readable as zstd"):
            read()


def test_refuses_garbage_behind_the_archive(tmp_path: Path) -> None:
    path = write(tmp_path, tar(folder("t"), file("t/a")))
    path.write_bytes(path.read_bytes() + b"garbage")

    with pytest.raises(BundleError, match="not readable as zstd"):
        measure(path)


def test_refuses_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="it cannot be read: No such file"):
        measure(tmp_path / "gone")


def test_caps_bytes_members_and_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, tar(folder("t"), *(file(f"t/{name}", 5000) for name in "abc")))

    with pytest.raises(BundleError, match="it unpacks to more than 12000 bytes"):
        unpack(path, tmp_path / "out", max_bytes=12_000)
    with pytest.raises(BundleError, match="it has more than 3 members"):
        unpack(path, tmp_path / "out", max_members=3)
    monkeypatch.setattr(reading, "_MAX_MEMBER_READ", 100)
    with pytest.raises(BundleError, match=r"a is too large to be read as a whole \(5000 bytes\)"):
        read_member(path, "a")


def test_caps_what_follows_the_end(tmp_path: Path) -> None:
    path = write(tmp_path, tar(folder("t"), file("t/a")) + bytes(1 << 22))

    with pytest.raises(BundleError, match="it unpacks to more than 9000 bytes"):
        unpack(path, tmp_path / "out", max_bytes=9000)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"99 path=x\n", "an extended header is damaged"),
        (b"path=x\n", "an extended header is damaged"),
        (b"9 path=xx", "an extended header is damaged"),
        (b"10 path=\xff\n", "an extended header is not UTF-8|is damaged"),
        (b"9 path=\xff\n", "an extended header is not UTF-8"),
        (b"9999999999999999999 path=x\n", "an extended header is damaged"),
        (b"", "an extended header has an impossible size"),
        (b"x" * 70_000, "an extended header has an impossible size"),
        (b"11 size=-5\n", "'t/a' has an impossible size"),
    ],
)
def test_refuses_a_damaged_extended_header(tmp_path: Path, record: bytes, message: str) -> None:
    head = tarfile.TarInfo("t/pax")
    head.type, head.size = tarfile.XHDTYPE, len(record)
    data = tar(folder("t"))[:512] + head.tobuf() + record + bytes(-len(record) % 512) + tar(file("t/a"))

    with pytest.raises(BundleError, match=message):
        measure(write(tmp_path, data))


def test_refuses_a_folder_with_content(tmp_path: Path) -> None:
    odd = folder("t/d")
    odd.size = 512
    data = tar(folder("t"))[:512] + odd.tobuf() + bytes(2048)

    with pytest.raises(BundleError, match=r"'t/d/?' has an impossible size"):
        measure(write(tmp_path, data))


def test_reads_what_gnu_tar_writes_of_plain_names(tmp_path: Path) -> None:
    path = write(tmp_path, tar(folder("t"), folder("t/d"), file("t/d/a"), link("t/l", "d/a"), form=tarfile.GNU_FORMAT))

    bundle = measure(path)

    assert (bundle.top, bundle.files, bundle.unpacked_size) == ("t", 1, 3)


def test_never_unpacks_over_something(tmp_path: Path) -> None:
    path = write(tmp_path, tar(folder("t"), file("t/a")))
    unpack(path, tmp_path / "out")

    with pytest.raises(BundleError, match="already exists"):
        unpack(path, tmp_path / "out")
    assert (tmp_path / "out" / "t" / "a").read_bytes() == b"xxx"


GOOD = tar(folder("t"), folder("t/d"), file("t/d/" + "n" * 120, 700), link("t/l", "d"), file("t/z"))


@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=3)), max_size=6),
    st.integers(0, len(GOOD)),
    st.binary(max_size=40),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_read_or_is_our_error(tmp_path: Path, changes: list[tuple[int, bytes]], cut: int, raw: bytes) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at : at + len(value)] = value
    path = write(tmp_path, bytes(data[: len(data) - cut // 4]))
    with contextlib.suppress(BundleError):
        measure(path)
    path.write_bytes(raw)
    with contextlib.suppress(BundleError):
        measure(path)
