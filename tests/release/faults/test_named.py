"""The cases with a name: what broke other publishers, unsloth's ten and goreleaser's one among them, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.errors import ForeignReleaseError, GitHubError, PreflightError, PublishError
from release.github.client import connect
from release.github.remote import Fault as Kind
from release.github.remote import RemoteError
from release.publish.marker import text_of
from tests.github import faults as fake
from tests.github import intruders
from tests.github.actions import Actor
from tests.github.faults import Point
from tests.github.routes import Call
from tests.github.state import PUSH_TOKEN
from tests.release.faults.events import Event
from tests.release.faults.lab import Lab, run_schedule
from tests.release.faults.outcome import End, Outcome
from tests.release.faults.publisher import REPO, TAG
from tests.release.faults.troubles import Fault, Trouble

pytestmark = pytest.mark.loopback

BUNDLE = "llama.cpp-1.2.3-linux-x86_64-cpu.tar.zst"
SUMS = "SHA256SUMS"


def upload(trouble: Trouble, *, point: Point = Point.AFTER, times: int | None = 1, asset: str = BUNDLE) -> Fault:
    return Fault(trouble=trouble, call=Call.UPLOAD, point=point, times=times, asset=asset)


def in_one_run(*faults: Fault, events: tuple[tuple[int, Event], ...] = (), leftovers: bool = False) -> Outcome:
    outcome = run_schedule(faults, events=events, leftovers=leftovers)
    assert outcome.end is End.PUBLISHED, outcome
    assert outcome.faulty[0].done, outcome
    return outcome


def refused(lab: Lab, *faults: Fault) -> str:
    """Run with faults, hold that nothing is public; give what was said."""
    lab.plan(faults)
    run = lab.run()
    assert lab.end is End.REFUSED, lab.problems
    assert lab.state.published(TAG) == []
    lab.heal()
    return str(run.error)


def gets_there(lab: Lab) -> None:
    assert lab.run().done
    assert lab.end is End.PUBLISHED, lab.problems


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


# unsloth's ten


def test_a_stall_is_cut_and_the_file_sent_again() -> None:
    in_one_run(upload(Trouble.HANG, point=Point.MIDDLE))


def test_stalls_without_end_are_given_up(lab: Lab) -> None:
    with lab:
        said = refused(lab, upload(Trouble.HANG, point=Point.MIDDLE, times=None))
        assert "tried 10 times" in said
        assert "cut after 120 s" in said
        gets_there(lab)


def test_a_502_is_looked_at_and_tried_again() -> None:
    in_one_run(upload(Trouble.SERVER_502, point=Point.BEFORE))


def test_502s_without_end_are_given_up(lab: Lab) -> None:
    with lab:
        assert "server error (HTTP 502" in refused(lab, upload(Trouble.SERVER_502, point=Point.BEFORE, times=None))
        gets_there(lab)


@pytest.mark.parametrize("trouble", [Trouble.WRONG_SIZE, Trouble.STUCK, Trouble.WRONG_DIGEST, Trouble.NULL_WRONG])
def test_what_arrived_otherwise_is_replaced(lab: Lab, trouble: Trouble) -> None:
    in_one_run(upload(trouble))
    with lab:
        assert "it did not arrive as it was sent" in refused(lab, upload(trouble, times=None))
        gets_there(lab)


def test_a_201_that_never_lands_is_not_believed(lab: Lab) -> None:
    in_one_run(upload(Trouble.NEVER_LISTED))
    with lab:
        said = refused(lab, upload(Trouble.NEVER_LISTED, times=None))
        assert f"the draft is not what was sealed: {BUNDLE}: it is missing" in said
        gets_there(lab)


def test_the_phase_has_a_deadline(lab: Lab) -> None:
    with lab:
        lab.publisher.phase = 300.0
        slow = fake.Act("100 s", lambda: lab.clock.sleep(100.0))
        lab.fake.faults.add(Call.UPLOAD, slow, times=None)
        assert "the 5 min 0 s for all of it are over" in refused(lab)
        gets_there(lab)


def test_an_outage_of_the_verification_publishes_nothing(lab: Lab) -> None:
    with lab:
        said = refused(lab, Fault(trouble=Trouble.SERVER_503, call=Call.LIST_ASSETS, nth=2, times=None))
        assert "list the assets: tried 10 times" in said
        said = refused(lab, Fault(trouble=Trouble.SERVER_503, call=Call.DOWNLOAD, times=None))
        assert "download manifest.json again: tried 10 times" in said
        gets_there(lab)


def test_an_outage_of_the_last_look_is_told_and_only_that_is_left(lab: Lab) -> None:
    with lab:
        lab.plan([Fault(trouble=Trouble.SERVER_503, call=Call.WEB_DOWNLOAD, times=None)])
        run = lab.run()
        assert isinstance(run.error, GitHubError)
        assert lab.end is End.PUBLISHED
        lab.heal()
        run = lab.run()
        assert run.done
        assert run.writes == 0


@pytest.mark.parametrize("point", Point)
def test_a_drop_in_the_middle_is_made_good(point: Point) -> None:
    in_one_run(upload(Trouble.RESET, point=point), upload(Trouble.CUT_OFF, point=point, asset=SUMS))


# goreleaser's one


def test_a_delete_in_the_last_try_is_never_without_an_upload(lab: Lab) -> None:
    """goreleaser#6878: the asset was deleted by the last attempt, and nobody uploaded it again."""
    with lab:
        lab.leave_drafts()
        refused(lab, upload(Trouble.STARTER, times=None), upload(Trouble.STARTER, times=None, asset=SUMS))
        deletes = [m for m in lab.state.history if m.change == "delete asset" and m.asset == BUNDLE]
        uploads = [e for e in lab.fake.requests if e.call is Call.UPLOAD and e.query.get("name") == BUNDLE]
        assert len(deletes) == 10
        assert len(uploads) == len(deletes)
        gets_there(lab)


