"""The release's folder: assets lie flat in dist/<version>/, and every file appears whole or not at all."""

from __future__ import annotations

__all__ = ["OWN_FOLDER", "asset_of", "replace_file"]

import hashlib
from pathlib import Path

from pipeline.atomic import replace_whole
from release.errors import SealError
from release.keys.files import open_regular
from release.model import Asset, AssetKind

OWN_FOLDER = "release"
"""Below dist/<version>/: what publishing keeps for itself (state, notes, the previous manifest); never an asset."""


def replace_file(path: Path, data: bytes, *, half: Path | None = None) -> None:
    """Write a file in one step: after a kill it holds its old content or the new one, never a part.

    Args:
        path: The file.
        data: Its content.
        half: Where it lies until it is whole, on the same file system; by default beside it. What a kill leaves there
            nobody removes.
    """
    try:
        beside = path.parent if half is None else half
        beside.mkdir(parents=True, exist_ok=True)
        replace_whole(path, data, half=beside)
    except OSError as error:
        msg = f"it cannot be written: {error.strerror or error}"
        raise SealError(msg, where=str(path), hint="make room, or check the folder's permissions") from error


def asset_of(path: Path, kind: AssetKind) -> Asset:
    """Describe a file as it lies there; it is read once. A link or a pipe is none: it could be read without end."""
    try:
        with open_regular(path, follow=False) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        msg = f"it cannot be read: {error.strerror or error}"
        raise SealError(msg, where=str(path), hint="run build-matrix again: it writes the reports") from error
    return Asset(name=path.name, path=path, size=size, sha256=digest, kind=kind)
