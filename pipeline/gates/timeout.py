"""The timeout gate.

Incident: of the release pipelines that were read, none sets a deadline on a job. llama.cpp's ROCm leg grew past two
hours and was switched off for a week (llama.cpp#26969), LocalAI's CUDA leg ran into GitHub's six-hour limit
(LocalAI#9730); both were noticed only because a runner gave up.
"""

from __future__ import annotations

__all__ = ["TimeoutGate"]

from typing import TYPE_CHECKING

from pipeline.bundle.info import BuildInfo
from pipeline.gates.base import Subject, failed, passed

if TYPE_CHECKING:
    from pipeline.model import Verdict


class TimeoutGate:
    """Every component of the bundle was compiled inside its deadline, and the time is known."""

    name = "timeout"

    def check(self, subject: Subject) -> Verdict:
        """Compare each timing with its deadline; a component without a timing fails."""
        measured = {timing.component: round(timing.seconds, 1) for timing in subject.timings}
        unknown = [
            component.id
            for component in BuildInfo.from_mapping(subject.info).components
            if component.id not in measured
        ]
        if unknown or not subject.timings:
            shown = ", ".join(unknown) or "any component"
            return failed(
                self.name,
                f"nobody knows how long {shown} took: build it again with --fresh",
                seconds=measured,
            )
        late = [timing for timing in subject.timings if not timing.seconds <= timing.deadline]
        if late:
            shown = ", ".join(f"{late_one.component} took {late_one.seconds:.0f} s" for late_one in late)
            return failed(
                self.name,
                f"over the deadline: {shown}; make the component smaller or raise its deadline in matrix.yaml",
                details=[f"{timing.component}: {timing.seconds:.1f} s of {timing.deadline:.0f} s" for timing in late],
                seconds=measured,
            )
        slowest = max(subject.timings, key=lambda timing: timing.seconds / max(timing.deadline, 1e-9))
        return passed(
            self.name,
            f"{slowest.component} took {slowest.seconds:.0f} s of {slowest.deadline:.0f} s",
            seconds=measured,
        )
