"""What a run leaves behind: the content of report.json, as frozen records.

Times are seconds; ``started`` and ``ended`` are seconds since the epoch, or None for what never ran.
"""

from __future__ import annotations

__all__ = ["REPORT_SCHEMA", "CellRecord", "CellState", "Material", "RunReport", "TaskRecord"]

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
class Material:
    """What a component was made with besides its source: a container image or a toolchain.

    ``kind`` is ``image`` or ``toolchain``; ``id`` is ``kind:name@`` plus the first 12 digits of ``digest``: 64 hex
    digits of the image's immutable id, or the SHA-256 of the toolchain's lock file. ``packages`` are (name, version),
    sorted by name.
    """

    id: str
    kind: str
    name: str
    digest: str
    origin: str
    packages: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRecord:
    """One cell as it went. Sizes are bytes and None without a bundle; ``materials`` are ids of the run's materials."""

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
    materials: tuple[str, ...] = ()


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
    materials: tuple[Material, ...] = ()
    schema: int = REPORT_SCHEMA
