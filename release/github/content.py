"""What lies on the other side, byte by byte: downloads are hashed as they pass and never outgrow their size."""

from __future__ import annotations

__all__ = ["Arrived", "arrive", "fetch", "sha256_of"]

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from release.github.remote import Fault, Remote, RemoteAsset, RemoteError
from release.github.retry import Budget, upload_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """What a download gave; ``size`` is one chunk too large at most."""

    size: int
    sha256: str


def arrive(remote: Remote, asset: RemoteAsset, *, expected: int, budget: Budget, into: Path | None = None) -> Arrived:
    """Download an asset and hash it, keeping nothing in memory.

    Args:
        remote: Where it lies.
        asset: What to download.
        expected: The size it must have. What is longer is cut off, since nothing after that can make it right.
        budget: The time of the whole phase; the download has its own by its size, and never more than is left.
        into: A file to write it to as well.

    Raises:
        RemoteError: The download failed, or fewer bytes came; to some servers a broken connection is just an end.
    """
    digest, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(into.open("wb")) if into is not None else None
        for chunk in stack.enter_context(_stream(remote, asset, expected, budget)):
            size += len(chunk)
            digest.update(chunk)
            if sink is not None:
                sink.write(chunk)
            if size > expected:
                break
    if size < expected:
        raise RemoteError(Fault.NETWORK, f"download {asset.name}", f"only {size} of {expected} bytes came")
    return Arrived(size=size, sha256=digest.hexdigest())


def fetch(remote: Remote, asset: RemoteAsset, *, limit: int, budget: Budget) -> bytes | None:
    """Download a small asset of unknown content; None if it is longer than it may be."""
    data = bytearray()
    with _stream(remote, asset, limit, budget) as chunks:
        for chunk in chunks:
            data += chunk
            if len(data) > limit:
                return None
    if len(data) < asset.size:
        raise RemoteError(Fault.NETWORK, f"download {asset.name}", f"only {len(data)} of {asset.size} bytes came")
    return bytes(data)


def sha256_of(path: Path) -> str:
    """Hash a file of ours."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def _stream(remote: Remote, asset: RemoteAsset, size: int, budget: Budget) -> Iterator[Iterator[bytes]]:
    """Download, and close the connection even if only a part was wanted."""
    chunks = remote.download(asset, seconds=budget.part(upload_seconds(size)))
    try:
        yield chunks
    finally:
        close = getattr(chunks, "close", None)  # generators have one; the protocol promises an iterator only
        if close is not None:
            close()
