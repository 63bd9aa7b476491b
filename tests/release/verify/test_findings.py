"""Problems are all kept, and a check that found something claims nothing."""

from __future__ import annotations

import pytest

from release.errors import ManifestError, SignatureError, VerifyError
from release.verify.findings import Findings


def test_a_check_without_a_problem_says_what_it_proved() -> None:
    findings = Findings()

    with findings.check() as say:
        say("one")
        say("two")

    assert findings.lines == ["one", "two"]
    assert findings.problems == []


def test_a_check_with_a_problem_says_nothing() -> None:
    findings = Findings()

    with findings.check() as say:
        say("all is well")
        findings.add("it is not")

    assert findings.lines == []
    assert findings.problems == ["it is not"]


def test_an_error_of_ours_is_a_problem() -> None:
    findings = Findings()

    with findings.check() as say:
        say("it holds")
        msg = "it does not verify"
        raise SignatureError(msg, where="SHA256SUMS")

    assert findings.lines == []
    assert findings.problems == ["SHA256SUMS: it does not verify"]


def test_many_problems_stay_apart() -> None:
    findings = Findings()

    with findings.check():
        raise VerifyError(["a", "b"])
    with findings.check():
        raise VerifyError(["a", "b"], where="SHA256SUMS")

    with findings.check():
        msg = "2 problems\n  - c\n  - d"
        raise ManifestError(msg, where="manifest.json")

    assert findings.problems == ["a", "b", "SHA256SUMS: a", "SHA256SUMS: b", "manifest.json: c", "manifest.json: d"]


def test_a_bug_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError), Findings().check():
        raise ZeroDivisionError


def test_a_problem_is_listed_once_and_harmless() -> None:
    findings = Findings()

    findings.add("a\nb\x1b[2J")
    findings.add("a\nb\x1b[2J")
    findings.note("c\nd")

    assert findings.problems == ["a b"]
    assert findings.lines == ["c d"]
