"""The records behind report.html: what the template shows, and nothing it would have to work out."""

from __future__ import annotations

__all__ = ["Bar", "CellView", "Density", "GateRow", "Grid", "Link", "Note", "Page", "Slot"]

from dataclasses import dataclass
from enum import IntEnum

from pipeline.report.record import RunReport
from pipeline.report.tally import Outcome, Tally


class Density(IntEnum):
    """How much is told about each cell."""

    FULL = 0
    COMPACT = 1
    MINIMAL = 2
    BARE = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One square of the matrix; ``anchor`` is None where there is nothing to go to, ``foot`` 0 for no footnote."""

    state: str
    size: str = ""
    time: str = ""
    note: str = ""
    anchor: str | None = None
    foot: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """One project: platforms down, variants across; ``feet`` are the reasons the slots refer to by number."""

    project: str
    variants: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Slot, ...]], ...]
    feet: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRow:
    """One verdict as shown."""

    gate: str
    status: str
    summary: str
    reason: str
    until: str
    details: tuple[str, ...]
    measured: tuple[tuple[str, str], ...]
    time: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A log; ``href`` is None where the recorded path does not lead into the report's folder."""

    text: str
    href: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CellView:
    """One cell that was built or tried."""

    anchor: str
    id: str
    state: str
    reason: str
    asset: str
    size: str
    unpacked: str
    sha256: str
    time: str
    gates: tuple[GateRow, ...]
    named: tuple[tuple[str, str], ...]
    logs: tuple[Link, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One line of what needs attention."""

    where: str
    what: str
    why: str
    anchor: str | None = None
    log: Link | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One task on the time line; ``begin`` and ``length`` are thousandths of the whole."""

    task: str
    kind: str
    state: str
    time: str
    deadline: str
    begin: float
    length: float
    since: str
    log: Link | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The whole page."""

    report: RunReport
    density: Density
    outcome: Outcome
    tally: Tally
    started: str
    wall: str
    facts: tuple[tuple[str, str], ...]
    grids: tuple[Grid, ...]
    broken: tuple[Note, ...]
    failed: tuple[Note, ...]
    skipped: tuple[Note, ...]
    waived: tuple[Note, ...]
    more: dict[str, int]
    cells: tuple[CellView, ...]
    idle: tuple[tuple[str, tuple[str, ...]], ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...]
    bars: tuple[Bar, ...]
    undrawn: int
    ticks: tuple[str, ...]
    slowest: tuple[Bar, ...]
