from __future__ import annotations

import math

import pytest

from benchmarks.plan_scale import exponent
from benchmarks.rows import Goal, Sample, Verdict, not_run, number, paired, row


def test_the_median_is_judged_not_the_best_value() -> None:
    assert row("plan", [0.1, 0.4, 0.5], " s", goal=Goal(limit=0.3)).verdict is Verdict.MISSED
    assert row("plan", [0.1, 0.2, 0.5], " s", goal=Goal(limit=0.3)).verdict is Verdict.MET


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal(limit=1.0), 1.0, True),
        (Goal(limit=1.0), 1.001, False),
        (Goal(limit=0), 0, True),
        (Goal(limit=0), 1, False),
        (Goal(limit=1.0, at_least=True), 1.0, True),
        (Goal(limit=1.0, at_least=True), 0.999, False),
        (Goal(limit=1.0, at_least=True, slack=0.03), 0.97, True),
        (Goal(limit=1.0, at_least=True, slack=0.03), 0.96, False),
        (Goal(limit=1.0, slack=0.1), 1.1, True),
        (Goal(limit=1.0), math.nan, False),
        (Goal(limit=1.0, at_least=True), math.nan, False),
    ],
)
def test_a_goal_is_a_limit_on_one_side(goal: Goal, value: float, met: bool) -> None:
    assert goal.met_by(value) is met


def test_what_was_not_measured_is_never_met() -> None:
    missing = not_run("second run", "no store was given", " s", goal=Goal(limit=1e9))

    assert missing.verdict is Verdict.NOT_RUN
    found = missing.as_json()
    assert (found["verdict"], found["goal"], found["why"]) == ("not run", "<= 1,000,000,000 s", "no store was given")
    assert "median" not in found


def test_a_row_without_a_goal_has_no_verdict() -> None:
    assert row("python -c pass", [0.01], " s").verdict is Verdict.NO_GOAL


def test_a_sample_needs_a_value() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        Sample(values=())


def test_json_keeps_every_value() -> None:
    found = row("plan", [0.3, 0.1, 0.2], " s", goal=Goal(limit=0.3), note="a note").as_json()

    assert found["values"] == [0.3, 0.1, 0.2]
    assert (found["min"], found["median"], found["verdict"], found["note"]) == (0.1, 0.2, "met", "a note")


def test_pairs_are_divided_one_by_one() -> None:
    assert paired([2, 9], [1, 3]) == (2, 3)
    with pytest.raises(ValueError, match="argument 2 is longer"):
        paired([1], [1, 2])


def test_the_exponent_tells_linear_from_square() -> None:
    assert exponent(10, 10) == pytest.approx(1)
    assert exponent(100, 10) == pytest.approx(2)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0123, "0.012"), (1.2345, "1.23"), (12, "12"), (1234.5, "1,234"), (-6.871, "-6.87")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
