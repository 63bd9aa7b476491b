from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from release.errors import (
    ForeignReleaseError,
    GitHubError,
    PublishError,
    SignatureError,
    VerifyError,
)
from release.github.remote import RemoteRelease
from release.publish.marker import text_of
from release.publish.state import Phase, StateFile
from tests.release.publish.fake_remote import Fake, FakeHub, Killed, Plan, Trouble
from tests.release.publish.scene import TAG, Scene, make_sealed, reseal

pytestmark = pytest.mark.usefixtures("_quick")


def _phase(scene: Scene) -> Phase:
    found, _ = StateFile(scene.state)._read()
    assert found is not None
    return found.phase


def test_a_release_is_published_once_and_verified_twice(scene: Scene) -> None:
    published = scene.publish()

    scene.assert_published()
    assert published.uploaded == tuple(asset.name for asset in scene.sealed.assets)
    assert published.kept == ()
    assert not published.already
    assert published.url == scene.only().release.url
    assert published.id == scene.only().release.id
    assert published.seconds > 0
    assert len(scene.verified) == 2
    assert not any(folder.exists() for folder in scene.verified)
    assert _phase(scene) is Phase.DONE
    assert scene.hub.writes_since()[-1] == "publish 1"


def test_the_text_the_name_and_the_kind_are_said_when_publishing(scene: Scene) -> None:
    scene.want(replace(scene.sealed, prerelease=True))

    scene.publish()

    release = scene.only().release
    assert (release.name, release.body, release.prerelease) == (TAG, text_of(scene.sealed), True)


def test_nothing_is_to_be_seen_before_it_is_complete(scene: Scene) -> None:
    seen: list[int] = []
    scene.publish(Plan(meanwhile={n: lambda: seen.append(len(scene.hub.published(TAG))) for n in range(1, 60)}))

    at = next(n for n, request in enumerate(scene.hub.requests) if request.startswith("publish"))
    assert set(seen[: at + 1]) == {0}
    assert set(seen[at + 1 :]) == {1}


def test_a_second_run_writes_nothing_and_says_so(scene: Scene) -> None:
    scene.publish()
    before = scene.hub.count

    again = scene.publish()

    assert again.already
    assert again.uploaded == ()
    assert scene.hub.requests[before:] == ["release_by_tag v1.2.3", "assets 1"]
    assert scene.said[-1] == "already published: https://example.test/releases/1"


def test_without_its_state_a_second_run_verifies_everything_again(scene: Scene) -> None:
    scene.publish()
    before = scene.hub.count
    scene.state.unlink()

    assert scene.publish().already
    assert scene.hub.writes_since(before) == []
    assert scene.hub.requests[before:].count("download manifest.json") == 1


