"""What a front end must be able to show while a run goes on."""

from __future__ import annotations

__all__ = ["Board"]

from typing import Protocol

from pipeline.report.record import RunReport, TaskRecord


class Board(Protocol):
    """Follows a run. Methods may be called from any thread; none may block for long or raise."""

    def say(self, line: str) -> None:
        """Show a line that belongs to no task, for example which engine was taken and why."""
        ...

    def started(self, task: str, *, deadline: float | None) -> None:
        """A task begins; ``deadline`` in seconds."""
        ...

    def line(self, task: str, line: str) -> None:
        """A running task printed a line."""
        ...

    def ended(self, record: TaskRecord) -> None:
        """A task came to its end, from the cache or not."""
        ...

    def close(self, report: RunReport | None) -> None:
        """The run is over; show the summary. None: it was cut short before there was anything to report."""
        ...
