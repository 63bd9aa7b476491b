"""The live board: what runs now at the bottom of the terminal, what ended as plain lines above it."""

from __future__ import annotations

__all__ = ["LiveBoard"]

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.model import TaskState
from pipeline.report.frame import Counts, Running, frame
from pipeline.report.guard import Guarded, guarded
from pipeline.report.record import RunReport, TaskRecord
from pipeline.report.summary import Tone, summary
from pipeline.report.tally import seconds_of
from pipeline.report.text import charset_of, clean, fits, seconds_text

_TAIL = 12
_LIMIT = 300
_STEPS = ("[", "==>", "## ")
_ENDINGS = {
    TaskState.DONE: ("done", "green"),
    TaskState.CACHED: ("cached", "dim"),
    TaskState.FAILED: ("FAILED", "bold red"),
    TaskState.BLOCKED: ("blocked", "yellow"),
    TaskState.CANCELLED: ("cancelled", "yellow"),
}
_TONES = {
    Tone.PLAIN: "",
    Tone.HEAD: "bold",
    Tone.QUIET: "dim",
    Tone.PASSED: "green",
    Tone.UNPROVEN: "yellow",
    Tone.FAILED: "red",
    Tone.WAIVED: "magenta",
}


class _Console(Console):
    """A console that falls silent when its terminal goes away; rich's own would end the whole program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class LiveBoard(Guarded):
    """Redraws a few times a second, whatever the builds print; a line costs two assignments."""

    def __init__(  # noqa: PLR0913 - the terminal and the clock, each with a default
        self,
        stream: TextIO,
        *,
        environ: Mapping[str, str],
        total: int | None = None,
        rate: float = 5.0,
        size: tuple[int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Draw on ``stream``; ``size`` is columns and lines where they are not the terminal's own."""
        width, height = size or (None, None)
        self._console = _Console(
            file=stream,
            force_terminal=True,
            no_color=bool(environ.get("NO_COLOR")),
            width=width,
            height=height,
            highlight=False,
            markup=False,
            emoji=False,
            _environ=environ,
        )
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._glyphs = charset_of(self._encoding)
        self._clock = clock
        self._pause = 1 / rate
        self._lock = threading.RLock()
        self._running: dict[str, Running] = {}
        self._tails: dict[str, deque[str]] = {}
        self._counts = Counts(total=total)
        self._waiting: list[Text] = []
        self._live: Live | None = None
        self._stop = threading.Event()
        self._painter: threading.Thread | None = None

    @guarded
    def say(self, line: str) -> None:
        """Show a line that belongs to no task."""
        self._above(Text(clean(line, _LIMIT)))

    @guarded
    def started(self, task: str, *, deadline: float | None) -> None:
        """Show a task among those that run."""
        with self._lock:
            self._tails[task] = deque(maxlen=_TAIL)
            self._running[task] = Running(task=task, began=self._clock(), deadline=deadline)
        self._open()

    def line(self, task: str, line: str) -> None:
        """Keep the line; the next picture shows it."""
        running = self._running.get(task)
        if running is None:
            return
        running.last = line
        if line.startswith(_STEPS):
            running.notable = line
        tail = self._tails.get(task)
        if tail is not None:
            tail.append(line)

    @guarded
    def ended(self, record: TaskRecord) -> None:
        """Move a task from the picture to the lines above it."""
        with self._lock:
            self._running.pop(record.id, None)
            tail = self._tails.pop(record.id, deque())
            self._counts.add(record.state)
        if record.state not in _ENDINGS:
            return
        word, style = _ENDINGS[record.state]
        spent = seconds_text(seconds_of(record)) if record.state is not TaskState.CACHED else ""
        line = Text().append(f"{word:<10}", style=style).append(clean(record.id, _LIMIT))
        line.append(f"  {spent}" if spent else "", style="dim")
        line.append(f"  {clean(record.message, _LIMIT)}" if record.message else "", style=style)
        words = [Text(f"  | {clean(last, _LIMIT)}", style="dim") for last in tail]
        if record.log:
            words.append(Text(f"  the whole log: {clean(record.log, _LIMIT)}", style="dim"))
        self._above(line, *(words if record.state is TaskState.FAILED else ()))

    @guarded
    def close(self, report: RunReport | None) -> None:
        """Give the terminal back as it was and show the summary."""
        self._stop.set()
        if self._painter is not None and self._painter is not threading.current_thread():
            self._painter.join(timeout=2)
        self.refresh()
        self._restore()
        if report is None:
            self._print(Text("cut short: there is nothing to report", style="yellow"))
        else:
            width = max(self._console.width - 1, 1)
            lines = summary(report, width=width, glyphs=self._glyphs)
            self._print(*(Text(line.text, style=_TONES[line.tone]) for line in lines))
        if self.trouble is not None:
            self._print(Text(clean(f"note: the board had trouble and may have lost lines: {self.trouble}", _LIMIT)))

    @guarded
    def refresh(self) -> None:
        """Print what waits above the picture and draw the picture anew."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if waiting:
            self._print(*waiting)
        live = self._live
        if live is not None:
            live.update(self._picture(), refresh=True)

    def _above(self, *lines: Text) -> None:
        with self._lock:
            self._waiting.extend(lines)
        self._open()

    def _open(self) -> None:
        """Start drawing with the first thing there is to show."""
        with self._lock:
            if self._live is not None or self._stop.is_set():
                return
            # Redirecting sys.stdout would reach beyond this board, and rich's own thread would raise where nobody
            # listens when the terminal goes away: so neither.
            self._live = Live(
                self._picture(),
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            atexit.register(self._restore)
            self._live.start()
            self._painter = threading.Thread(target=self._paint, name="llamatrix-board", daemon=True)
            self._painter.start()

    def _picture(self) -> Text:
        with self._lock:
            return frame(
                list(self._running.values()),
                self._counts,
                now=self._clock(),
                width=self._console.width,
                height=self._console.height,
                glyphs=self._glyphs,
                encoding=self._encoding,
            )

    def _paint(self) -> None:
        while not self._stop.wait(self._pause):
            self.refresh()

    @guarded
    def _restore(self) -> None:
        """Show the cursor again; also at exit, should nobody have closed the board."""
        with self._lock:
            live, self._live = self._live, None
        atexit.unregister(self._restore)
        if live is not None:
            try:
                live.stop()
            finally:
                self._console.show_cursor(show=True)

    def _print(self, *lines: Text) -> None:
        for line in lines:
            line.plain = fits(line.plain, self._encoding)
        self._console.print(Text("\n").join(lines), soft_wrap=True)
