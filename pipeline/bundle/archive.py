"""Write a ``.tar.zst`` whose bytes depend on nothing but the content, the time given and the zstd library.

Names are sorted, owners are 0 and nameless, modes are 0755 or 0644, and the time is the source's commit time. zstd is
used with worker threads: its output is the same for any number of workers from one on (llamatrix tests that), so a
machine with more cores packs faster and gives the same bytes. Everything is streamed, and both digests are taken in
the same pass. Reading is in ``pipeline.bundle.reading`` and offered here as well.
"""

from __future__ import annotations

__all__ = ["measure", "pack", "read_member", "unpack"]

import os
import tarfile
from typing import IO, TYPE_CHECKING

import zstandard

from pipeline.bundle.digest import Digest
from pipeline.bundle.members import Kind, Member, check_top, survey
from pipeline.bundle.reading import measure, read_member, unpack
from pipeline.errors import BundleError
from pipeline.model import Bundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_MAX_WORKERS = 8  # each one holds several windows: at level 19 that is some 100 MB


def pack(root: Path, dest: Path, *, top: str, level: int, mtime: int) -> Bundle:
    """Pack everything below ``root`` into ``dest`` under the one folder ``top``.

    Args:
        root: The staging folder; it becomes ``top``.
        dest: The archive. It appears complete or not at all.
        top: The name of the top folder.
        level: The zstd level.
        mtime: The time of every member, seconds since the epoch.

    Returns:
        The archive with its sizes and digests.

    Raises:
        BundleError: The folder holds something that may not be packed, or it changed meanwhile.
    """
    check_top(top)
    if not 1 <= level <= zstandard.MAX_COMPRESSION_LEVEL:
        msg = f"zstd has no level {level}"
        raise BundleError(msg, where=str(dest), hint=f"use 1 to {zstandard.MAX_COMPRESSION_LEVEL}")
    members = survey(root)
    headers = [_header(top, None, int(mtime)), *(_header(top, member, int(mtime)) for member in members)]
    total = sum(map(len, headers)) + sum(_padded(member.size) for member in members) + 2 * _BLOCK
    end = 2 * _BLOCK + -total % tarfile.RECORDSIZE
    total += end - 2 * _BLOCK

    dest.parent.mkdir(parents=True, exist_ok=True)
    # One fixed name: what a killed run leaves behind is overwritten by the next one.
    partial = dest.with_name(f".{dest.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with partial.open("xb") as file, Digest() as packed, Digest() as plain:
            compressor = _compressor(level).compressobj(size=total)
            for block in _blocks(_pieces(headers, members, end)):
                plain.feed(block)
                _write(file, packed, compressor.compress(block))
            _write(file, packed, compressor.flush())
            size = file.tell()
            file.flush()
            os.fsync(file.fileno())
            sha256, tar_sha256 = packed.hexdigest(), plain.hexdigest()
        partial.replace(dest)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(dest.parent)
    return Bundle(
        path=dest,
        top=top,
        size=size,
        unpacked_size=sum(member.size for member in members),
        sha256=sha256,
        tar_sha256=tar_sha256,
        files=sum(member.kind is Kind.FILE for member in members),
    )


def _compressor(level: int, workers: int | None = None) -> zstandard.ZstdCompressor:
    # At least one worker, always: without any, zstd cuts the input differently and the bytes differ.
    count = max(1, min(workers or os.cpu_count() or 1, _MAX_WORKERS))
    parameters = zstandard.ZstdCompressionParameters.from_level(level, threads=count, write_checksum=True)
    return zstandard.ZstdCompressor(compression_params=parameters)


def _header(top: str, member: Member | None, mtime: int) -> bytes:
    info = tarfile.TarInfo(top if member is None else f"{top}/{member.name}")
    info.mtime = mtime
    info.mode = 0o644
    if member is None or member.kind is Kind.FOLDER:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    elif member.kind is Kind.LINK:
        # Exactly as it is: llama.cpp b9165 was unusable because tar rewrote link targets (#23115).
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, member.target, 0o755
    else:
        info.size = member.size
        if member.executable:
            info.mode = 0o755
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _padded(size: int) -> int:
    return size + -size % _BLOCK


def _pieces(headers: Iterable[bytes], members: tuple[Member, ...], end: int) -> Iterator[bytes]:
    remaining = iter(headers)
    yield next(remaining)
    for header, member in zip(remaining, members, strict=True):
        yield header
        if member.kind is Kind.FILE:
            yield from _content(member)
    yield bytes(end)


def _content(member: Member) -> Iterator[bytes]:
    left = member.size
    with member.path.open("rb", buffering=0) as file:
        while left and (piece := file.read(min(_CHUNK, left))):
            left -= len(piece)
            yield piece
        if left or file.read(1):
            msg = "the file changed while it was packed"
            raise BundleError(msg, where=member.name, hint="let the build end before its files are packed")
    yield bytes(-member.size % _BLOCK)


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces: a hand-over between threads costs more than a copy."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _write(file: IO[bytes], digest: Digest, data: bytes) -> None:
    if data:
        digest.feed(data)
        file.write(data)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
