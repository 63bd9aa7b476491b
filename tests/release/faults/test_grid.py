"""The grid: every call x every point x every way to go wrong, once and always, over HTTP."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.github.contract import check
from tests.github.faults import Point
from tests.github.routes import Call
from tests.release.faults.grid import CALLS, cells, packs
from tests.release.faults.lab import End, Lab, Outcome, run_runs, run_schedule
from tests.release.faults.troubles import REFUSALS, STORED, TEMPORARY, Fault, Trouble

pytestmark = pytest.mark.loopback

WRITES = [call for call in CALLS if call.writes]
LEFT = {Call.DELETE_ASSET, Call.DELETE_RELEASE}
ALWAYS = (Trouble.HANG, Trouble.LIMIT_403, Trouble.NOT_FOUND)
HARMLESS = {(Call.IMMUTABLE, Trouble.NOT_FOUND)}  # it says that releases are not locked


def described(lab: Lab) -> None:
    check(lab.fake.requests)


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


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_temporary_fault_never_needs_a_second_run(call: Call) -> None:
    met: set[tuple[Trouble, Point]] = set()
    for pack in packs(call):
        outcome = run_schedule(pack, leftovers=call in LEFT, seen=described)
        published(outcome)
        assert outcome.faulty[0].done, outcome
        assert len(outcome.fired) == len(pack), outcome
        met |= {(fault.trouble, fault.point) for fault in pack}
    wanted = {*TEMPORARY, *(STORED if call is Call.UPLOAD else ())}
    assert met == {(cell.trouble, cell.point) for cell in cells(call) if not cell.always and cell.trouble in wanted}


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_refusal_is_told_and_the_next_run_goes_on(call: Call) -> None:
    outcome = run_runs([[Fault(trouble=trouble, call=call)] for trouble in REFUSALS], leftovers=call in LEFT)

    published(outcome)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_what_lasts_is_refused_and_once_it_is_over_a_run_gets_there(call: Call) -> None:
    outcome = run_runs([[Fault(trouble=trouble, call=call, times=None)] for trouble in ALWAYS], leftovers=call in LEFT)

    published(outcome)
    for trouble, run in zip(ALWAYS, outcome.faulty, strict=True):
        assert run.done is ((call, trouble) in HARMLESS), (trouble, outcome)


@pytest.mark.parametrize("call", WRITES, ids=str)
def test_writes_whose_answers_are_always_lost_are_found_done(call: Call) -> None:
    lost = Fault(trouble=Trouble.SERVER_502, call=call, point=Point.AFTER, times=None)
    outcome = run_schedule([lost], leftovers=call in LEFT)

    published(outcome)
    assert outcome.faulty[0].done, outcome


def test_what_is_always_stored_wrong_is_never_published() -> None:
    wrong = [trouble for trouble in STORED if trouble is not Trouble.NULL_DIGEST]
    outcome = run_runs(
        [[Fault(trouble=each, call=Call.UPLOAD, point=Point.AFTER, times=None)] for each in wrong], seen=described
    )

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
