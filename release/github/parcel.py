"""A file on its way to GitHub: one open file, read in blocks, never more of it in memory."""

from __future__ import annotations

__all__ = ["Parcel"]

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from release.errors import PublishError

BLOCK = 256 * 1024  # what one send takes; with urllib3's own 16 KiB it is several times slower than curl
_HEARTBEAT = 60.0


class Parcel:
    """A file on its way: read in blocks, held to the size it had when it was sealed, with a sign of life each minute.

    requests takes ``len()`` of it for the Content-Length, and ``__iter__`` as the sign that it is a stream.
    """

    def __init__(
        self,
        path: Path,
        size: int,
        *,
        say: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file; PublishError if it is not there, or not of that size."""
        self.size = size
        self._path = path
        self._sent = 0
        self._say = say
        self._clock = clock
        self._start = self._said = clock()
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from error
        found = os.fstat(self._file.fileno()).st_size
        if found != size:
            self._file.close()
            raise self._changed(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(BLOCK):
            yield block

    def read(self, size: int = BLOCK) -> bytes:
        """Give the next block."""
        try:
            block = self._file.read(size)
        except OSError as error:  # not as an OSError: requests would take it for one of the connection
            raise self._unreadable(error) from error
        self._sent += len(block)
        if self._sent > self.size or (not block and self._sent < self.size):
            raise self._changed(self._sent)
        now = self._clock()
        if now - self._said >= _HEARTBEAT:
            self._said = now
            sent, total, spent = self._sent // 10**6, self.size // 10**6, round(now - self._start)
            self._say(f"uploading {self._path.name}: {sent} of {total} MB in {spent} s")
        return block

    def _changed(self, found: int) -> PublishError:
        what = f"the file has {found} bytes and was sealed with {self.size}"
        return PublishError(what, where=str(self._path), hint="something changes dist/ meanwhile: seal again")

    def _unreadable(self, error: OSError) -> PublishError:
        return PublishError(f"cannot be read: {error.strerror}", where=str(self._path), hint="seal again")
