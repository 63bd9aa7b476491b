"""What a run leaves behind: the content of report.json, as frozen records.

Times are seconds; ``started`` and ``ended`` are seconds since the epoch, or None for what never ran.
"""

from __future__ import annotations

__all__ = ["REPORT_SCHEMA", "CellRecord", "CellState", "RunReport", "TaskRecord"]

from dataclasses import dataclass
from enum import StrEnum

from pipeline.model import TaskKind, TaskState, Verdict

REPORT_SCHEMA = 1


class CellState(StrEnum):
    """What became of a cell. ``unproven`` has a bundle, no failed gate, and at least one skipped gate."""

    PASSED = "passed"
    UNPROVEN = "unproven"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRecord:
    """One task of the plan as it went; ``log`` is relative to the report's folder."""

    id: str
    kind: TaskKind
    key: str
    state: TaskState
    cells: tuple[str, ...]
    started: float | None = None
    ended: float | None = None
    deadline: float | None = None
    message: str | None = None
    log: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRecord:
    """One cell as it went. Sizes are bytes and None without a bundle."""

    id: str
    project: str
    platform: str
    variant: str
    state: CellState
    reason: str | None = None
    asset: str | None = None
    size: int | None = None
    unpacked_size: int | None = None
    sha256: str | None = None
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunReport:
    """The whole run. ``left_out`` maps the id of an excluded cell to the reason."""

    version: str
    profile: str
    engine: str
    engine_reason: str
    machine: str
    tool: str
    started: float
    ended: float
    tasks: tuple[TaskRecord, ...]
    cells: tuple[CellRecord, ...]
    left_out: tuple[tuple[str, str], ...]
    schema: int = REPORT_SCHEMA
