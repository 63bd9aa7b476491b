"""What a benchmark gives: rows of numbers, each with its goal, and whether the goal was met.

A row that could not be measured says why and is never met; a row without a goal is information only.
"""

from __future__ import annotations

__all__ = ["Goal", "NotRunError", "Row", "Sample", "Verdict", "not_run", "number", "paired", "row"]

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class NotRunError(Exception):
    """The benchmark needs something that is not here; the text says what."""


class Verdict(StrEnum):
    """What became of a goal."""

    MET = "met"
    MISSED = "missed"
    NO_GOAL = "-"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """A limit: the value must be below it, or with ``at_least`` not below it.

    ``slack`` widens a limit by the noise of the measurement, as a share of it; it is printed with the goal.
    """

    limit: float
    at_least: bool = False
    slack: float = 0.0

    def met_by(self, value: float) -> bool:
        """Compare; a value that is not a number never meets anything."""
        if self.at_least:
            return value >= self.limit * (1 - self.slack)
        return value <= self.limit * (1 + self.slack)

    def text(self, unit: str) -> str:
        """Give the goal as the table shows it."""
        noise = f" within {self.slack:.0%}" if self.slack else ""
        return f"{'>=' if self.at_least else '<='} {number(self.limit)}{unit}{noise}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            msg = "a sample needs at least one value"
            raise ValueError(msg)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table. The goal is compared with the median, the less flattering of the two numbers."""

    what: str
    unit: str = ""
    sample: Sample | None = None
    goal: Goal | None = None
    note: str = ""
    missing: str | None = None

    @property
    def verdict(self) -> Verdict:
        if self.sample is None:
            return Verdict.NOT_RUN
        if self.goal is None:
            return Verdict.NO_GOAL
        return Verdict.MET if self.goal.met_by(self.sample.median) else Verdict.MISSED

    def as_json(self) -> dict[str, object]:
        """Give the row for ``--json``."""
        found: dict[str, object] = {"what": self.what, "unit": self.unit.strip(), "verdict": self.verdict.value}
        if self.sample is not None:
            values = [round(value, 6) for value in self.sample.values]
            found |= {"values": values, "min": min(values), "median": round(self.sample.median, 6)}
        if self.goal is not None:
            found |= {"goal": self.goal.text(self.unit)}
        if self.note:
            found["note"] = self.note
        if self.missing is not None:
            found["why"] = self.missing
        return found


def row(what: str, values: Sequence[float], unit: str = "", *, goal: Goal | None = None, note: str = "") -> Row:
    """Make a row of measured values."""
    return Row(what=what, unit=unit, sample=Sample(values=tuple(values)), goal=goal, note=note)


def not_run(what: str, why: str, unit: str = "", *, goal: Goal | None = None) -> Row:
    """Make a row for what could not be measured."""
    return Row(what=what, unit=unit, goal=goal, missing=why)


def paired(tops: Sequence[float], bottoms: Sequence[float]) -> tuple[float, ...]:
    """Divide measurements that were taken in turns, pair by pair: what slows the machine slows both of a pair."""
    return tuple(top / bottom for top, bottom in zip(tops, bottoms, strict=True))


def number(value: float) -> str:
    """Show a number with what matters of it."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3f}" if size < 1 else f"{value:.2f}"
