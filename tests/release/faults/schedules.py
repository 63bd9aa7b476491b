"""Random fault schedules: drawn from a number, or by Hypothesis; played over HTTP and judged by ``lab``.

``python -m tests.release.faults.schedules 2000`` plays that many and prints how they ended.
"""

from __future__ import annotations

__all__ = ["Schedule", "draw", "play"]

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.github.contract import check
from tests.github.routes import Call
from tests.release.faults.events import Event
from tests.release.faults.grid import CALLS, points
from tests.release.faults.lab import Lab, run_schedule
from tests.release.faults.outcome import End, Outcome
from tests.release.faults.troubles import ANSWERS, STORED, Fault, Trouble

STALE = (Call.LIST_RELEASES, Call.LIST_ASSETS, Call.BY_TAG)
"""What lags. An answer by number is taken for true: were it not, nobody could write anything safely."""
LONGEST = 120
"""Requests at which somebody may be killed, or come in between: a little more than two whole runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Everything that goes wrong in some runs."""

    faults: tuple[Fault, ...] = ()
    kills: tuple[int, ...] = ()
    events: tuple[tuple[int, Event], ...] = ()
    leftovers: bool = False
    immutable: bool = False

    def __str__(self) -> str:
        """All of it, to be read in a failing test's message."""
        parts = [f"fault: {fault}" for fault in self.faults]
        parts += [f"killed at request {kill}" for kill in self.kills]
        parts += [f"at request {nth} {event}" for nth, event in self.events]
        parts += ["with leftovers"] if self.leftovers else []
        parts += ["immutable releases"] if self.immutable else []
        return "; ".join(parts)


def play(schedule: Schedule, *, folder: Path | None = None, seen: Callable[[Lab], None] | None = None) -> Outcome:
    """Play one schedule to its end; every exchange must be as GitHub describes it."""

    def look(lab: Lab) -> None:
        check(lab.fake.requests)
        if seen is not None:
            seen(lab)

    return run_schedule(
        schedule.faults,
        schedule.kills,
        events=schedule.events,
        leftovers=schedule.leftovers,
        immutable=schedule.immutable,
        folder=folder,
        seen=look,
    )


def draw(seed: int) -> Schedule:
    """Draw the schedule of that number; the same number always gives the same one."""
    chance = random.Random(seed)
    kills = chance.choice((0, 0, 0, 1, 1, 2))
    return Schedule(
        faults=tuple(_fault(chance) for _ in range(chance.randint(1, 7))),
        kills=tuple(chance.randint(1, LONGEST) for _ in range(kills)),
        events=((chance.randint(1, LONGEST // 2), chance.choice(list(Event))),) if chance.random() < 0.25 else (),
        leftovers=chance.random() < 0.25,
        immutable=chance.random() < 0.5,
    )


def _fault(chance: random.Random) -> Fault:
    trouble = chance.choice((*ANSWERS, *STORED, Trouble.STALE, Trouble.STALE))
    times = chance.choice((1, 1, 1, 1, 2, 3, 12, None))
    if trouble is Trouble.STALE:
        call = chance.choice(STALE)
        return Fault(trouble=trouble, call=call, nth=chance.randint(1, CALLS[call] + 2), times=times)
    call = Call.UPLOAD if trouble in STORED else chance.choice(list(CALLS))
    point = chance.choice(points(call, trouble))
    return Fault(trouble=trouble, call=call, point=point, nth=chance.randint(1, CALLS[call] + 2), times=times)


def main(count: int, first: int = 0) -> int:
    """Play so many schedules, print how they ended; the exit code says whether none ended wrong."""
    ends: Counter[End] = Counter()
    for seed in range(first, first + count):
        schedule = draw(seed)
        outcome = play(schedule)
        ends[outcome.end] += 1
        if outcome.end is End.WRONG:
            sys.stdout.write(f"schedule {seed}: {schedule}\n{outcome}\n\n")
            sys.stdout.flush()
    for end, times in ends.most_common():
        sys.stdout.write(f"{times:6} {end}\n")
    return 1 if ends[End.WRONG] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
