"""The judge of all fault tests must itself be able to say no: every invariant is broken here once, on purpose."""

from __future__ import annotations

import hashlib

import pytest

from tests.github import actions
from tests.github.actions import Actor
from tests.github.fake import FakeGitHub
from tests.github.fixtures import COMMIT
from tests.github.intruders import INTRUDER, add_asset, add_release, delete_asset, publish
from tests.github.invariants import unfinished, violations
from tests.github.state import PUSH_TOKEN, Release, State

DATA = {"a.bin": b"first", "b.bin": b"second"}
PLANNED = {name: hashlib.sha256(data).hexdigest() for name, data in DATA.items()}


@pytest.fixture
def state() -> State:
    return FakeGitHub(tags={"v1": COMMIT}).state


def us(state: State) -> Actor:
    return Actor(token=state.tokens[PUSH_TOKEN], request=5)


def filled(state: State, *names: str) -> Release:
    release = add_release(state, "v1", actor=us(state))
    for name in names:
        add_asset(state, release, name, DATA.get(name, b"other"), actor=us(state))
    return release


def say(state: State) -> list[str]:
    return violations(state, planned=PLANNED)


def test_a_clean_run_breaks_nothing(state: State) -> None:
    release = filled(state, *DATA)
    actions.edit(state, us(state), release, {"draft": False})
    assert say(state) == []
    assert unfinished(state, tag="v1", planned=PLANNED) == []


def test_i1_two_published_releases(state: State) -> None:
    release = filled(state, *DATA)
    actions.edit(state, us(state), release, {"draft": False})
    state.releases.clear()  # GitHub itself refuses the second one, so the rule has to be tricked
    add_release(state, "v1", draft=False)
    assert say(state) == ["I1: two published releases of v1 after change 5"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.bin"], "b.bin is missing"),
        (["a.bin", "b.bin", "c.bin"], "c.bin was not planned"),
    ],
)
def test_i2_visible_before_it_is_complete(state: State, names: list[str], said: str) -> None:
    actions.edit(state, us(state), filled(state, *names), {"draft": False})
    [found] = say(state)
    assert found.startswith("I2: change")
    assert found.endswith(f"in request 5): {said}")
    assert unfinished(state, tag="v1", planned=PLANNED) == [said]


def test_i2_visible_with_other_bytes_or_a_starter(state: State) -> None:
    release = filled(state)
    add_asset(state, release, "a.bin", b"tampered", actor=us(state))
    add_asset(state, release, "b.bin", complete=False, actor=us(state))
    actions.edit(state, us(state), release, {"draft": False})
    assert [found.partition("): ")[2] for found in say(state)] == [
        "a.bin holds other bytes",
        "b.bin is in state starter",
    ]
    assert unfinished(state, tag="v1", planned=PLANNED) == [
        "a.bin holds other bytes or none",
        "b.bin holds other bytes or none",
    ]


def test_i3_a_published_release_is_touched(state: State) -> None:
    release = filled(state, *DATA)
    actions.edit(state, us(state), release, {"draft": False})
    actions.delete_asset(state, us(state), release, release.asset("a.bin"))
    actions.delete_release(state, us(state), release)
    assert [found[:2] for found in say(state)] == ["I3", "I3"]
    assert unfinished(state, tag="v1", planned=PLANNED) == ["0 published releases of v1, not 1"]


def test_i4_a_foreign_draft_is_touched(state: State) -> None:
    theirs = add_release(state, "v1")
    actions.edit(state, us(state), theirs, {"body": "ours now"})
    assert say(state) == [f"I4: change 2 (edit release  in request 5) touched release {theirs.id}, which is not ours"]
    same_login = add_release(state, "v1", actor=us(state))
    actions.delete_release(state, us(state), same_login)
    assert len(violations(state, planned=PLANNED, foreign=[same_login.id])) == 3


def test_what_others_do_is_not_held_against_us(state: State) -> None:
    release = filled(state, "a.bin")
    publish(state, "v1")
    delete_asset(state, "v1", "a.bin")
    assert say(state) == []
    assert unfinished(state, tag="v1", planned=PLANNED) == ["a.bin is missing", "b.bin is missing"]
    assert state.writes(INTRUDER.login)[0].release == release.id


def test_drafts_left_behind_are_named(state: State) -> None:
    left = filled(state)
    release = filled(state, *DATA)
    add_release(state, "v1")  # another's: not ours to tidy up
    actions.edit(state, us(state), release, {"draft": False})
    assert unfinished(state, tag="v1", planned=PLANNED) == [f"{left.id} is a draft left behind"]
