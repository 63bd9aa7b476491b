"""How a fault schedule ended."""

from __future__ import annotations

__all__ = ["End", "Outcome"]

from dataclasses import dataclass
from enum import StrEnum

from tests.release.faults.publisher import Run

_SHOWN = 20


class End(StrEnum):
    """How a schedule ended."""

    PUBLISHED = "exactly one correct release"
    REFUSED = "a clear refusal"
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """``faulty`` are the runs in which things went wrong, ``healed`` those after; ``problems`` makes it WRONG.

    ``end`` is how it stood after the last run, ``first`` how the first run left it.
    """

    end: End
    first: End
    faulty: tuple[Run, ...]
    healed: tuple[Run, ...]
    problems: tuple[str, ...]
    requests: int
    fired: tuple[str, ...]

    def __str__(self) -> str:
        """Everything, for a failing test's message."""
        lines = [f"{self.end}; {self.requests} requests"]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [f"faulty run: {run}" for run in self.faulty]
        lines += [f"healed run: {run}" for run in self.healed]
        lines += [f"fired: {fired}" for fired in self.fired[:_SHOWN]]
        lines += [f"... {len(self.fired)} in all"] if self.fired[_SHOWN:] else []
        return "\n".join(lines)
