"""SHA-256 beside other work: hashlib releases the interpreter, so a thread hashes while the caller compresses."""

from __future__ import annotations

__all__ = ["Digest"]

import hashlib
import queue
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_QUEUED = 8  # blocks waiting at most, so that memory stays flat however large the archive is


class Digest:
    """A running SHA-256 fed from one thread and computed in another; use it as a context manager."""

    def __init__(self) -> None:
        """Prepare; the thread starts on entry."""
        self._hash = hashlib.sha256()
        self._blocks: queue.Queue[bytes | None] = queue.Queue(maxsize=_QUEUED)
        self._thread = threading.Thread(target=self._work, name="digest", daemon=True)
        self._ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def feed(self, block: bytes) -> None:
        """Hash ``block`` after everything fed so far."""
        if block:
            self._blocks.put(block)

    def hexdigest(self) -> str:
        """Wait for the thread and give the digest; nothing can be fed afterwards."""
        self._end()
        return self._hash.hexdigest()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._blocks.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._hash.update(block)
