"""Opening small files that others may have made: never a pipe that hangs, never more bytes than there can be."""

from __future__ import annotations

__all__ = ["open_regular", "read_small"]

import os
import stat
from io import BufferedReader
from pathlib import Path


def open_regular(path: Path, *, follow: bool = True) -> BufferedReader:
    """Open a regular file for reading.

    Without O_NONBLOCK a named pipe put in the file's place would block the open for ever.

    Raises:
        OSError: It cannot be opened, or is no regular file. ``strerror`` is fit for people.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "not a regular file")  # noqa: TRY301  closed below like every other failure
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_small(source: BufferedReader, limit: int) -> bytes | None:
    """Read a file of at most ``limit`` bytes; None if it is larger, of which no more than one byte over is read."""
    data = source.read(limit + 1)
    return data if len(data) <= limit else None
