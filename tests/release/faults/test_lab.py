"""The judge itself: whatever is wrong must be seen, or the whole grid proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from release.publish.marker import text_of
from tests.github import actions, intruders
from tests.github.actions import Actor
from tests.github.routes import Call
from tests.github.state import PUSH_TOKEN
from tests.release.faults import watch
from tests.release.faults.lab import Lab, _conclude
from tests.release.faults.outcome import End, Outcome
from tests.release.faults.publisher import LIMIT, TAG, Run
from tests.release.faults.troubles import Fault, Trouble

pytestmark = pytest.mark.loopback


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def us(lab: Lab) -> Actor:
    return Actor(token=lab.state.tokens[PUSH_TOKEN])


def conclude(play: Callable[[Lab], list[Run]]) -> Outcome:
    return _conclude(play, leftovers=False, immutable=False, folder=None, seen=None)


def test_publishing_what_is_not_complete_is_wrong(lab: Lab) -> None:
    with lab:
        lab.plan([Fault(trouble=Trouble.SERVER_502, call=Call.UPLOAD, nth=3, times=None)])
        lab.run()
        actions.edit(lab.state, us(lab), lab.state.drafts(TAG)[0], {"draft": False})
        lab.heal()
        lab.run()
        assert lab.end is End.WRONG
        assert any(problem.startswith("I2: ") for problem in lab.problems)


def test_changing_what_is_public_is_wrong(lab: Lab) -> None:
    with lab:
        lab.run()
        release = lab.state.published(TAG)[0]
        actions.delete_asset(lab.state, us(lab), release, release.assets[0])
        lab.run()
        assert lab.end is End.WRONG
        assert any(problem.startswith("I3: ") for problem in lab.problems)


def test_touching_what_others_made_is_wrong(lab: Lab) -> None:
    with lab:
        draft = intruders.add_release(lab.state, TAG)
        actions.delete_release(lab.state, us(lab), draft)
        lab.run()
        assert any(problem.startswith("I4: ") for problem in lab.problems)


def test_deleting_what_was_correct_is_wrong(lab: Lab) -> None:
    with lab:
        lab.leave_drafts()
        draft = lab.state.drafts(TAG)[0]
        actions.delete_asset(lab.state, us(lab), draft, draft.asset("SHA256SUMS"))
        lab.run()
        assert any(problem.startswith("I7: ") for problem in lab.problems)


def test_writing_after_the_end_is_wrong() -> None:
    def play(lab: Lab) -> list[Run]:
        run = lab.run()
        lab.publisher.state.unlink()
        intruders.add_release(lab.state, TAG, body=text_of(lab.publisher.sealed), actor=us(lab))
        return [run]

    outcome = conclude(play)

    assert outcome.end is End.WRONG
    assert "I5: a run after the last one made 1 changes" in outcome.problems


def test_too_much_time_is_wrong(lab: Lab) -> None:
    with lab:
        lab.publisher._verify = lambda folder: lab.clock.sleep(LIMIT)  # type: ignore[method-assign]
        lab.run()
        assert any(problem.startswith("I6: ") for problem in lab.problems)


def test_requests_without_end_are_wrong(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_MANY", 20)
    with lab:
        lab.run()
        assert "an exception that is none of ours: EndlessError()" in lab.problems


def test_another_exception_than_ours_is_wrong(lab: Lab) -> None:
    def fail(folder: Path) -> None:
        msg = "what?"
        raise ValueError(msg)

    with lab:
        lab.publisher._verify = fail  # type: ignore[method-assign]
        lab.run()
        assert "an exception that is none of ours: ValueError('what?')" in lab.problems


def test_a_refusal_that_nothing_explains_is_wrong() -> None:
    def play(lab: Lab) -> list[Run]:
        lab.state.add_tag(TAG, "d" * 40)
        return [lab.run()]

    (problem, again) = conclude(play).problems

    assert problem.startswith("I7: nothing goes wrong any more, and it is not published: PreflightError")
    assert again.startswith("a run after the last one ended otherwise")


def test_a_publisher_that_only_says_so_is_wrong(lab: Lab) -> None:
    with lab:
        lab.run()
        del lab.state.releases[1001]
        before = lab.publisher.run
        lab.publisher.run = lambda: published  # type: ignore[method-assign]
        published = before()
        del lab.state.releases[1002]
        lab.run()
        assert "it said published, but 0 published releases of v1.2.3, not 1" in lab.problems
