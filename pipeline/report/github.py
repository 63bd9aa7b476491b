"""GitHub Actions: a folded group for each task, annotations for what failed, and a job summary.

The runner reads commands from a step's output, and a build can print anything. So a task's lines go out in one
piece between ``stop-commands`` and a token no build can guess, and every line, there and elsewhere, is tamed: the
log viewer folds and colours by ``##[...]`` even where the runner does not listen.
"""

from __future__ import annotations

__all__ = ["GitHubBoard", "command", "tame"]

import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from pipeline.model import Status, TaskKind, TaskState
from pipeline.report.markdown import markdown
from pipeline.report.plain import PlainBoard
from pipeline.report.record import CellState, RunReport, TaskRecord
from pipeline.report.tally import failed_tasks, findings, state_of
from pipeline.report.text import clean, count

SUMMARY_LIMIT = 1024 * 1024
"""What GitHub takes as one step's summary, in bytes; a larger one is dropped whole."""

_FIRST = 200
_LAST = 4000
_LIMIT = 2000


def tame(line: str) -> str:
    """Make a line that the runner cannot take for a command, in its new (``::``) or its old (``##[``) syntax."""
    line = line.replace("##[", "## [")
    return f"| {line}" if line.lstrip().startswith("::") else line


def command(name: str, message: str, **properties: str) -> str:
    """Write a workflow command with its parts escaped as the runner undoes them."""
    fields = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {fields}::{_data(message)}" if fields else f"::{name}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


class _Log:
    """The first and the last lines of a task; the middle of a very long log is in the artifact anyway."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.last: deque[str] = deque(maxlen=_LAST)
        self.total = 0

    def add(self, line: str) -> None:
        self.total += 1
        if len(self.first) < _FIRST:
            self.first.append(line)
        else:
            self.last.append(line)

    def lines(self) -> list[str]:
        lost = self.total - len(self.first) - len(self.last)
        middle = [f"... {count(lost, 'line')} left out here; the whole log is an artifact of this run"] if lost else []
        return [*self.first, *middle, *self.last]


class GitHubBoard(PlainBoard):
    """PlainBoard with the runner's commands."""

    def __init__(
        self,
        stream: TextIO,
        *,
        summary_path: Path | None = None,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
        heartbeat: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to ``stream`` and append the summary to ``summary_path``; ``token`` makes unguessable words."""
        super().__init__(stream, width=140, heartbeat=heartbeat, clock=clock)
        self._summary_path = summary_path
        self._token = token
        self._logs: dict[str, _Log] = {}

    def started(self, task: str, *, deadline: float | None) -> None:
        """Tell that a task begins, and buffer its lines."""
        self._logs[task] = _Log()
        super().started(task, deadline=deadline)

    def line(self, task: str, line: str) -> None:
        """Keep a line for the task's group."""
        super().line(task, line)
        log = self._logs.get(task)
        if log is not None:
            log.add(line)

    def _ending(self, record: TaskRecord) -> list[str]:
        """Print the task's whole block at once: tasks run side by side, and groups do not nest."""
        head = super()._ending(record)[0]
        log = self._logs.pop(record.id, None)
        lines = [tame(head)]  # a task that printed nothing needs no group
        if log is not None and log.total:
            token = self._token()
            lines = [
                command("group", head),
                command("stop-commands", token),
                *(tame(clean(line, _LIMIT)) for line in log.lines()),
                f"::{token}::",
                "::endgroup::",
            ]
        if record.state is TaskState.FAILED and record.kind is not TaskKind.GATE:
            lines.append(command("error", clean(record.message or "no message"), title=clean(f"{record.id} failed")))
        return lines

    def _last_words(self, record: TaskRecord, running: object) -> list[str]:  # noqa: ARG002 - PlainBoard's signature
        """Leave the last lines to the group, where they already are."""
        return []

    def _finish(self, report: RunReport | None) -> None:
        super()._finish(report)
        if report is None:
            self._write(command("error", "the run was cut short and left nothing to report", title="cut short"))
            return
        self._write(*_annotations(report))
        if self._summary_path is None:
            return
        try:
            with self._summary_path.open("ab") as stream:
                room = SUMMARY_LIMIT - stream.tell() - 1
                stream.write(markdown(report, limit=room).encode("utf-8"))
        except OSError as error:
            self._write(command("warning", clean(f"the job summary was not written: {error}"), title="job summary"))

    def _emit(self, *lines: str) -> None:
        """Tame what is said outside of the groups; commands made here go to ``_write``."""
        self._write(*(tame(line) for line in lines))


def _annotations(report: RunReport) -> list[str]:
    """One error for each failed gate, and one warning for all that is not proven: the runner keeps ten of each."""
    failed = findings(report, Status.FAILED)
    lines = [
        command("error", clean(found.verdict.summary), title=clean(f"{found.cell}: gate {found.verdict.gate} failed"))
        for found in failed
    ]
    explained = {found.cell for found in failed}
    lines += [
        command("error", clean(task.message or "no message"), title=clean(f"{task.id} failed"))
        for task in failed_tasks(report)
        if task.kind is TaskKind.GATE and not explained.intersection(task.cells)
    ]
    unproven = [cell for cell in report.cells if state_of(cell) is CellState.UNPROVEN]
    if unproven:
        skipped = "; ".join(
            f"{cell.id}: {', '.join(v.gate for v in cell.verdicts if v.status is Status.SKIPPED) or 'no gate ran'}"
            for cell in unproven[:10]
        )
        more = f"; and {len(unproven) - 10} more" if len(unproven) > 10 else ""  # noqa: PLR2004 - as sliced above
        lines.append(command("warning", clean(f"{skipped}{more}"), title=f"{count(len(unproven), 'cell')} not proven"))
    return lines
