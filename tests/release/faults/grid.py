"""The grid: every call, every point of it, every way to go wrong.

``benchmarks/faults.py`` plays each cell alone. A test run packs several of them into one schedule, each at a request of
its own.
"""

from __future__ import annotations

__all__ = ["CALLS", "Cell", "Pack", "cells", "packs", "points", "temporary"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from tests.github.faults import Point
from tests.github.routes import Call
from tests.release.faults.troubles import ANSWERS, REFUSALS, STORED, TEMPORARY, Fault, Trouble

T = TypeVar("T")

# How often an undisturbed run makes each call; a test holds these numbers.
CALLS = {
    Call.REPOSITORY: 2,
    Call.REF: 2,
    Call.IMMUTABLE: 1,
    Call.LIST_RELEASES: 4,
    Call.BY_TAG: 4,
    Call.CREATE: 1,
    Call.GET: 7,
    Call.LIST_ASSETS: 3,
    Call.UPLOAD: 5,
    Call.DOWNLOAD: 4,
    Call.STORAGE: 9,
    Call.WEB_DOWNLOAD: 5,
    Call.PATCH: 1,
    # With what an earlier run left.
    Call.DELETE_ASSET: 2,
    Call.DELETE_RELEASE: 1,
}
_LEFTOVERS = {Call.DELETE_ASSET, Call.DELETE_RELEASE}
_REDIRECTS = {Call.DOWNLOAD, Call.WEB_DOWNLOAD}
_BROKEN = (Trouble.RESET, Trouble.HANG, Trouble.CUT_OFF)
_ALWAYS = (
    Trouble.SERVER_500,
    Trouble.RESET,
    Trouble.HANG,
    Trouble.TRUNCATED,
    Trouble.LIMIT_403,
    Trouble.LIMIT_429_WAIT,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell of the grid."""

    call: Call
    point: Point
    trouble: Trouble
    always: bool = False

    @property
    def leftovers(self) -> bool:
        """Whether the call is made only where an earlier run left something."""
        return self.call in _LEFTOVERS

    def fault(self, nth: int = 1) -> Fault:
        """Say it as a schedule takes it."""
        times = None if self.always else 1
        return Fault(trouble=self.trouble, call=self.call, point=self.point, nth=nth, times=times)

    def __str__(self) -> str:
        """Its name in a list of tests."""
        return f"{self.call}, {self.point}, {self.trouble}{', always' if self.always else ''}"


def points(call: Call, trouble: Trouble) -> Sequence[Point]:
    """Give the points at which a trouble can strike, as far as they differ for the client."""
    if trouble in STORED:
        return (Point.AFTER,) if call is Call.UPLOAD else ()
    if trouble in REFUSALS or (trouble in {Trouble.TRUNCATED, Trouble.CUT_OFF} and call in _REDIRECTS):
        return (Point.BEFORE,)
    found = [Point.BEFORE]
    if call.writes:
        found.append(Point.AFTER)
    if call is Call.UPLOAD or trouble in _BROKEN:
        found.append(Point.MIDDLE)
    return found


def cells(call: Call) -> Iterator[Cell]:
    """Give every cell of one call: each trouble once, and each lasting one always."""
    for trouble in (*ANSWERS, *STORED):
        for point in points(call, trouble):
            yield Cell(call=call, point=point, trouble=trouble)
    for trouble in (*_ALWAYS, *REFUSALS, *(STORED if call is Call.UPLOAD else ())):
        for point in points(call, trouble)[:2]:
            yield Cell(call=call, point=point, trouble=trouble, always=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """Several cells in one schedule. Each strikes at a request of its own."""

    faults: tuple[Fault, ...]
    leftovers: bool


def packs() -> Iterator[Pack]:
    """Give every temporary cell of every call, each once, in as few schedules as can be."""
    reads = [pack for call in CALLS if not call.writes for pack in _read_packs(call)]
    clean = zip_longest(*(_write_packs(call) for call in (Call.CREATE, Call.UPLOAD, Call.PATCH)), fillvalue=())
    found = [(tuple(fault for each in some for fault in each), False) for some in clean]
    left = zip_longest(_write_packs(Call.DELETE_ASSET), _write_packs(Call.DELETE_RELEASE), fillvalue=())
    found += [(tuple(fault for each in some for fault in each), True) for some in left]
    for number, (faults, leftovers) in enumerate(found):
        more = [fault for pack in reads[number :: len(found)] for fault in pack]
        yield Pack(faults=(*faults, *more), leftovers=leftovers)


def temporary(call: Call) -> list[Cell]:
    """Give the cells of one call that a run outlives; what is stored wrong is among them."""
    return [cell for cell in cells(call) if cell.trouble in {*TEMPORARY, *STORED} and not cell.always]


def _read_packs(call: Call) -> Iterator[tuple[Fault, ...]]:
    for pack in _batched(temporary(call), 5):
        yield tuple(cell.fault(nth) for nth, cell in enumerate(pack, start=1))


def _write_packs(call: Call) -> Iterator[tuple[Fault, ...]]:
    """What was carried out is not asked for again: such a fault ends an operation, others are followed by a try."""
    if call is Call.UPLOAD:
        for pack in _batched(temporary(call), 3):
            yield tuple(cell.fault(2 * nth - 1) for nth, cell in enumerate(pack, start=1))
        return
    # The middle of an answer comes after the deed, too.
    done = [cell for cell in temporary(call) if cell.point is not Point.BEFORE]
    undone = [cell for cell in temporary(call) if cell.point is Point.BEFORE]
    pairs = [[cell for cell in pair if cell is not None] for pair in zip_longest(undone, done)]
    for some in _batched(pairs, CALLS[call]):
        yield tuple(cell.fault(nth) for nth, cell in enumerate((cell for pair in some for cell in pair), start=1))


def _batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
