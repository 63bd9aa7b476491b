from __future__ import annotations

from dataclasses import replace

import pytest

from release.errors import ForeignReleaseError, GitHubError, PublishError
from release.publish.draft import own_draft, settle_drafts
from release.publish.marker import text_of
from release.publish.state import Phase, State, StateFile
from release.publish.work import Work
from tests.release.publish.fake_remote import FakeRemote, Killed, Plan, Trouble
from tests.release.publish.scene import TAG, Scene, make_sealed


def _work(scene: Scene, plan: Plan | None = None) -> Work:
    scene.hub.arm(plan)
    remote, file = FakeRemote(scene.hub), StateFile(scene.state)
    file.begin(State.fresh(scene.sealed, server=remote.where, previous=None), scene.said.append)
    return Work.of(scene.sealed, remote, patience=scene.patience(), say=scene.said.append, state=file)


def test_none_is_made_with_our_text(scene: Scene) -> None:
    draft = own_draft(_work(scene))

    assert draft.draft
    assert draft.body == text_of(scene.sealed)
    assert draft.name == TAG
    assert scene.hub.writes_since() == ["create_draft v1.2.3"]


def test_ours_is_taken_up(scene: Scene) -> None:
    scene.hub.add("v9", body=text_of(scene.sealed))
    ours = scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)

    assert own_draft(_work(scene)).id == ours.release.id
    assert scene.hub.writes_since() == []


def test_of_several_the_oldest_stays(scene: Scene) -> None:
    for _ in range(3):
        scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)

    assert own_draft(_work(scene)).id == 1
    assert list(scene.hub.releases) == [1]


def test_a_draft_of_an_earlier_seal_is_replaced_and_said(scene: Scene) -> None:
    scene.hub.add(TAG, body=text_of(make_sealed(scene.folder / "x", salt="x")), foreign=False)

    assert own_draft(_work(scene)).id == 2
    assert list(scene.hub.releases) == [2]
    assert "deleting draft 1: a draft of an earlier seal" in scene.said


def test_a_foreign_draft_stops_everything(scene: Scene) -> None:
    scene.hub.add(TAG, body=text_of(make_sealed(scene.folder / "x", salt="x")), foreign=False)
    scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)
    scene.hub.add(TAG, body="by hand")

    with pytest.raises(ForeignReleaseError, match=r"did not make: 3 \(https://example.test/releases/3\)") as caught:
        own_draft(_work(scene))

    assert "delete it" in str(caught.value.hint)
    assert scene.hub.writes_since() == []


def test_a_lost_marker_of_a_draft_we_know_is_mended(scene: Scene) -> None:
    draft = own_draft(_work(scene))
    scene.only().release = replace(draft, body="nicer words")

    assert own_draft(_work(scene)).body == text_of(scene.sealed)
    assert "lost its marker line" in scene.said[-1]


def test_a_lost_marker_of_a_draft_we_do_not_know_is_foreign(scene: Scene) -> None:
    draft = own_draft(_work(scene))
    scene.only().release = replace(draft, body="nicer words")
    scene.state.unlink()

    with pytest.raises(ForeignReleaseError, match="1 "):
        own_draft(_work(scene))


@pytest.mark.parametrize("trouble", [Trouble.SERVER_AFTER, Trouble.RESET_AFTER, Trouble.GARBLED, Trouble.HANG])
def test_a_lost_answer_makes_no_second_draft(scene: Scene, trouble: Trouble) -> None:
    draft = own_draft(_work(scene, Plan(once={"create_draft": [trouble]})))

    assert draft.id == scene.only().release.id


def test_a_lost_answer_and_lists_that_lag_make_no_second_draft(scene: Scene) -> None:
    # 1 list, 2 create (its answer is lost), 3 list: lags, and so do the two after it.
    draft = own_draft(_work(scene, Plan(at={1: Trouble.STALE, 2: Trouble.SERVER_AFTER}, lag=4)))

    assert draft.id == scene.only().release.id
    assert scene.hub.clock.now > 1030


def test_after_a_kill_lists_that_lag_make_no_second_draft(scene: Scene) -> None:
    with pytest.raises(Killed):
        own_draft(_work(scene, Plan(at={1: Trouble.STALE, 2: Trouble.KILL_AFTER}, lag=5)))

    draft = own_draft(_work(scene, Plan(lag=5)))

    assert draft.id == scene.only().release.id
    assert any("an earlier run was stopped while it made the draft" in line for line in scene.said)


def test_a_failed_creation_is_tried_again_after_looking(scene: Scene) -> None:
    own_draft(_work(scene, Plan(once={"create_draft": [Trouble.SERVER_BEFORE, Trouble.LIMITED]})))

    assert len(scene.hub.releases) == 1
    assert scene.hub.requests.count("releases ") == 9


@pytest.mark.parametrize("trouble", [Trouble.NOT_FOUND, Trouble.FORBIDDEN])
def test_a_refusal_because_of_workflow_files_is_explained(scene: Scene, trouble: Trouble) -> None:
    with pytest.raises(GitHubError) as caught:
        own_draft(_work(scene, Plan(always={"create_draft": trouble})))

    assert ".github/workflows" in str(caught.value.hint)
    assert "GitHub App" in str(caught.value.hint)


def test_another_refusal_is_told_as_it_is(scene: Scene) -> None:
    with pytest.raises(GitHubError, match="make the draft: 422"):
        own_draft(_work(scene, Plan(always={"create_draft": Trouble.INVALID})))


def test_a_listed_draft_that_is_gone_is_not_taken_up(scene: Scene) -> None:
    scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)
    work = _work(scene, Plan(lag=3))
    scene.hub.begin_lag()
    del scene.hub.releases[1]

    assert own_draft(work).id == 2


def test_before_publishing_an_older_draft_stops_us(scene: Scene) -> None:
    for _ in range(2):
        scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)

    with pytest.raises(PublishError, match="there is an older draft 1 of this very release, besides 2"):
        settle_drafts(_work(scene), 2)

    assert len(scene.hub.releases) == 2


def test_before_publishing_younger_drafts_are_deleted(scene: Scene) -> None:
    for _ in range(2):
        scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)

    settle_drafts(_work(scene), 1)

    assert list(scene.hub.releases) == [1]


def test_a_draft_that_was_published_meanwhile_is_not_deleted(scene: Scene) -> None:
    scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)
    second = scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)

    def publish() -> None:
        second.release = replace(second.release, draft=False)

    with pytest.raises(ForeignReleaseError, match="draft 2 was published meanwhile"):
        settle_drafts(_work(scene, Plan(meanwhile={2: publish})), 1)

    assert scene.hub.crimes == []


def test_a_deletion_whose_answer_is_lost_is_looked_at(scene: Scene) -> None:
    for _ in range(2):
        scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)

    own_draft(_work(scene, Plan(once={"delete_release": [Trouble.SERVER_AFTER]})))

    assert scene.hub.writes_since() == ["delete_release 2"]


def test_a_draft_deleted_while_it_is_mended_is_told(scene: Scene) -> None:
    draft = own_draft(_work(scene))
    scene.only().release = replace(draft, body="nicer words")

    with pytest.raises(PublishError, match="our draft 1 is gone") as caught:
        own_draft(
            _work(scene, Plan(once={"edit_draft": [Trouble.SERVER_BEFORE]}, meanwhile={4: scene.hub.releases.clear}))
        )

    assert "run again" in str(caught.value.hint)
    assert StateFile(scene.state)._read()[0].phase is Phase.STARTED  # type: ignore[union-attr]
