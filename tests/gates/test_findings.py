from __future__ import annotations

import pytest

from pipeline.gates.findings import Findings, StopError
from pipeline.gates.script import Ran


def test_every_problem_is_kept_with_what_was_printed() -> None:
    findings = Findings()
    findings.add("one")
    findings.add("two", Ran(name="tool", exit_code=1, stdout="out\n\n", stderr="err\n"))
    assert findings.problems == ["one", "two"]
    assert findings.details == ["one", "two", "  tool: out", "  tool: err"]


def test_a_good_end_is_no_problem() -> None:
    findings = Findings()
    assert findings.ended(Ran(name="tool", exit_code=0), advice="do this")
    assert findings.problems == []


def test_a_bad_end_comes_with_advice() -> None:
    findings = Findings()
    assert not findings.ended(Ran(name="tool", exit_code=2), advice="do this")
    assert findings.problems == ["tool exited with 2: do this"]


def test_no_end_stops_everything() -> None:
    findings = Findings()
    with pytest.raises(StopError):
        findings.ended(Ran(name="tool", exit_code=None, message="hung until the deadline"), advice="do this")
    assert findings.problems == ["tool hung until the deadline: do this"]
