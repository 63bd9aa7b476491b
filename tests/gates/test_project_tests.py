from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.gates.lab import LabInterruptedError
from pipeline.gates.project_tests import ProjectTestsGate
from pipeline.matrix import spec
from pipeline.model import EngineName, Status, Verdict
from tests.gates.labs import Answer, NoEngine, ScriptedLab, ShellEngine, make_subject, says

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.gates.script import Command, Ran

SMOKE = spec.SmokeGate(image="floor", device="cpu", startup="100ms", deadline="5m")
ONE = spec.TestProgram(run="test-one")
TWO = spec.TestProgram(run="test-two", args=("-o", "ADD"))


def passes(command: Command) -> Ran:
    return says(command, "OK\n", seconds=1.23456)


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    folder = tmp_path / "tests"
    folder.mkdir()
    for name in ("test-one", "test-two", "llama-cli"):
        (folder / name).write_text("a test program")
    return folder


def check(
    tmp_path: Path,
    tests: Path | None,
    *answers: Answer,
    programs: tuple[spec.TestProgram, ...] | None = (ONE, TWO),
    smoke: spec.SmokeGate | None = SMOKE,
) -> tuple[Verdict, ScriptedLab]:
    gates = spec.Gates(
        smoke=smoke, tests=None if programs is None else spec.TestsGate(programs=programs, deadline="10m")
    )
    lab = ScriptedLab(answers=[*answers, passes])
    subject = make_subject(tmp_path, gates, tests=tests)
    return ProjectTestsGate(find_lab=lab.find).check(subject), lab


def test_all_pass(tmp_path: Path, tests: Path) -> None:
    verdict, lab = check(tmp_path, tests)
    assert verdict.status is Status.PASSED
    assert verdict.summary == "2 test programs passed (script)"
    assert verdict.measured == {
        "where": "script",
        "programs": 2,
        "failed": 0,
        "seconds": {"test-one": 1.235, "test-two -o ADD": 1.235},
    }
    assert [command.argv for command in lab.commands] == [("{TESTS}/test-one",), ("{TESTS}/test-two", "-o", "ADD")]
    assert lab.asked == {"gate": "tests", "image": "floor", "deadline": 600.0}


def test_they_run_beside_the_bundle_which_wins_a_name(tmp_path: Path, tests: Path) -> None:
    check(tmp_path, tests)
    place = tmp_path / "work" / "tests" / "stage"
    assert (place / "test-one").read_text() == "a test program"
    assert (place / "llama-cli").read_text() == "", "the bundle's file, not the one in the tests' folder"


def test_one_fails(tmp_path: Path, tests: Path) -> None:
    def broken(command: Command) -> Ran | None:
        return says(command, stderr="expected 3\ngot 4\n", code=134) if command.name == "test-one" else None

    verdict, _ = check(tmp_path, tests, broken)
    assert verdict.status is Status.FAILED
    assert verdict.summary.startswith("1 of 2 test programs failed: test-one exited with 134 (aborted)")
    assert verdict.details[-1] == "  test-one: got 4"
    assert verdict.measured["failed"] == 1


@pytest.mark.parametrize(
    ("stdout", "good"),
    [
        ("  51/51 tests passed\n2/2 backends passed\nOK\n", True),
        ("  Skipping\n2/2 backends passed\nOK\n", False),
        ("  0/0 tests passed\nOK\n", False),
    ],
)
def test_backend_operations_that_tested_nothing_fail(tmp_path: Path, tests: Path, stdout: str, *, good: bool) -> None:
    (tests / "test-backend-ops").write_text("")
    program = spec.TestProgram(run="test-backend-ops", args=("test", "-b", "Vulkan0"))
    verdict, _ = check(tmp_path, tests, lambda command: says(command, stdout), programs=(program,))
    assert (verdict.status is Status.PASSED) is good
    assert good or "exited with 0 and tested nothing" in verdict.summary


def test_one_hangs(tmp_path: Path, tests: Path) -> None:
    verdict, _ = check(tmp_path, tests, lambda command: says(command, code=None, seconds=None))
    assert verdict.status is Status.FAILED
    assert "hung until the deadline" in verdict.summary


def test_no_folder_fails(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "none"):
        verdict, _ = check(tmp_path, folder)
        assert verdict.status is Status.FAILED
        assert "there are no compiled test programs" in verdict.summary


def test_a_program_that_was_not_compiled_fails(tmp_path: Path, tests: Path) -> None:
    verdict, lab = check(tmp_path, tests, programs=(ONE, spec.TestProgram(run="test-three")))
    assert verdict.status is Status.FAILED
    assert verdict.summary == "not compiled: test-three; name them under tests of the core component"
    assert lab.commands == []


def test_an_empty_list_fails(tmp_path: Path, tests: Path) -> None:
    verdict, _ = check(tmp_path, tests, programs=())
    assert verdict.status is Status.FAILED
    assert "gates.tests.programs is empty" in verdict.summary


def test_no_image_to_run_in_fails(tmp_path: Path, tests: Path) -> None:
    verdict, _ = check(tmp_path, tests, smoke=None)
    assert verdict.status is Status.FAILED
    assert "the cell has no gates.smoke" in verdict.summary


def test_a_cell_without_the_gate_is_skipped(tmp_path: Path, tests: Path) -> None:
    assert check(tmp_path, tests, programs=None)[0].status is Status.SKIPPED


def test_lavapipe_is_offered_to_the_programs(tmp_path: Path, tests: Path) -> None:
    smoke = spec.SmokeGate(image="lavapipe", device="lavapipe", startup="100ms", deadline="5m")
    _, lab = check(tmp_path, tests, smoke=smoke)
    assert all(command.environment["GGML_VK_VISIBLE_DEVICES"] == "0" for command in lab.commands)


def test_the_fake_engine_is_skipped(tmp_path: Path, tests: Path) -> None:
    gates = spec.Gates(smoke=SMOKE, tests=spec.TestsGate(programs=(ONE,), deadline="10m"))
    subject = make_subject(tmp_path, gates, tests=tests, engine=NoEngine(EngineName.FAKE))
    assert ProjectTestsGate().check(subject).status is Status.SKIPPED


def test_a_cancelled_run_is_skipped(tmp_path: Path, tests: Path) -> None:
    class Interrupted(ScriptedLab):
        def run(self, title: str, commands: Sequence[Command], *, folders: object = ()) -> tuple[Ran, ...]:
            raise LabInterruptedError(title)

    gates = spec.Gates(smoke=SMOKE, tests=spec.TestsGate(programs=(ONE,), deadline="10m"))
    gate = ProjectTestsGate(find_lab=Interrupted(answers=[]).find)
    verdict = gate.check(make_subject(tmp_path, gates, tests=tests))
    assert (verdict.status, verdict.reason) == (Status.SKIPPED, "the run was cancelled")


@pytest.mark.process
def test_programs_really_run(tmp_path: Path, tests: Path) -> None:
    script = '#!/bin/sh\ntest -e "${0%/*}/llama-bench" && test "$2" = ADD && echo found\n'
    (tests / "test-two").write_text(script)
    (tests / "test-two").chmod(0o755)
    gates = spec.Gates(
        smoke=SMOKE, tests=spec.TestsGate(programs=(TWO, spec.TestProgram(run="test-two")), deadline="10m")
    )
    verdict = ProjectTestsGate().check(make_subject(tmp_path, gates, tests=tests, engine=ShellEngine()))
    assert verdict.status is Status.FAILED
    assert verdict.summary == "1 of 2 test programs failed: test-two exited with 1; see its last lines"
