"""Faults at every request, at random, and as a state machine; what holds is in ``schedules``."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.release.publish.fake_remote import Plan, Trouble
from tests.release.publish.scene import TAG, Scene
from tests.release.publish.schedules import Event, attempt, conclude, happen, random_schedule

pytestmark = pytest.mark.usefixtures("_quick")

_REQUESTS = 41  # of one undisturbed run; a test holds this number
_FIRST_UPLOAD, _SECOND_UPLOAD, _LAST_UPLOAD = 6, 8, 18
_OF_UPLOADS = {
    Trouble.STARTER,
    Trouble.WRONG_BYTES,
    Trouble.WRONG_SIZE,
    Trouble.WRONG_LOST,
    Trouble.NULL_DIGEST,
    Trouble.NULL_WRONG,
    Trouble.RENAMED,
}
# The publisher cannot tell these from one that is tried everywhere; every fourth request is enough for them here.
_ALIKE = {Trouble.RESET_BEFORE, Trouble.RESET_AFTER, Trouble.GARBLED, Trouble.LIMITED_SOON, Trouble.INVALID}


def _places(trouble: Trouble) -> list[int]:
    if trouble in _OF_UPLOADS:
        return [_FIRST_UPLOAD, _SECOND_UPLOAD, _LAST_UPLOAD]
    return list(range(1, _REQUESTS + 1, 4 if trouble in _ALIKE else 1))


def test_the_grid_covers_a_whole_run(scene: Scene) -> None:
    scene.publish()

    assert scene.hub.count == _REQUESTS
    uploads = [n for n, request in enumerate(scene.hub.requests, start=1) if request.startswith("upload")]
    assert (uploads[0], uploads[1], uploads[-1]) == (_FIRST_UPLOAD, _SECOND_UPLOAD, _LAST_UPLOAD)


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_fault_at_any_request_ends_in_one_correct_release(tmp_path: Path, trouble: Trouble) -> None:
    for number in _places(trouble):
        scene = Scene(tmp_path / str(number))
        ending = attempt(scene, Plan(at={number: trouble}))
        if ending.error is None and not ending.killed:
            scene.assert_published()

        assert conclude(scene).error is None, number


@pytest.mark.parametrize("first", [Trouble.KILL_BEFORE, Trouble.KILL_AFTER])
def test_killed_at_every_request_in_turn_it_still_gets_there(scene: Scene, first: Trouble) -> None:
    for number in range(1, 200):
        ending = attempt(scene, Plan(at={number: first}))
        if not ending.killed:
            break

    assert conclude(scene).error is None
    assert len(scene.hub.releases) == 1


@pytest.mark.parametrize("seed", range(40))
def test_random_schedules_end_well(scene: Scene, seed: int) -> None:
    random_schedule(scene, random.Random(seed))


class Publishing(RuleBasedStateMachine):
    """Publishers, faults and other people in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.scene = Scene(Path(self._folder.name))
        self.events = 0

    @initialize(immutable=st.booleans())
    def begin(self, immutable: bool) -> None:
        self.scene.hub.immutable = immutable

    @rule(
        faults=st.dictionaries(st.integers(1, 50), st.sampled_from(Trouble), max_size=5),
        lag=st.integers(1, 10),
        event=st.none() | st.sampled_from(Event),
        when=st.integers(1, 45),
    )
    def run(self, faults: dict[int, Trouble], lag: int, event: Event | None, when: int) -> None:
        self.events += 1
        meanwhile: dict[int, Callable[[], None]] = (
            {} if event is None else {when: partial(happen, self.scene, event, self.events)}
        )
        self.scene.events |= {str(trouble) for trouble in faults.values()}
        attempt(self.scene, Plan(at=faults, lag=lag, meanwhile=meanwhile))

    @rule(event=st.sampled_from(Event))
    def between(self, event: Event) -> None:
        self.events += 1
        happen(self.scene, event, self.events)

    @rule()
    def lose_the_state(self) -> None:
        self.scene.state.unlink(missing_ok=True)

    @invariant()
    def nothing_forbidden_happened(self) -> None:
        assert self.scene.hub.crimes == []
        assert len(self.scene.hub.published(TAG)) <= 1

    def teardown(self) -> None:
        try:
            conclude(self.scene)
        finally:
            self._folder.cleanup()


Publishing.TestCase.settings = settings(
    max_examples=40, stateful_step_count=5, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPublishing = Publishing.TestCase
