"""What uploads carry: hashed as it arrives, kept while it is small, never more than one chunk of it held otherwise."""

from __future__ import annotations

__all__ = ["CHUNK", "Bodies", "Body", "Interrupted"]

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Protocol

CHUNK = 1 << 20


class _Reader(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


class Interrupted(Exception):  # noqa: N818 - it is an event on the wire, not somebody's error
    """The client went away in the middle of its body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """The bytes of one asset. ``kept`` holds them, or says where; None: they were too many and only counted."""

    size: int
    sha256: str
    kept: bytes | Path | None

    @property
    def data(self) -> bytes:
        """The whole content, for assertions."""
        match self.kept:
            case bytes():
                return self.kept
            case Path():
                return self.kept.read_bytes()
            case None:
                msg = f"a body of {self.size} bytes was hashed and not kept: raise keep_limit or give a spool folder"
                raise LookupError(msg)

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Stream the content from an offset on."""
        if isinstance(self.kept, Path):
            with self.kept.open("rb") as file:
                file.seek(start)
                while chunk := file.read(CHUNK):
                    yield chunk
            return
        view = memoryview(self.data)
        for offset in range(start, self.size, CHUNK):
            yield bytes(view[offset : offset + CHUNK])


class Bodies:
    """Receives bodies: up to ``keep_limit`` bytes into memory, larger ones into ``spool`` or nowhere."""

    def __init__(self, *, keep_limit: int, spool: Path | None) -> None:
        """Nothing is written unless a spool folder is given."""
        self.keep_limit = keep_limit
        self.spool = spool
        self._spooled = 0

    @staticmethod
    def of(data: bytes) -> Body:
        """Make a body of bytes at hand."""
        return Body(size=len(data), sha256=hashlib.sha256(data).hexdigest(), kept=data)

    def receive(self, stream: _Reader, length: int, *, halfway: Callable[[], None] | None = None) -> Body:
        """Read exactly ``length`` bytes; ``halfway`` is called once, after half of them."""
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(min(CHUNK, max(length, 1))))
        kept = bytearray() if length <= self.keep_limit else None
        middle = length // 2 if halfway is not None else length + 1
        seen = 0
        with ExitStack() as stack:
            path, file = self._file(stack) if kept is None else (None, None)
            while True:
                if halfway is not None and seen >= middle:
                    halfway()
                    middle = length + 1
                if seen == length:
                    break
                want = min(middle, length)
                got = stream.readinto(buffer[: min(len(buffer), want - seen)])
                if not got:
                    if path is not None:
                        path.unlink()
                    raise Interrupted
                chunk = buffer[:got]
                digest.update(chunk)
                if kept is not None:
                    kept += chunk
                elif file is not None:
                    file.write(chunk)
                seen += got
        return Body(size=length, sha256=digest.hexdigest(), kept=path if kept is None else bytes(kept))

    def _file(self, stack: ExitStack) -> tuple[Path, BufferedIOBase] | tuple[None, None]:
        if self.spool is None:
            return None, None
        self._spooled += 1
        path = self.spool / f"body-{self._spooled:04d}"
        return path, stack.enter_context(path.open("wb"))