# lists that lag, what is left over, names and digests


@pytest.mark.parametrize("reads", [1, 3])
@pytest.mark.parametrize("call", [Call.LIST_RELEASES, Call.LIST_ASSETS, Call.BY_TAG])
def test_lists_that_lag_make_nothing_twice(call: Call, reads: int) -> None:
    lost = Fault(trouble=Trouble.SERVER_502, call=Call.CREATE, point=Point.AFTER)
    outcome = in_one_run(
        lost, upload(Trouble.SERVER_502), *(Fault(trouble=Trouble.STALE, call=call, nth=n) for n in range(2, reads + 2))
    )
    assert sum("create release" in each for each in outcome.fired) == 1


@pytest.mark.parametrize("call", [Call.LIST_RELEASES, Call.LIST_ASSETS, Call.BY_TAG])
def test_lists_that_lag_for_longer_than_anybody_waits_are_told(call: Call) -> None:
    lost = Fault(trouble=Trouble.SERVER_502, call=Call.CREATE, point=Point.AFTER)
    outcome = run_schedule([lost, Fault(trouble=Trouble.STALE, call=call, nth=2, times=8)])

    assert outcome.end is End.PUBLISHED, outcome


def test_a_starter_that_the_release_itself_hides_is_found_and_replaced() -> None:
    in_one_run(upload(Trouble.STARTER), upload(Trouble.STARTER, asset=SUMS), leftovers=True)


def test_a_starter_whose_deletion_says_404_is_deleted_all_the_same() -> None:
    in_one_run(upload(Trouble.STARTER), Fault(trouble=Trouble.NOT_FOUND, call=Call.DELETE_ASSET))


