"""What goes on beside an upload: a sign of life every minute, and a second look at the file that is being sent."""

from __future__ import annotations

__all__ = ["Rehash", "heartbeat"]

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

_BLOCK = 1024 * 1024
_EVERY = 60.0


@contextlib.contextmanager
def heartbeat(say: Callable[[str], None], what: str, *, every: float = _EVERY) -> Iterator[None]:
    """Say once a minute that the work in this block still goes on; ``say`` is called from another thread."""
    over = threading.Event()

    def beat() -> None:
        minutes = 0
        while not over.wait(every):
            minutes += 1
            say(f"{what}: still at it after {minutes} min")

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Rehash:
    """Hashes a file while it is being sent: hours may lie between sealing and uploading, and a disk is not a safe.

    Beside the upload it costs no time: the blocks are read once from the disk and twice from memory.
    """

    def __init__(self, path: Path) -> None:
        """Start reading."""
        self._path = path
        self._digest = hashlib.sha256()
        self._error: OSError | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rehash", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def sha256(self) -> str:
        """Wait for the end of the file and give its digest; OSError if it could not be read."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def _run(self) -> None:
        try:
            with self._path.open("rb") as stream:
                while not self._over.is_set() and (block := stream.read(_BLOCK)):
                    self._digest.update(block)
        except OSError as error:
            self._error = error
