"""The tests gate: the project's own test programs, run with the bundle's libraries."""

from __future__ import annotations

__all__ = ["ProjectTestsGate"]

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.engines.base import Folder
from pipeline.gates.base import Subject, failed, passed, skipped
from pipeline.gates.lab import FindLab, LabInterruptedError, NoLabError, open_lab, stage
from pipeline.gates.script import Command, Ran
from pipeline.gates.vulkan import FindDriver, device_environment, host_lavapipe
from pipeline.matrix.spec import TestsGate, parse_duration
from pipeline.model import Verdict

# These exit with 0 also when the backend is missing or the filter matches nothing; this is what they print otherwise.
_EVIDENCE = {"test-backend-ops": re.compile(r"\b([1-9]\d*)/\1 tests passed")}


class ProjectTestsGate:
    """Runs every listed program in a folder that holds it beside the bundle's files.

    They were linked like the bundle's own programs, so they look for libraries and backends in the folder they are
    in; they are never packed. A program that was not compiled is a failure, as is a list without programs.
    """

    def __init__(self, *, find_lab: FindLab = open_lab, find_driver: FindDriver = host_lavapipe) -> None:
        """Take what finds a place to run programs; tests pass their own."""
        self.name = "tests"
        self._find_lab = find_lab
        self._find_driver = find_driver

    def check(self, subject: Subject) -> Verdict:
        """Run the programs and collect every one that does not exit with 0."""
        spec = subject.cell.gates.tests
        if spec is None:
            return skipped(self.name, "the cell has no gates.tests in matrix.yaml")
        problem = _unprepared(subject, spec)
        if problem is not None:
            return failed(self.name, problem)
        try:
            return self._check(subject, spec)
        except NoLabError as error:
            return error.verdict(self.name)
        except LabInterruptedError:
            return skipped(self.name, "the run was cancelled")

    def _check(self, subject: Subject, spec: TestsGate) -> Verdict:
        smoke = subject.cell.gates.smoke
        assert smoke is not None
        assert subject.tests is not None
        deadline = parse_duration(spec.deadline)
        lab = self._find_lab(subject, gate=self.name, image=smoke.image, deadline=deadline)
        environment = device_environment(smoke.device, lab, self._find_driver)
        place = stage(subject.work / self.name / "stage", [subject.root, subject.tests])
        runs: list[Ran] = []
        for program in spec.programs:
            command = Command(
                name=" ".join((program.run, *program.args)),
                argv=(f"{{TESTS}}/{program.run}", *program.args),
                environment=environment,
            )
            # One job each: what a program leaves behind or breaks must not touch the next.
            (ran,) = lab.run(f"tests: {program.run}", [command], folders=[Folder(name="TESTS", path=place)])
            runs.append(_honest(program.run, ran))
        return self._verdict(runs, where=lab.where)

    def _verdict(self, runs: Sequence[Ran], *, where: str) -> Verdict:
        bad = [run for run in runs if run.problem is not None]
        seconds = {run.name: None if run.seconds is None else round(run.seconds, 3) for run in runs}
        measured = {"where": where, "programs": len(runs), "failed": len(bad), "seconds": seconds}
        if not bad:
            return passed(self.name, f"{len(runs)} test programs passed ({where})", **measured)
        details: list[str] = []
        for run in bad:
            details += [f"{run.name} {run.problem}", *run.last_lines()]
        summary = f"{len(bad)} of {len(runs)} test programs failed: {bad[0].name} {bad[0].problem}; see its last lines"
        return failed(self.name, summary, details=details, **measured)


def _unprepared(subject: Subject, spec: TestsGate) -> str | None:
    """Say what keeps the gate from proving anything, None if nothing does."""
    if not spec.programs:
        return "gates.tests.programs is empty: name test programs, or take the gate away"
    if subject.tests is None or not subject.tests.is_dir():
        return "there are no compiled test programs: name them under tests of the core component"
    missing = sorted({program.run for program in spec.programs if not (subject.tests / program.run).is_file()})
    if missing:
        return f"not compiled: {', '.join(missing)}; name them under tests of the core component"
    if subject.cell.gates.smoke is None:
        return "test programs run in the image of gates.smoke, and the cell has no gates.smoke"
    return None


def _honest(program: str, ran: Ran) -> Ran:
    """Turn a success in which nothing was tested into a failure."""
    evidence = _EVIDENCE.get(program)
    if ran.problem is not None or evidence is None or evidence.search(ran.log):
        return ran
    return replace(ran, exit_code=None, message="exited with 0 and tested nothing: no such backend or operation")
