"""Files that appear whole or not at all."""

from __future__ import annotations

__all__ = ["replace_whole"]

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace_whole(path: Path, data: bytes, *, half: Path | None = None) -> None:
    """Write a file in one step: after a kill it holds its old content or the new one, never a part.

    Args:
        path: The file; everybody may read it.
        data: Its content.
        half: The folder it lies in until it is whole, on the same file system; by default beside it.

    Raises:
        OSError: It cannot be written; the old content stays, and nothing half-made.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent if half is None else half)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)  # mkstemp keeps files to their owner, and these are to be read
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