def test_another_machine_continues_where_this_one_stopped(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        scene.publish(Plan(at={8: Trouble.KILL_AFTER}))
    other = Scene(tmp_path / "other", hub=scene.hub)

    published = other.publish()

    assert len(published.kept) == 2
    assert len(published.uploaded) == 5
    other.assert_published()


def test_other_bytes_under_the_tag_are_refused_and_left_alone(scene: Scene) -> None:
    scene.publish()
    before, names = scene.hub.count, scene.only().names()
    scene.want(reseal(scene.sealed, scene.folder / "again", salt="again"))

    with pytest.raises(ForeignReleaseError, match="the tag is published with other content") as caught:
        scene.publish()

    assert "take a new version" in str(caught.value.hint)
    assert caught.value.where == "https://example.test/releases/1"
    assert scene.hub.writes_since(before) == []
    assert scene.only().names() == names


def test_a_draft_published_by_hand_before_it_was_complete_is_refused(scene: Scene) -> None:
    with pytest.raises(Killed):
        scene.publish(Plan(at={8: Trouble.KILL_AFTER}))
    made = scene.only()
    made.release = replace(made.release, draft=False)

    with pytest.raises(ForeignReleaseError, match="it is missing"):
        scene.publish()

    assert scene.hub.crimes == []


def test_sealing_again_replaces_the_draft(scene: Scene) -> None:
    with pytest.raises(Killed):
        scene.publish(Plan(at={9: Trouble.KILL_AFTER}))
    scene.want(reseal(scene.sealed, scene.folder / "again", salt="again"))

    scene.publish()

    scene.assert_published()
    assert len(scene.hub.releases) == 1
    assert any("of another manifest" in line for line in scene.said)


@pytest.mark.parametrize("when", range(1, 23))
def test_a_faster_publisher_of_the_same_bytes_is_fine(scene: Scene, tmp_path: Path, when: int) -> None:
    rival = Scene(tmp_path / "rival", hub=scene.hub)

    def run() -> None:
        with scene.hub.aside():
            rival.publish()

    scene.publish(Plan(meanwhile={when: run}))

    scene.assert_published()
    assert len(scene.hub.releases) == 1


@pytest.mark.parametrize("when", range(1, 23))
def test_a_faster_publisher_of_other_bytes_stops_us(scene: Scene, tmp_path: Path, when: int) -> None:
    rival = Scene(tmp_path / "rival", hub=scene.hub, salt="rival")

    def run() -> None:
        with scene.hub.aside():
            rival.publish()

    with pytest.raises((ForeignReleaseError, PublishError)):
        scene.publish(Plan(meanwhile={when: run}))

    rival.assert_published()
    with pytest.raises(ForeignReleaseError):
        scene.publish()


def test_a_tag_that_moved_meanwhile_stops_us(scene: Scene) -> None:
    with pytest.raises(PublishError, match=f"the tag v1.2.3 leads to {'d' * 40} now"):
        scene.publish(Plan(meanwhile={5: lambda: scene.hub.tags.update({TAG: "d" * 40})}))

    assert scene.hub.published(TAG) == []


def test_a_tag_that_is_gone_stops_us(scene: Scene) -> None:
    """Publishing would make it anew, at the head of the default branch."""
    with pytest.raises(PublishError, match=r"the tag v1\.2\.3 is gone"):
        scene.publish(Plan(meanwhile={5: lambda: scene.hub.tags.update({TAG: None})}))

    assert scene.hub.published(TAG) == []


@pytest.mark.parametrize("error", [VerifyError(["the signature is wrong"]), SignatureError("the signature is wrong")])
def test_what_does_not_verify_is_not_published(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: VerifyError | SignatureError
) -> None:
    def refuse(_: Path) -> None:
        raise error

    monkeypatch.setattr(scene, "verify", refuse)

    with pytest.raises(PublishError, match=r"(?s)does not verify: .*the signature is wrong"):
        scene.publish()

    assert scene.hub.published(TAG) == []


def test_other_bytes_than_listed_are_not_published(scene: Scene) -> None:
    def swap() -> None:
        stored = next(each for each in scene.only().assets.values() if each.name == "SHA256SUMS")
        stored.data = bytes(len(stored.data))

    with pytest.raises(GitHubError, match="other bytes came than were listed"):
        scene.publish(Plan(meanwhile={19: swap}))

    assert scene.hub.published(TAG) == []


def test_an_asset_lost_before_the_barrier_is_repaired_once(scene: Scene) -> None:
    def lose() -> None:
        made = scene.only()
        made.assets = {number: each for number, each in made.assets.items() if each.name != "SHA256SUMS"}

    published = scene.publish(Plan(meanwhile={18: lose}))

    scene.assert_published()
    assert "SHA256SUMS" in published.uploaded
    assert any("SHA256SUMS: it is missing" in line for line in scene.said)


def test_an_asset_that_never_stays_is_not_published(scene: Scene) -> None:
    def lose() -> None:
        for made in scene.hub.releases.values():
            made.assets = {number: each for number, each in made.assets.items() if each.name != "SHA256SUMS"}

    with pytest.raises(PublishError, match="the draft is not what was sealed: SHA256SUMS: it is missing") as caught:
        scene.publish(Plan(meanwhile=dict.fromkeys(range(18, 80), lose)))

    assert "it was not published" in str(caught.value.hint)
    assert scene.hub.published(TAG) == []


@pytest.mark.parametrize("trouble", [Trouble.SERVER_AFTER, Trouble.RESET_AFTER, Trouble.GARBLED, Trouble.HANG])
def test_a_lost_answer_to_publishing_is_looked_up(scene: Scene, trouble: Trouble) -> None:
    scene.publish(Plan(once={"publish": [trouble]}))

    scene.assert_published()
    assert scene.hub.requests.count("publish 1") == 1


@pytest.mark.parametrize(("done", "times"), [(True, 1), (False, 2)])
def test_an_answer_that_shows_a_draft_still_is_not_believed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, done: bool, times: int
) -> None:
    real = scene.hub.make_public

    def odd(made: Fake, request: str, changes: dict[str, object]) -> RemoteRelease:
        monkeypatch.setattr(scene.hub, "make_public", real)
        return replace(real(made, request, changes), draft=True) if done else made.release

    monkeypatch.setattr(scene.hub, "make_public", odd)

    scene.publish()

    scene.assert_published()
    assert scene.hub.requests.count("publish 1") == times


