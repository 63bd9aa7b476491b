"""Random fault schedules over HTTP: each ends in exactly one correct release or in a clear refusal."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.github.routes import Call
from tests.release.faults.events import Event
from tests.release.faults.grid import CALLS, points
from tests.release.faults.outcome import End
from tests.release.faults.schedules import LONGEST, STALE, Schedule, draw, play
from tests.release.faults.troubles import ANSWERS, STORED, Fault, Trouble

pytestmark = pytest.mark.loopback


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    trouble = draw(st.sampled_from((*ANSWERS, *STORED, Trouble.STALE)))
    calls = STALE if trouble is Trouble.STALE else (Call.UPLOAD,) if trouble in STORED else tuple(CALLS)
    call = draw(st.sampled_from(calls))
    return Fault(
        trouble=trouble,
        call=call,
        point=draw(st.sampled_from(points(call, trouble))),
        nth=draw(st.integers(1, CALLS[call] + 2)),
        times=draw(st.sampled_from((1, 1, 1, 1, 2, 3, None))),
    )


schedules = st.builds(
    Schedule,
    faults=st.lists(faults(), min_size=1, max_size=5).map(tuple),
    kills=st.lists(st.integers(1, LONGEST), max_size=1).map(tuple),
    events=st.lists(st.tuples(st.integers(1, LONGEST // 2), st.sampled_from(Event)), max_size=1).map(tuple),
    leftovers=st.booleans(),
    immutable=st.booleans(),
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(schedule=schedules)
def test_every_schedule_ends_in_one_correct_release_or_a_clear_refusal(schedule: Schedule) -> None:
    outcome = play(schedule)

    assert outcome.end is not End.WRONG, f"{schedule}\n{outcome}"
    if not schedule.events:
        assert outcome.end is End.PUBLISHED or "renamed" in str(schedule), f"{schedule}\n{outcome}"


def test_a_number_always_draws_the_same_schedule() -> None:
    assert draw(7) == draw(7)
    assert len({str(draw(seed)) for seed in range(100)}) > 90
