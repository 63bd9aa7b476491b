"""What a verification has found so far: every problem, and a line for each check that really came to its end."""

from __future__ import annotations

__all__ = ["Check", "Findings", "Say"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from pipeline.errors import PipelineError
from pipeline.report.text import clean
from release.errors import VerifyError

Say = Callable[[str], None]
"""Tells what a check will have proved when it ends without a problem."""

_MAX_LENGTH = 600


@dataclass(kw_only=True, slots=True)
class Findings:
    """Problems and proved lines, in the order in which they were found; a problem is never lost and never twice."""

    problems: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Note a problem as one harmless line: names and values in it come from files that nobody vouches for."""
        text = clean(problem, _MAX_LENGTH)
        if text not in self.problems:
            self.problems.append(text)

    def note(self, line: str) -> None:
        """Note something the reader must know, whatever else is found."""
        self.lines.append(clean(line, _MAX_LENGTH))

    def check(self) -> Check:
        """Begin one check; see ``Check``."""
        return Check(findings=self)


class Check:
    """One check, as a context: an error of ours inside it becomes problems, any other passes through.

    What it said is shown only if it ended and found nothing, so that no line claims too much.
    """

    def __init__(self, *, findings: Findings) -> None:
        """Remember what was found before."""
        self._findings = findings
        self._before = len(findings.problems)
        self._said: list[str] = []

    def __enter__(self) -> Say:
        return self._said.append

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, PipelineError):
            for problem in _problems(error):
                self._findings.add(f"{error.where}: {problem}" if error.where else problem)
            return True
        if error is None and len(self._findings.problems) == self._before:
            for line in self._said:
                self._findings.note(line)
        return False


def _problems(error: PipelineError) -> Sequence[str]:
    """Take an error that lists several problems apart; others are one."""
    if isinstance(error, VerifyError):
        return error.problems
    head, *listed = error.what.split("\n  - ")
    return listed or [head]
