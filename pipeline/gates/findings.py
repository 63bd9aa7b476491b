"""What a gate that runs programs has found so far."""

from __future__ import annotations

__all__ = ["Findings", "StopError"]

from dataclasses import dataclass, field

from pipeline.gates.script import Ran


class StopError(Exception):
    """A command did not come to its end; whatever would follow has no time left."""


@dataclass(kw_only=True, slots=True)
class Findings:
    """What was found so far; all of it is reported, not just the first problem."""

    problems: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    measured: dict[str, object] = field(default_factory=dict)

    def add(self, problem: str, ran: Ran | None = None) -> None:
        """Note a problem, with the end of what the command printed."""
        self.problems.append(problem)
        self.details.append(problem)
        if ran is not None:
            self.details.extend(ran.last_lines())

    def ended(self, ran: Ran, *, advice: str) -> bool:
        """Tell whether the command exited with 0; note it if not, and stop everything if it never ended."""
        if ran.problem is None:
            return True
        self.add(f"{ran.name} {ran.problem}: {advice}", ran)
        if ran.exit_code is None:
            raise StopError
        return False
