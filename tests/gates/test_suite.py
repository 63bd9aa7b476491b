from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import BundleError, CancelledError
from pipeline.gates.base import Gate, Subject, failed, passed, skipped
from pipeline.gates.suite import GATES, declared, judge
from pipeline.matrix.spec import Gates, ReproGate, SizeGate, SmokeGate, Waiver, field_names
from pipeline.matrix.spec import TestsGate as ProjectTests  # pytest would collect the name
from pipeline.model import Status, Verdict
from tests.gates.builders import put, subject

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 21)
STATIC = ("timeout", "size", "licences", "backend", "abi", "closure")


class Says:
    """A gate that answers, or raises, what it was made with."""

    def __init__(self, answer: Verdict | BaseException, name: str = "size") -> None:
        self.name = name
        self._answer = answer

    def check(self, subject: Subject) -> Verdict:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def one(base: Subject, gate: Gate, *waivers: Waiver) -> Verdict:
    base = replace(base, cell=replace(base.cell, waivers=waivers))
    (verdict,) = judge(base, TODAY, (gate,))
    return verdict


def test_every_gate_of_the_matrix_has_one_place() -> None:
    names = [gate.name for gate in GATES]

    assert sorted(names) == sorted(["timeout", *field_names(Gates)])


def test_runs_what_the_cell_declares_and_timeout_always(tmp_path: Path) -> None:
    base = subject(tmp_path)

    assert [gate.name for gate in declared(base.cell)] == list(STATIC)
    assert [gate.name for gate in declared(replace(base.cell, gates=Gates()))] == ["timeout"]
    every = Gates(
        size=SizeGate(max="1B", max_unpacked="1B"),
        smoke=SmokeGate(image="floor", device="cpu", startup="1s", deadline="1m"),
        tests=ProjectTests(programs=(), deadline="1m"),
        repro=ReproGate(engine="host"),
    )
    names = [gate.name for gate in declared(replace(base.cell, gates=every))]
    assert names == ["timeout", "size", "smoke", "tests", "repro"]


@pytest.mark.parametrize(("machine", "backends"), [("x86_64", ("vulkan",)), ("aarch64", ()), ("arm64", ("metal",))])
def test_a_good_bundle_passes_everything(tmp_path: Path, machine: str, backends: tuple[str, ...]) -> None:
    verdicts = judge(subject(tmp_path, machine=machine, backends=backends), TODAY)

    assert [(verdict.gate, verdict.status) for verdict in verdicts] == [(name, Status.PASSED) for name in STATIC]


def test_one_broken_file_never_hides_a_verdict(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root, "libllama.so", b"\x7fELF but no more")

    verdicts = judge(base, TODAY)

    assert [verdict.gate for verdict in verdicts] == list(STATIC)
    broken = [verdict for verdict in verdicts if verdict.status is Status.FAILED]
    assert [verdict.gate for verdict in broken] == ["backend", "abi", "closure"]
    assert all("libllama.so: it begins like an ELF file" in verdict.summary for verdict in broken)


@pytest.mark.parametrize("gate", STATIC)
def test_wrong_build_info_never_passes_the_gates_that_read_it(tmp_path: Path, gate: str) -> None:
    base = replace(subject(tmp_path), info={"schema": 1})
    reads = {"timeout", "licences", "backend"}

    verdict = next(found for found in judge(base, TODAY) if found.gate == gate)

    assert verdict.status is (Status.FAILED if gate in reads else Status.PASSED)
    if gate in reads:
        assert verdict.summary.startswith("BUILD_INFO.json: Object missing required field")


def test_a_crash_is_a_failure(tmp_path: Path) -> None:
    verdict = one(subject(tmp_path), Says(ZeroDivisionError("division by zero")))

    assert verdict.status is Status.FAILED
    assert "the gate itself broke (ZeroDivisionError: division by zero)" in verdict.summary


def test_an_error_of_ours_keeps_its_words_and_hint(tmp_path: Path) -> None:
    verdict = one(subject(tmp_path), Says(BundleError("it is damaged", where="x.so", hint="build it again")))

    assert (verdict.summary, verdict.details) == ("x.so: it is damaged", ("build it again",))


def test_an_answer_for_another_gate_is_a_failure(tmp_path: Path) -> None:
    verdict = one(subject(tmp_path), Says(passed("abi", "fine")))

    assert (verdict.gate, verdict.status) == ("size", Status.FAILED)
    assert "answered for 'abi'" in verdict.summary


def test_a_cancelled_run_is_not_judged(tmp_path: Path) -> None:
    with pytest.raises(CancelledError):
        one(subject(tmp_path), Says(CancelledError("interrupted")))


def test_a_failure_is_waived_until_its_day_and_no_longer(tmp_path: Path) -> None:
    base, gate = subject(tmp_path), Says(failed("size", "too large", details=("big",)))

    waived = one(base, gate, Waiver(gate="size", reason="upstream grew", until="2026-11-21"))
    ended = one(base, gate, Waiver(gate="size", reason="upstream grew", until="2026-11-20"))
    other = one(base, gate, Waiver(gate="abi", reason="old", until="2026-12-31"))

    assert (waived.status, waived.reason, waived.until) == (Status.WAIVED, "upstream grew", "2026-11-21")
    assert (waived.summary, waived.details) == ("waived until 2026-11-21: too large", ("big",))
    assert ended.status is Status.FAILED
    assert ended.summary == "too large (its waiver ended on 2026-11-20)"
    assert other.status is Status.FAILED


def test_a_skip_is_waived_until_its_day_and_no_longer(tmp_path: Path) -> None:
    base, gate = subject(tmp_path), Says(skipped("size", "no GPU here", looked=1))

    waived = one(base, gate, Waiver(gate="size", reason="tried by hand", until="2026-11-21"))
    ended = one(base, gate, Waiver(gate="size", reason="tried by hand", until="2026-11-20"))
    other = one(base, gate, Waiver(gate="abi", reason="old", until="2026-12-31"))

    assert (waived.status, waived.reason, waived.until) == (Status.WAIVED, "tried by hand", "2026-11-21")
    assert waived.summary == "waived until 2026-11-21: skipped: no GPU here"
    assert waived.measured == {"looked": 1}
    assert (ended.status, ended.until) == (Status.SKIPPED, None)
    assert ended.summary == "skipped: no GPU here (its waiver ended on 2026-11-20)"
    assert ended.reason == "no GPU here (its waiver ended on 2026-11-20)"
    assert ended.details == ("ended waiver until 2026-11-20: tried by hand",)
    assert other == replace(skipped("size", "no GPU here", looked=1), seconds=other.seconds)


@pytest.mark.parametrize("until", ["2026-12-31", "2026-11-20"])
def test_a_waiver_that_is_not_needed_is_noted_and_changes_nothing(tmp_path: Path, until: str) -> None:
    verdict = one(subject(tmp_path), Says(passed("size", "small")), Waiver(gate="size", reason="old", until=until))

    assert (verdict.status, verdict.summary, verdict.reason, verdict.until) == (Status.PASSED, "small", None, None)
    assert verdict.details == (f"not needed now, remove it from matrix.yaml: waiver until {until}: old",)


def test_every_gate_tells_its_incident() -> None:
    for gate in GATES:
        assert type(gate).__doc__
        if gate.name in STATIC or gate.name == "repro":
            assert "Incident" in (sys.modules[type(gate).__module__].__doc__ or "")
