"""The grid: every call x every point x every way to go wrong, once and always, over HTTP."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.github.faults import Point
from tests.github.routes import Call
from tests.release.faults.grid import CALLS, Pack, packs, temporary
from tests.release.faults.lab import Lab, run_runs, run_schedule
from tests.release.faults.outcome import End, Outcome
from tests.release.faults.troubles import REFUSALS, STORED, Fault, Trouble

pytestmark = pytest.mark.loopback

WRITES = [call for call in CALLS if call.writes]
LEFT = {Call.DELETE_ASSET, Call.DELETE_RELEASE}
LASTING = (Trouble.HANG, Trouble.LIMIT_403, Trouble.UNAUTHORISED, Trouble.NOT_FOUND)
HARMLESS = {(Call.IMMUTABLE, Trouble.NOT_FOUND)}  # it says that releases are not locked


def published(outcome: Outcome) -> None:
    assert outcome.end is End.PUBLISHED, outcome


def test_the_grid_covers_every_call_of_a_run() -> None:
    calls: Counter[Call] = Counter()
    for leftovers in (False, True):
        outcome = run_schedule(leftovers=leftovers, seen=lambda lab: calls.update(x.call for x in lab.fake.requests))
        published(outcome)
        assert outcome.faulty[0].done
        if not leftovers:
            once = Counter(calls)
    assert calls.keys() == CALLS.keys()
    assert once.keys() == CALLS.keys() - LEFT


def test_the_packs_are_the_grid() -> None:
    packed = [(fault.call, fault.point, fault.trouble) for pack in packs() for fault in pack.faults]

    assert len(packed) == len(set(packed))
    assert set(packed) == {(cell.call, cell.point, cell.trouble) for call in CALLS for cell in temporary(call)}


@pytest.mark.parametrize("pack", list(packs()), ids=lambda pack: str(pack.faults[0]))
def test_temporary_faults_never_need_a_second_run(pack: Pack) -> None:
    outcome = run_schedule(pack.faults, leftovers=pack.leftovers)

    published(outcome)
    assert outcome.faulty[0].done, outcome
    assert len(outcome.fired) == len(pack.faults), outcome


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_what_lasts_is_refused_and_once_it_is_over_a_run_gets_there(call: Call) -> None:
    lasting = [Fault(trouble=trouble, call=call, times=None) for trouble in LASTING]
    once = [Fault(trouble=trouble, call=call) for trouble in REFUSALS]
    outcome = run_runs([[fault] for fault in (*lasting, *once)], leftovers=call in LEFT)

    published(outcome)
    for trouble, run in zip(LASTING, outcome.faulty, strict=False):
        assert run.done is ((call, trouble) in HARMLESS), (trouble, outcome)


@pytest.mark.parametrize("call", WRITES, ids=str)
def test_writes_whose_answers_are_always_lost_are_found_done(call: Call) -> None:
    lost = Fault(trouble=Trouble.SERVER_502, call=call, point=Point.AFTER, times=None)
    outcome = run_schedule([lost], leftovers=call in LEFT)

    published(outcome)
    assert outcome.faulty[0].done, outcome


def test_what_is_always_stored_wrong_is_never_published() -> None:
    wrong = [trouble for trouble in STORED if trouble is not Trouble.NULL_DIGEST]
    outcome = run_runs([[Fault(trouble=each, call=Call.UPLOAD, point=Point.AFTER, times=None)] for each in wrong])

    published(outcome)
    assert not any(run.done for run in outcome.faulty), outcome


def test_what_is_always_listed_without_a_digest_is_downloaded_and_published() -> None:
    outcome = run_schedule([Fault(trouble=Trouble.NULL_DIGEST, call=Call.UPLOAD, point=Point.AFTER, times=None)])

    published(outcome)
    assert outcome.faulty[0].done


def test_after_a_success_nothing_is_written_whatever_goes_wrong(tmp_path: Path) -> None:
    with Lab(tmp_path) as lab:
        assert lab.run().done
        for call in CALLS:
            lab.plan([Fault(trouble=Trouble.SERVER_502, call=call), Fault(trouble=Trouble.NOT_FOUND, call=call, nth=2)])
            assert lab.run().writes == 0
            lab.heal()
        assert lab.end is End.PUBLISHED, lab.problems