def test_a_renamed_asset_is_removed_and_the_file_sent_again(lab: Lab) -> None:
    in_one_run(upload(Trouble.RENAMED))
    with lab:
        assert "GitHub stored it as 'default.renamed'" in refused(lab, upload(Trouble.RENAMED, times=None))
        gets_there(lab)


def test_a_file_without_a_digest_is_downloaded_and_hashed() -> None:
    in_one_run(upload(Trouble.NULL_DIGEST), upload(Trouble.NULL_DIGEST, asset=SUMS))


# others


@pytest.mark.parametrize("nth", [2, 8, 19, 33, 38])
def test_a_second_publisher_of_the_same_bytes_is_fine(nth: int) -> None:
    in_one_run(events=((nth, Event.RIVAL),))


@pytest.mark.parametrize("nth", [7, 20, 33])
def test_of_two_publishers_of_other_bytes_one_is_told(nth: int) -> None:
    outcome = run_schedule(events=[(nth, Event.OTHER_BYTES)])

    assert outcome.end is not End.WRONG, outcome
    if outcome.end is End.REFUSED:
        assert isinstance(outcome.faulty[0].error, ForeignReleaseError | PublishError | PreflightError)


def test_a_foreign_draft_is_named_and_left_alone(lab: Lab) -> None:
    with lab:
        lab.happen(Event.FOREIGN_DRAFT)
        before = len(lab.state.history)
        assert "has a draft that llamatrix did not make: 1001" in refused(lab)
        assert len(lab.state.history) == before


def test_a_foreign_draft_beside_what_is_published_is_in_nobodys_way(lab: Lab) -> None:
    with lab:
        assert lab.run().done
        lab.happen(Event.FOREIGN_DRAFT)
        run = lab.run()
        assert run.done
        assert run.writes == 0
        assert len(lab.state.drafts(TAG)) == 1


def test_the_same_draft_twice_becomes_one_release(lab: Lab) -> None:
    with lab:
        actor = Actor(token=lab.state.tokens[PUSH_TOKEN])
        for _ in range(2):
            intruders.add_release(lab.state, TAG, body=text_of(lab.publisher.sealed), actor=actor)
        gets_there(lab)
        assert list(lab.state.releases) == [1001]


def test_with_immutable_releases_nothing_is_tried_after_publishing() -> None:
    outcome = run_schedule(
        [upload(Trouble.STARTER), Fault(trouble=Trouble.SERVER_502, call=Call.PATCH, point=Point.AFTER)],
        immutable=True,
    )
    assert outcome.end is End.PUBLISHED, outcome
    assert outcome.faulty[0].done


def test_publishing_that_fails_first_is_tried_again(lab: Lab) -> None:
    in_one_run(Fault(trouble=Trouble.SERVER_500, call=Call.PATCH, times=3))
    with lab:
        assert "publish the draft" in refused(lab, Fault(trouble=Trouble.SERVER_500, call=Call.PATCH, times=None))
        gets_there(lab)


# found here


def test_published_and_not_yet_found_by_its_tag_it_is_not_made_again(lab: Lab) -> None:
    """The next run once made a second draft, uploaded everything again, and could never publish it."""
    with lab:
        lab.plan([Fault(trouble=Trouble.NOT_FOUND, call=Call.BY_TAG, times=None)])
        for _ in range(2):
            run = lab.run()
            assert "is published, and cannot be seen by its tag yet" in str(run.error)
            assert lab.end is End.PUBLISHED, lab.problems
        assert list(lab.state.releases) == [1001]
        lab.heal()
        gets_there(lab)


@pytest.mark.parametrize("trouble", [Trouble.NOT_FOUND, Trouble.TRUNCATED])
def test_a_draft_that_is_said_to_be_deleted_and_is_not_stops_us(lab: Lab, trouble: Trouble) -> None:
    """Its deletion was taken for done, and two drafts of one release were there for good."""
    in_one_run(Fault(trouble=trouble, call=Call.DELETE_RELEASE), leftovers=True)
    with lab:
        lab.leave_drafts()
        said = refused(lab, Fault(trouble=trouble, call=Call.DELETE_RELEASE, times=None))
        assert "delete draft 1002: tried 10 times" in said
        assert "it is still there" in said
        gets_there(lab)