def test_publishing_that_failed_is_tried_again(scene: Scene) -> None:
    scene.publish(Plan(once={"publish": [Trouble.SERVER_BEFORE, Trouble.LIMITED_SOON]}))

    scene.assert_published()
    assert scene.hub.requests.count("publish 1") == 3


@pytest.mark.parametrize("trouble", [Trouble.INVALID, Trouble.FORBIDDEN])
def test_a_refusal_to_publish_is_told(scene: Scene, trouble: Trouble) -> None:
    with pytest.raises(GitHubError, match="publish the draft"):
        scene.publish(Plan(always={"publish": trouble}))

    assert scene.hub.published(TAG) == []


def test_killed_between_publishing_and_verifying_the_next_run_verifies(scene: Scene) -> None:
    with pytest.raises(Killed):
        scene.publish(Plan(once={"publish": [Trouble.KILL_AFTER]}))
    before = scene.hub.count
    assert _phase(scene) is Phase.PUBLISHING

    published = scene.publish()

    assert published.already
    assert scene.hub.writes_since(before) == []
    assert _phase(scene) is Phase.DONE


def test_what_is_public_and_wrong_is_told(scene: Scene) -> None:
    def spoil() -> None:
        stored = next(iter(scene.only().assets.values()))
        stored.data = bytes(len(stored.data))

    with pytest.raises(VerifyError, match="its SHA-256 is") as caught:
        scene.publish(Plan(meanwhile={30: spoil}))

    assert "withdraw the release" in str(caught.value.hint)


def test_a_private_repository_is_verified_with_the_token_and_that_is_said(scene: Scene) -> None:
    scene.hub.repository = replace(scene.hub.repository, private=True)

    scene.publish()

    assert any("the repository is private" in line for line in scene.said)


def test_a_release_that_stays_unseen_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    hub: FakeHub = scene.hub
    real = hub.published
    monkeypatch.setattr(hub, "published", lambda tag: [] if hub.requests[-1].startswith("release_by") else real(tag))

    with pytest.raises(GitHubError, match="cannot be seen by its tag yet") as caught:
        scene.publish()

    assert "only the verification is left" in str(caught.value.hint)


def test_a_foreign_draft_that_comes_up_meanwhile_stops_us(scene: Scene) -> None:
    with pytest.raises(ForeignReleaseError, match="did not make"):
        scene.publish(Plan(meanwhile={6: lambda: void(scene.hub.add(TAG, body="by hand"))}))

    assert scene.hub.published(TAG) == []
    assert scene.hub.crimes == []


def void(_: object) -> None:
    """Make an expression a call that gives nothing."""


def test_a_release_that_is_not_sealed_is_not_begun(scene: Scene) -> None:
    bare = replace(scene.sealed, assets=scene.sealed.assets[:1])

    with pytest.raises(PublishError, match=r"manifest\.json is not among the assets"):
        scene.publish(sealed=bare)

    assert scene.hub.requests == []


def test_an_outage_ends_in_time_and_the_next_run_continues(scene: Scene) -> None:
    with pytest.raises(GitHubError, match="tried 10 times"):
        scene.publish(Plan(always={"upload": Trouble.SERVER_BEFORE}))
    assert scene.hub.clock.now < 1000 + scene.budget

    scene.publish()

    scene.assert_published()


def test_releases_of_other_tags_are_nobodys_business(scene: Scene) -> None:
    scene.hub.add("v9", body=text_of(make_sealed(scene.folder / "x", salt="x")))
    scene.hub.add("v8", body="by hand", draft=False)

    scene.publish()

    scene.assert_published()
    assert len(scene.hub.releases) == 3


def test_a_draft_that_turns_out_to_be_public_is_compared_and_taken(scene: Scene) -> None:
    """The look by tag came a moment too early, and the list still shows a draft."""
    with pytest.raises(Killed):
        scene.publish(Plan(once={"publish": [Trouble.KILL_BEFORE]}))
    before = scene.hub.count

    def publish() -> None:
        made = scene.only()
        scene.hub.begin_lag()
        made.release = replace(made.release, draft=False)

    published = scene.publish(Plan(meanwhile={2: publish}))

    scene.assert_published()
    assert published.uploaded == ()
    assert scene.hub.writes_since(before) == []
