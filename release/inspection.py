"""One archive as its own bytes show it: read once from end to end, hashed on the way, never unpacked.

The packed bytes are hashed in a thread of their own while this one decompresses and hashes the members, so that a
seal of 10 GiB costs little more than hashing the files. Memory stays flat however large the archive is.
"""

from __future__ import annotations

__all__ = ["inspect"]

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.bundle.info import INFO_NAME, BuildInfo
from pipeline.bundle.members import Kind
from pipeline.bundle.reading import opened_tar
from pipeline.errors import BundleError
from release.model import FileDigest, Inspection, LinkEntry

MAX_INFO = 1 << 20
"""The most BUILD_INFO.json may have; real ones have some 3 kB."""


def inspect(archive: Path) -> Inspection:
    """Read all of ``archive``: its digest and sizes, every file inside with its digest, and BUILD_INFO.json.

    Raises:
        BundleError: The archive is damaged, hostile, or has no usable BUILD_INFO.json.
    """
    files: list[FileDigest] = []
    links: list[LinkEntry] = []
    info: bytes | None = None
    with opened_tar(archive) as tar:
        for entry in tar.reader.members():
            if entry.kind is Kind.LINK:
                links.append(LinkEntry(path=entry.name, target=entry.target))
            elif entry.kind is Kind.FILE:
                content = tar.reader.content()
                if entry.name == INFO_NAME:
                    info = _small(content, entry.size, archive)
                    digest = hashlib.sha256(info).hexdigest()
                else:
                    digest = _digest(content)
                files.append(FileDigest(path=entry.name, size=entry.size, sha256=digest))
        size, sha256 = tar.size, tar.sha256()
    if info is None:
        msg = f"it holds no {INFO_NAME}, so nothing says what it is"
        raise BundleError(msg, where=str(archive), hint="build it again with this llamatrix")
    return Inspection(
        path=archive,
        top=tar.reader.top,
        size=size,
        unpacked_size=sum(file.size for file in files),
        sha256=sha256,
        files=tuple(files),
        links=tuple(links),
        info=_parsed(info, archive),
    )


def _digest(content: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for piece in content:
        found.update(piece)
    return found.hexdigest()


def _small(content: Iterator[bytes], size: int, archive: Path) -> bytes:
    if size > MAX_INFO:
        msg = f"its {INFO_NAME} has {size} bytes, more than {MAX_INFO}"
        raise BundleError(msg, where=str(archive), hint="the archive was not made by llamatrix")
    return b"".join(content)


def _parsed(data: bytes, archive: Path) -> BuildInfo:
    try:
        return BuildInfo.from_json(data)
    except BundleError as error:
        raise BundleError(error.what, where=f"{archive}: {INFO_NAME}", hint=error.hint) from error
