"""How publishing ends when requests fail: every fault at every request, and random schedules of them."""

from __future__ import annotations

__all__ = ["Ended", "Outcome", "Tally", "cell", "grid", "judged", "measure", "schedule", "tally"]

import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.rows import Goal, NotRunError, Row, not_run, row
from benchmarks.setting import Setting
from tests.github.contract import DESCRIPTION, check, data_file
from tests.github.faults import Point
from tests.release.faults.grid import CALLS, cells
from tests.release.faults.lab import End, Lab, Outcome, run_schedule
from tests.release.faults.schedules import draw, play
from tests.release.faults.troubles import Fault, Trouble

_USUAL, _FULL = 200, 2000
_NONE = Goal(limit=0)
_SHOWN = 3
_AT_ONCE = 8  # schedules that a process takes at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How one schedule ended, after its first run and after all; ``struck`` counts the requests that met a fault."""

    name: str
    first: End
    last: End
    struck: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How many schedules ended in which way; ``wrong`` names those that must not be, ``idle`` those without a fault."""

    first: Counter[End]
    last: Counter[End]
    struck: int
    wrong: tuple[str, ...]
    idle: tuple[str, ...]


def measure(setting: Setting) -> list[Row]:
    """Play the grid, then random schedules; nothing is repeated, since the same schedule ends the same way."""
    try:
        data_file(DESCRIPTION)
    except AssertionError as error:
        raise NotRunError(str(error)) from error
    count = _FULL if setting.full else _USUAL
    every = tuple(grid())
    found, rows = _played(setting, "fault grid", partial(cell, every), range(len(every)))
    rows.append(row("fault grid: faults that never struck", [len(found.idle)], goal=_NONE, note=_listed(found.idle)))
    rows += _played(setting, "random schedules", schedule, range(count))[1]
    if count < _FULL:
        rows.append(not_run(f"{_FULL:,} random schedules", "it takes minutes; --full does it", goal=_NONE))
    return rows


def tally(ended: Iterable[Ended]) -> Tally:
    """Count."""
    every = tuple(ended)
    return Tally(
        first=Counter(each.first for each in every),
        last=Counter(each.last for each in every),
        struck=sum(each.struck for each in every),
        wrong=tuple(each.name for each in every if End.WRONG in {each.first, each.last}),
        idle=tuple(each.name for each in every if not each.struck),
    )


def _played(
    setting: Setting, what: str, one: Callable[[int], Ended], numbers: Sequence[int]
) -> tuple[Tally, list[Row]]:
    started = time.monotonic()
    workers = os.cpu_count() or 1
    # Not forked: the fake's threads would be half there.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = tally(pool.map(one, numbers, chunksize=_AT_ONCE))
    for name in found.wrong:
        setting.say(f"wrong: {what} {name}")
    note = f"of {len(numbers):,}; {found.struck:,} requests met a fault; after the first run: {_counted(found.first)}"
    return found, [
        row(f"{what}: {End.PUBLISHED}", [found.last[End.PUBLISHED]], note=note),
        row(f"{what}: {End.REFUSED}", [found.last[End.REFUSED]]),
        row(f"{what}: {End.WRONG}", [len(found.wrong)], goal=_NONE, note=_listed(found.wrong)),
        row(f"{what}: time", [time.monotonic() - started], " s"),
    ]


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names[:_SHOWN])


def _counted(ends: Counter[End]) -> str:
    return ", ".join(f"{times:,} {end}" for end, times in ends.most_common())


def grid() -> Iterator[tuple[Fault, bool]]:
    """Give every fault of the grid, once and lasting, and a kill before and after every request."""
    for call in CALLS:
        for cell in cells(call):
            yield cell.fault(), cell.leftovers
    with tempfile.TemporaryDirectory(prefix="llamatrix-faults-") as name, Lab(Path(name)) as lab:
        lab.leave_drafts()
        lab.run()
        requests = len(lab.fake.requests)
    for nth in range(1, requests + 1):
        for point in (Point.BEFORE, Point.AFTER):
            yield Fault(trouble=Trouble.KILL, nth=nth, point=point), True


def cell(every: Sequence[tuple[Fault, bool]], number: int) -> Ended:
    """Play one cell of the grid."""
    fault, leftovers = every[number]
    return judged(str(fault), lambda: run_schedule([fault], leftovers=leftovers, seen=_described))


def schedule(number: int) -> Ended:
    """Play the random schedule of a number."""
    return judged(str(number), lambda: play(draw(number)))


def _described(lab: Lab) -> None:
    check(lab.fake.requests)


def judged(name: str, play: Callable[[], Outcome]) -> Ended:
    """Say how a schedule ended."""
    try:
        outcome = play()
    except AssertionError as error:  # an exchange is not as GitHub describes it
        return Ended(name=f"{name}: {str(error).partition(chr(10))[0]}", first=End.WRONG, last=End.WRONG, struck=1)
    return Ended(name=name, first=outcome.first, last=outcome.end, struck=len(outcome.fired))