def test_a_draft_of_ours_beside_what_is_public_is_removed(lab: Lab) -> None:
    with lab:
        assert lab.run().done
        actor = Actor(token=lab.state.tokens[PUSH_TOKEN])
        intruders.add_release(lab.state, TAG, body=text_of(lab.publisher.sealed), actor=actor)
        lab.publisher.state.unlink()
        gets_there(lab)
        assert list(lab.state.releases) == [1001]


def test_a_draft_beside_what_is_public_that_cannot_be_removed_is_only_told(lab: Lab) -> None:
    with lab:
        lab.leave_drafts()
        lab.happen(Event.RIVAL)
        actor = Actor(token=lab.state.tokens[PUSH_TOKEN])
        draft = intruders.add_release(lab.state, TAG, body=text_of(lab.publisher.sealed), actor=actor)
        lab.plan([Fault(trouble=Trouble.FORBIDDEN, call=Call.DELETE_RELEASE, times=None)])
        assert lab.publisher.run().done
        assert any("could not be removed: delete draft" in line for line in lab.publisher.said)
        assert draft.id in lab.state.releases


def test_a_draft_that_went_because_the_same_bytes_are_public_is_no_failure(lab: Lab) -> None:
    """It was told as a failure, though all there was to do was done."""

    def meanwhile() -> None:
        intruders.delete_release(lab.state, TAG)
        draft = intruders.add_release(lab.state, TAG, body=text_of(lab.publisher.sealed))
        for asset in lab.publisher.sealed.assets:
            intruders.add_asset(lab.state, draft, asset.name, asset.path.read_bytes())
        intruders.publish(lab.state, TAG)

    with lab:
        lab.fake.faults.add(Call.UPLOAD, fake.Act("somebody else", meanwhile), nth=3, point=Point.AFTER)
        gets_there(lab)
        assert any("another publisher was faster, with the same bytes" in line for line in lab.publisher.said)


def test_a_list_that_still_shows_a_finished_upload_as_unfinished_is_waited_for(lab: Lab) -> None:
    """It was uploaded anew, and then refused, since that list lagged as well."""
    with lab:
        lab.plan([Fault(trouble=Trouble.STALE, call=Call.LIST_ASSETS, nth=2, times=5)])
        gets_there(lab)
        assert sum(each.call is Call.UPLOAD for each in lab.fake.requests) == len(lab.publisher.sealed.assets)


# the clock of the wall


def test_the_real_timers_cut_a_server_that_says_nothing(lab: Lab, tmp_path: Path) -> None:
    """Elsewhere the server tells the client to give up; here the client finds out by itself."""
    data = tmp_path / "data"
    data.write_bytes(b"x" * 100_000)
    with lab.fake:
        patient = connect(api=lab.fake.url, repo=REPO, token=PUSH_TOKEN)
        remote = connect(api=lab.fake.url, repo=REPO, token=PUSH_TOKEN, seconds=0.2)
        actor = Actor(token=lab.state.tokens[PUSH_TOKEN])
        draft = intruders.add_release(lab.state, TAG, actor=actor)
        # What must work gets all the time there is; only what must be cut is in a hurry.
        patient.release(draft.id)
        for call in (Call.GET, Call.UPLOAD):
            lab.fake.faults.add(call, fake.Hang(), point=Point.BEFORE)
        with pytest.raises(RemoteError) as caught:
            remote.release(draft.id)
        assert caught.value.fault is Kind.TIMEOUT
        with pytest.raises(RemoteError) as caught:
            patient.upload(draft.id, name="data", path=data, size=100_000, seconds=0.2)
        assert caught.value.fault is Kind.TIMEOUT
