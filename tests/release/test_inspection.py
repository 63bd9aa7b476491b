"""Every number of an inspection is checked against the archive unpacked by another reader."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard

from pipeline.bundle.info import BuildInfo
from pipeline.bundle.reading import measure
from pipeline.errors import BundleError
from pipeline.matrix.expand import expand
from release.inspection import MAX_INFO, inspect
from release.model import FileDigest, LinkEntry
from tests.release.builders import load_matrix, make_archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    matrix = load_matrix()
    return make_archive(tmp_path, matrix, expand(matrix).cells[0])


def tarball(path: Path, files: dict[str, bytes]) -> Path:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        top = tarfile.TarInfo("top")
        top.type = tarfile.DIRTYPE
        tar.addfile(top)
        for name, content in files.items():
            info = tarfile.TarInfo(f"top/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(zstandard.ZstdCompressor().compress(stream.getvalue()))
    return path


def test_what_it_finds_is_what_another_reader_finds(archive: Path) -> None:
    found = inspect(archive)
    packed = archive.read_bytes()
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    files, links = [], []
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        for member in tar.getmembers():
            name = member.name.partition("/")[2]
            if member.issym():
                links.append(LinkEntry(path=name, target=member.linkname))
            elif member.isfile():
                stream = tar.extractfile(member)
                assert stream is not None
                digest = hashlib.sha256(stream.read()).hexdigest()
                files.append(FileDigest(path=name, size=member.size, sha256=digest))

    assert found.path == archive
    assert found.top == archive.name.removesuffix(".tar.zst")
    assert (found.size, found.sha256) == (len(packed), hashlib.sha256(packed).hexdigest())
    assert found.files == tuple(files)
    assert found.links == tuple(links) == (LinkEntry(path="libllama.so.0", target="libllama.so"),)
    assert found.unpacked_size == sum(file.size for file in files)
    assert found.info.variant == "cpu"


def test_it_agrees_with_what_packing_measures(archive: Path) -> None:
    found, measured = inspect(archive), measure(archive)

    assert (found.size, found.unpacked_size, found.sha256, found.top, len(found.files)) == (
        measured.size,
        measured.unpacked_size,
        measured.sha256,
        measured.top,
        measured.files,
    )


def test_build_info_is_hashed_like_every_other_file(archive: Path) -> None:
    found = inspect(archive)
    info = next(file for file in found.files if file.path == "BUILD_INFO.json")

    assert info.sha256 == hashlib.sha256(found.info.to_json()).hexdigest()


def test_all_of_the_file_is_hashed_also_what_stands_behind_the_archive(archive: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"extra"
    with archive.open("ab") as stream:
        stream.write(skippable)

    found = inspect(archive)

    assert found.size == archive.stat().st_size
    assert found.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_it_says_when_the_file_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="it cannot be read: No such file"):
        inspect(tmp_path / "gone.tar.zst")


def test_it_refuses_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(b"not zstd at all")

    with pytest.raises(BundleError, match="not readable as zstd"):
        inspect(path)


@pytest.mark.parametrize("cut", [10, 1000, -100])
def test_it_refuses_a_cut_archive(archive: Path, cut: int) -> None:
    archive.write_bytes(archive.read_bytes()[:cut])

    with pytest.raises(BundleError):
        inspect(archive)


def test_every_flipped_byte_is_seen(archive: Path) -> None:
    good = inspect(archive)
    packed = archive.read_bytes()
    for at in range(0, len(packed), max(1, len(packed) // 40)):
        archive.write_bytes(packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :])
        try:
            found = inspect(archive)
        except BundleError:
            continue
        assert found.sha256 != good.sha256


def test_it_needs_build_info(tmp_path: Path) -> None:
    path = tarball(tmp_path / "a.tar.zst", {"llama-cli": b"program"})

    with pytest.raises(BundleError, match=r"it holds no BUILD_INFO\.json, so nothing says what it is"):
        inspect(path)


def test_build_info_further_down_is_another_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("top", "top/sub"):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
        info = tarfile.TarInfo("top/sub/BUILD_INFO.json")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    path = tmp_path / "a.tar.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(stream.getvalue()))

    with pytest.raises(BundleError, match=r"it holds no BUILD_INFO\.json"):
        inspect(path)


def test_a_large_build_info_is_not_read(tmp_path: Path) -> None:
    path = tarball(tmp_path / "a.tar.zst", {"BUILD_INFO.json": b" " * (MAX_INFO + 1)})

    with pytest.raises(BundleError, match=r"its BUILD_INFO\.json has 1048577 bytes"):
        inspect(path)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"project": 1}', b"\xff", b"[" * 100_000])
def test_a_bad_build_info_is_named(tmp_path: Path, content: bytes) -> None:
    path = tarball(tmp_path / "a.tar.zst", {"BUILD_INFO.json": content})

    with pytest.raises(BundleError) as caught:
        inspect(path)
    assert caught.value.where == f"{path}: BUILD_INFO.json"


def test_an_unknown_key_in_build_info_is_refused(archive: Path, tmp_path: Path) -> None:
    info = json.loads(inspect(archive).info.to_json())
    BuildInfo.from_mapping(info)
    info["surprise"] = 1
    path = tarball(tmp_path / "b.tar.zst", {"BUILD_INFO.json": json.dumps(info).encode()})

    with pytest.raises(BundleError, match="surprise"):
        inspect(path)
