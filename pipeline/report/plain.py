"""Plain lines for pipes, files and terminals that cannot move their cursor."""

from __future__ import annotations

__all__ = ["PlainBoard"]

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from pipeline.model import TaskState
from pipeline.report.guard import Guarded, guarded
from pipeline.report.record import RunReport, TaskRecord
from pipeline.report.summary import summary
from pipeline.report.tally import seconds_of
from pipeline.report.text import charset_of, clean, fits, seconds_text

_TAIL = 20
_LIMIT = 300
_LAST = 120
_VERBS = {
    TaskState.DONE: "done",
    TaskState.CACHED: "cached",
    TaskState.FAILED: "FAILED",
    TaskState.BLOCKED: "blocked",
    TaskState.CANCELLED: "cancelled",
    TaskState.NOT_RUN: "not run",
}


@dataclass(kw_only=True, slots=True)
class _Running:
    began: float
    deadline: float | None
    spoke: float
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL))


class PlainBoard(Guarded):
    """One line when a task starts or ends, a sign of life each minute, and the final table."""

    def __init__(
        self,
        stream: TextIO,
        *,
        width: int = 100,
        heartbeat: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to ``stream``; ``heartbeat`` is how long a running task may stay silent, in seconds."""
        self._stream = stream
        self._width = width
        self._heartbeat = heartbeat
        self._clock = clock
        self._lock = threading.RLock()
        self._running: dict[str, _Running] = {}
        self._stop = threading.Event()
        self._pulse: threading.Thread | None = None

    @guarded
    def say(self, line: str) -> None:
        """Show a line that belongs to no task."""
        self._emit(clean(line, _LIMIT))

    @guarded
    def started(self, task: str, *, deadline: float | None) -> None:
        """Tell that a task begins, and watch it."""
        now = self._clock()
        with self._lock:
            self._running[task] = _Running(began=now, deadline=deadline, spoke=now)
            if self._pulse is None and not self._stop.is_set():
                self._pulse = threading.Thread(target=self._watch, name="llamatrix-heartbeat", daemon=True)
                self._pulse.start()
        limit = f" (deadline {seconds_text(deadline)})" if deadline is not None else ""
        self._emit(f"{'start':<10}{clean(task, _LIMIT)}{limit}")

    def line(self, task: str, line: str) -> None:
        """Keep a line; it is shown in a sign of life or when the task fails."""
        running = self._running.get(task)
        if running is not None:
            running.tail.append(line)

    @guarded
    def ended(self, record: TaskRecord) -> None:
        """Tell how a task ended, with the last lines of one that failed."""
        with self._lock:
            running = self._running.pop(record.id, None)
            if record.state is TaskState.NOT_RUN:
                return
            self._write(*self._ending(record), *self._last_words(record, running))

    @guarded
    def close(self, report: RunReport | None) -> None:
        """Stop watching and show the final table."""
        self._stop.set()
        pulse = self._pulse
        if pulse is not None and pulse is not threading.current_thread():
            pulse.join(timeout=2)
        self._finish(report)
        if self.trouble is not None:
            self._emit(clean(f"note: the board had trouble and may have lost lines: {self.trouble}", _LIMIT))

    @guarded
    def beat(self) -> None:
        """Give a sign of life for each task that was silent for too long."""
        now = self._clock()
        with self._lock:
            for task, running in self._running.items():
                if now - running.spoke < self._heartbeat:
                    continue
                running.spoke = now
                spent = seconds_text(now - running.began)
                limit = f" of {seconds_text(running.deadline)}" if running.deadline is not None else ""
                last = clean(running.tail[-1], _LAST) if running.tail else "no output yet"
                self._emit(f"{'running':<10}{clean(task, _LIMIT)} {spent}{limit}: {last}")

    def _ending(self, record: TaskRecord) -> list[str]:
        spent = seconds_text(seconds_of(record)) if record.state is not TaskState.CACHED else ""
        took = f" in {spent}" if spent else ""
        message = f": {clean(record.message, _LIMIT)}" if record.message else ""
        return [f"{_VERBS[record.state]:<10}{clean(record.id, _LIMIT)}{took}{message}"]

    def _last_words(self, record: TaskRecord, running: _Running | None) -> list[str]:
        if record.state is not TaskState.FAILED:
            return []
        words = [f"  | {clean(line, _LIMIT)}" for line in running.tail] if running is not None else []
        if record.log:
            words.append(f"  the whole log: {clean(record.log, _LIMIT)}")
        return words

    def _finish(self, report: RunReport | None) -> None:
        if report is None:
            self._emit("cut short: there is nothing to report")
            return
        glyphs = charset_of(getattr(self._stream, "encoding", None))
        self._emit("", *(line.text for line in summary(report, width=self._width, glyphs=glyphs)))

    def _emit(self, *lines: str) -> None:
        self._write(*lines)

    def _write(self, *lines: str) -> None:
        """Write whole lines at once, so that threads do not cut each other's."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        text = "".join(f"{fits(line, encoding)}\n" for line in lines)
        with self._lock:
            self._stream.write(text)
            self._stream.flush()

    def _watch(self) -> None:
        while not self._stop.wait(min(self._heartbeat, 5.0)):
            self.beat()
