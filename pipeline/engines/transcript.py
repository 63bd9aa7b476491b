"""What a job prints: raw bytes in, whole lines out, a bounded log file and a tail for the report.

Output is hostile by assumption: any encoding, no newline for gigabytes, progress bars made of carriage returns,
escape sequences that would move the reader's cursor. Nothing of that may grow memory or disk without a bound.
"""

from __future__ import annotations

__all__ = ["Transcript"]

import re
from collections import deque
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from pipeline.engines.base import LineSink

_LINE_LIMIT = 16 * 1024
_LOG_LIMIT = 64 * 1024 * 1024
_TAIL_LINES = 40
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Transcript:
    """Splits bytes into lines for a log file, a sink and a tail.

    The log never grows past ``log_limit``: when it would, its older half is dropped and a first line says how much.
    """

    def __init__(
        self,
        log: Path,
        on_line: LineSink,
        *,
        log_limit: int = _LOG_LIMIT,
        line_limit: int = _LINE_LIMIT,
    ) -> None:
        """Create or empty ``log``; ``on_line`` gets every line as it is completed."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._file = log.open("w+b")
        self._on_line = on_line
        self._log_limit = log_limit
        self._line_limit = line_limit
        self._size = 0
        self._dropped = 0
        self._pending = bytearray()
        self._cut = 0
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def __enter__(self) -> Self:
        """Give the transcript itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the log."""
        self.close()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines so far."""
        return tuple(self._tail)

    @property
    def last(self) -> str:
        """The last line with something on it, or nothing."""
        return next((line.strip() for line in reversed(self._tail) if line.strip()), "")

    def feed(self, data: bytes) -> None:
        """Take output as it comes, in pieces of any size."""
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._append(piece)
            self._end_line()
        self._append(rest)
        self._file.flush()

    def note(self, line: str) -> None:
        """Add a line of our own, after whatever the job left unfinished."""
        self._finish()
        self._emit(line)
        self._file.flush()

    def close(self) -> None:
        """Write the last, unfinished line and close the log."""
        if not self._file.closed:
            try:
                self._finish()
            finally:
                self._file.close()

    def _append(self, piece: bytes) -> None:
        # Only what follows the last carriage return would be left on a terminal. One at the very end may belong to
        # a CRLF, so it stays until more is known.
        start = piece.rfind(b"\r", 0, len(piece) - 1) + 1
        if start or (piece and self._pending.endswith(b"\r")):
            self._pending.clear()
            self._cut = 0
        room = self._line_limit - len(self._pending)
        kept = piece[start : start + max(room, 0)]
        self._pending += kept
        self._cut += len(piece) - start - len(kept)

    def _finish(self) -> None:
        if self._pending or self._cut:
            self._end_line()

    def _end_line(self) -> None:
        text = bytes(self._pending).rstrip(b"\r").decode("utf-8", errors="replace")
        cut, self._cut = self._cut, 0
        self._pending.clear()
        if not text.isprintable():
            text = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text))
        self._emit(f"{text} [cut {cut} bytes]" if cut else text)

    def _emit(self, line: str) -> None:
        raw = line.encode() + b"\n"
        if self._size + len(raw) > self._log_limit:
            self._halve()
        self._file.write(raw)
        self._size += len(raw)
        self._tail.append(line)
        self._on_line(line)

    def _halve(self) -> None:
        self._file.seek(max(self._size - self._log_limit // 2, 0))
        _, _, kept = self._file.read().partition(b"\n")
        self._dropped += self._size - len(kept)
        head = f"[the log was too long: about {self._dropped} bytes before this line were dropped]\n".encode()
        self._file.seek(0)
        self._file.truncate()
        self._file.write(head + kept)
        self._size = len(head) + len(kept)
