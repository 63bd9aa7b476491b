"""The gates in order, and the judge: one verdict for each gate a cell declares, whatever happens.

Incidents: checks that could not fail. A missing compiler was skipped and counted as passed, a crash ended the loop
and the rest was never looked at. Here a crash is a failure, a skip stays a skip, and nothing is dropped.
"""

from __future__ import annotations

__all__ = ["GATES", "declared", "judge"]

import dataclasses
import time
from typing import TYPE_CHECKING

from pipeline.errors import CancelledError, PipelineError
from pipeline.gates.abi import AbiGate
from pipeline.gates.backend import BackendGate
from pipeline.gates.base import Gate, Subject, failed
from pipeline.gates.closure import ClosureGate
from pipeline.gates.licences import LicencesGate
from pipeline.gates.project_tests import ProjectTestsGate
from pipeline.gates.repro import ReproGate
from pipeline.gates.size import SizeGate
from pipeline.gates.smoke import SmokeGate
from pipeline.gates.timeout import TimeoutGate
from pipeline.model import Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from pipeline.matrix.cells import Cell
    from pipeline.matrix.spec import Waiver

GATES: tuple[Gate, ...] = (
    TimeoutGate(),  # read off the build, nothing to open
    SizeGate(),  # cheap, and an empty archive explains every later failure
    LicencesGate(),  # what may not ship at all
    BackendGate(),  # what the bundle is for
    AbiGate(),  # whether it can start on the floor
    ClosureGate(),  # whether it can start without the build machine
    SmokeGate(),  # whether it does start, and computes
    ProjectTestsGate(),  # what its own authors check
    ReproGate(),  # last: it may read a second archive
)


def declared(cell: Cell, gates: Sequence[Gate] = GATES) -> tuple[Gate, ...]:
    """Give the gates that apply to a cell: those its ``gates`` name, and timeout, which applies to every cell."""
    return tuple(gate for gate in gates if gate.name == "timeout" or getattr(cell.gates, gate.name, None) is not None)


def judge(subject: Subject, today: date, gates: Sequence[Gate] = GATES) -> tuple[Verdict, ...]:
    """Run every gate the cell declares, in order.

    Args:
        subject: The bundle.
        today: The day waivers are held against.
        gates: The gates to choose from.

    Returns:
        Exactly one verdict for each declared gate.

    Raises:
        CancelledError: The run was interrupted; what was not looked at has no verdict.
    """
    waivers: dict[str, Waiver] = {waiver.gate: waiver for waiver in subject.cell.waivers}
    verdicts = []
    for gate in declared(subject.cell, gates):
        started = time.monotonic()
        verdict = _check(gate, subject)
        verdict = dataclasses.replace(verdict, seconds=round(time.monotonic() - started, 3))
        verdicts.append(_waived(verdict, waivers.get(gate.name), today))
    return tuple(verdicts)


def _check(gate: Gate, subject: Subject) -> Verdict:
    try:
        verdict = gate.check(subject)
    except CancelledError:
        raise
    except PipelineError as error:
        return failed(gate.name, str(error), details=[error.hint] if error.hint else [])
    except Exception as error:  # noqa: BLE001 - whatever a gate trips over, the bundle is not proved
        what = f"{type(error).__name__}: {error}"
        return failed(gate.name, f"the gate itself broke ({what}); nothing is proved, please report it")
    if verdict.gate != gate.name:
        return failed(gate.name, f"the gate answered for {verdict.gate!r}; nothing is proved, please report it")
    return verdict


def _waived(verdict: Verdict, waiver: Waiver | None, today: date) -> Verdict:
    """Let a waiver stand in for what failed or could not be looked at; the summary keeps saying which it was."""
    if waiver is None:
        return verdict
    note = f"waiver until {waiver.until}: {waiver.reason}"
    if verdict.status not in {Status.FAILED, Status.SKIPPED}:
        unused = f"not needed now, remove it from matrix.yaml: {note}"
        return dataclasses.replace(verdict, details=(*verdict.details, unused))
    if today.isoformat() > waiver.until:
        ended = f" (its waiver ended on {waiver.until})"
        return dataclasses.replace(
            verdict,
            summary=verdict.summary + ended,
            reason=(verdict.reason or verdict.summary) + ended,
            details=(*verdict.details, f"ended {note}"),
        )
    return dataclasses.replace(
        verdict,
        status=Status.WAIVED,
        summary=f"waived until {waiver.until}: {verdict.summary}",
        reason=waiver.reason,
        until=waiver.until,
    )
