from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

import pytest

from release.errors import GitHubError, PublishError
from release.publish import assets
from release.publish.assets import Moved, upload_assets
from release.publish.marker import text_of
from release.publish.state import AssetState, State, StateFile
from release.publish.work import OvertakenError, Work
from tests.release.publish.fake_remote import Fake, FakeRemote, Killed, Plan, Trouble
from tests.release.publish.scene import TAG, Scene

BUNDLE = "llama.cpp-1.2.3-linux-x86_64-cpu.tar.zst"


def _draft(scene: Scene, *names: str) -> Fake:
    return scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False, files=scene.files(names))


def _work(scene: Scene) -> Work:
    remote, file = FakeRemote(scene.hub), StateFile(scene.state)
    file.begin(State.fresh(scene.sealed, server=remote.where, previous=None), scene.said.append)
    return Work.of(scene.sealed, remote, patience=scene.patience(), say=scene.said.append, state=file)


def _upload(scene: Scene, plan: Plan | None = None) -> Moved:
    if not scene.hub.releases:
        _draft(scene)
    scene.hub.arm(plan)
    return upload_assets(_work(scene), 1)


def _complete(scene: Scene) -> bool:
    assert scene.hub.crimes == []
    return scene.only().names() == scene.names() and len(scene.only().assets) == len(scene.sealed.assets)


def test_files_go_in_the_order_of_the_release(scene: Scene) -> None:
    moved = _upload(scene)

    names = [asset.name for asset in scene.sealed.assets]
    assert moved == Moved(uploaded=tuple(names), kept=())
    assert scene.hub.writes_since() == [f"upload {name}" for name in names]
    assert scene.said[0] == f"[1/7] {BUNDLE}: uploading (41 bytes)"
    assert _complete(scene)


def test_what_is_there_and_right_is_kept(scene: Scene) -> None:
    _draft(scene, "manifest.json", BUNDLE)

    moved = _upload(scene)

    assert moved.kept == (BUNDLE, "manifest.json")
    assert len(moved.uploaded) == 5
    assert f"[1/7] {BUNDLE}: kept" in scene.said
    assert _complete(scene)


@pytest.mark.parametrize("state", ["starter", "new", "open"])
def test_an_unfinished_upload_is_replaced(scene: Scene, state: str) -> None:
    stored = next(iter(_draft(scene, "manifest.json").assets.values()))
    stored.state, stored.data = state, b""

    _upload(scene)

    assert scene.hub.writes_since()[3:5] == ["delete_asset 2", "upload manifest.json"]
    assert f"[4/7] manifest.json: replacing, since its state is {state} (14 bytes)" in scene.said
    assert _complete(scene)


def test_other_bytes_of_ours_are_replaced(scene: Scene) -> None:
    stored = next(iter(_draft(scene, "manifest.json").assets.values()))
    stored.data = bytes(14)
    stored.digest = f"sha256:{hashlib.sha256(stored.data).hexdigest()}"

    _upload(scene)

    assert "delete_asset 2" in scene.hub.writes_since()
    assert _complete(scene)


def test_without_a_digest_the_bytes_decide_and_are_read_once(scene: Scene) -> None:
    draft = _draft(scene, "manifest.json", "SHA256SUMS")
    good, bad = draft.assets.values()
    good.digest = bad.digest = None
    bad.data = bytes(11)

    moved = _upload(scene)

    assert "manifest.json" in moved.kept
    assert "SHA256SUMS" in moved.uploaded
    assert scene.hub.requests.count("download manifest.json") == 1
    assert _complete(scene)


def test_an_unknown_asset_stops_us_and_stays(scene: Scene) -> None:
    scene.hub._store(_draft(scene), "theirs.zip", b"x")

    with pytest.raises(PublishError, match=r"not part of this release: theirs\.zip") as caught:
        _upload(scene)

    assert caught.value.hint == "delete them from the draft on GitHub, and run again"
    assert scene.hub.writes_since() == []


def test_an_unknown_asset_that_turns_up_stops_us_at_the_next_look(scene: Scene) -> None:
    put = partial(scene.hub._store, _draft(scene), "theirs.zip", b"x")

    with pytest.raises(PublishError, match=r"theirs\.zip"):
        _upload(scene, Plan(once={"upload": [Trouble.SERVER_BEFORE]}, meanwhile={2: lambda: void(put())}))


def void(_: object) -> None:
    """Make an expression a call that gives nothing."""


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble.SERVER_BEFORE,
        Trouble.SERVER_AFTER,
        Trouble.RESET_BEFORE,
        Trouble.RESET_AFTER,
        Trouble.GARBLED,
        Trouble.HANG,
        Trouble.LIMITED,
        Trouble.LIMITED_SOON,
        Trouble.STARTER,
        Trouble.WRONG_BYTES,
        Trouble.WRONG_SIZE,
        Trouble.WRONG_LOST,
        Trouble.NULL_DIGEST,
        Trouble.NULL_WRONG,
        Trouble.RENAMED,
    ],
)
def test_every_fault_of_an_upload_is_got_over(scene: Scene, trouble: Trouble) -> None:
    moved = _upload(scene, Plan(once={"upload": [trouble, trouble]}))

    assert len(moved.uploaded) == 7
    assert _complete(scene)


def test_a_false_failure_uploads_nothing_twice(scene: Scene) -> None:
    _upload(scene, Plan(once={"upload": [Trouble.SERVER_AFTER]}))

    assert scene.hub.writes_since().count(f"upload {BUNDLE}") == 1


def test_a_name_that_is_taken_unseen_is_looked_at_again(scene: Scene) -> None:
    draft = _draft(scene)
    scene.hub._store(draft, BUNDLE, b"").state = "starter"
    unseen = draft.assets.copy()
    draft.assets.clear()
    # It is not in the list, and in the way: GitHub hides unfinished assets in places.
    moved = _upload(scene, Plan(meanwhile={3: lambda: draft.assets.update(unseen)}))

    assert BUNDLE in moved.uploaded
    assert _complete(scene)


def test_the_last_try_does_not_delete_without_uploading(scene: Scene) -> None:
    """Elsewhere (goreleaser #6878) the last try deleted the asset and gave up: here each try ends with an upload."""
    with pytest.raises(GitHubError, match=r"upload llama.* tried 10 times"):
        _upload(scene, Plan(always={"upload": Trouble.STARTER}))

    writes = scene.hub.writes_since()
    assert writes[-1] == f"upload {BUNDLE}"
    assert [write.split()[0] for write in writes] == ["upload", *["delete_asset", "upload"] * 9]
    assert _upload(scene).uploaded[0] == BUNDLE
    assert _complete(scene)


def test_a_deletion_that_fails_is_followed_by_an_upload_all_the_same(scene: Scene) -> None:
    next(iter(_draft(scene, BUNDLE).assets.values())).state = "starter"

    _upload(scene, Plan(once={"delete_asset": [Trouble.SERVER_AFTER, Trouble.NOT_FOUND]}))

    assert _complete(scene)


def test_what_is_stored_under_another_name_is_deleted_by_the_number_in_the_answer(scene: Scene) -> None:
    _upload(scene, Plan(once={"upload": [Trouble.RENAMED], "delete_asset": [Trouble.SERVER_BEFORE]}))

    assert scene.hub.writes_since()[:4] == [f"upload {BUNDLE}", "delete_asset 2", "delete_asset 2", f"upload {BUNDLE}"]
    assert _complete(scene)


def test_a_file_of_another_size_stops_us_before_it_is_sent(scene: Scene) -> None:
    path = scene.sealed.asset("manifest.json").path
    path.write_bytes(b"longer than before")

    with pytest.raises(PublishError, match=r"manifest\.json changed after it was sealed: it has 18 bytes") as caught:
        _upload(scene)

    assert caught.value.where == str(path)
    assert "upload manifest.json" not in scene.hub.writes_since()


def test_a_file_with_other_content_stops_us(scene: Scene) -> None:
    scene.sealed.asset("manifest.json").path.write_bytes(bytes(14))

    with pytest.raises(PublishError, match=r"manifest\.json changed after it was sealed: its content is another"):
        _upload(scene)

    assert "upload SHA256SUMS" not in scene.hub.writes_since()


def test_a_big_file_with_other_content_stops_us_when_it_arrived(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "_QUICKLY_READ", 10)
    scene.sealed.asset("manifest.json").path.write_bytes(bytes(14))

    with pytest.raises(PublishError, match=r"manifest\.json changed after it was sealed: its content is another"):
        _upload(scene)

    assert scene.hub.writes_since()[-1] == "upload manifest.json"
    assert scene.hub.published(TAG) == []


def test_a_file_that_is_gone_stops_us(scene: Scene) -> None:
    scene.sealed.asset("manifest.json").path.unlink()

    with pytest.raises(PublishError, match=r"it cannot be read any more \(No such file or directory\)"):
        _upload(scene)


def test_the_time_for_everything_ends_it(scene: Scene) -> None:
    scene.budget = 500.0

    with pytest.raises(GitHubError, match="for all of it are over"):
        _upload(scene, Plan(always={"upload": Trouble.HANG}))

    assert scene.hub.clock.now < 1000 + 500 + 200


def test_a_published_draft_is_not_written_to(scene: Scene) -> None:
    draft = _draft(scene)

    def publish() -> None:
        draft.release = replace(draft.release, draft=False)

    with pytest.raises(OvertakenError):
        _upload(scene, Plan(meanwhile={4: publish}))

    assert scene.hub.writes_since() == [f"upload {BUNDLE}"]


def test_a_draft_that_became_immutable_at_the_last_moment_is_not_written_to(scene: Scene) -> None:
    draft = _draft(scene)

    def publish() -> None:
        draft.release = replace(draft.release, draft=False, immutable=True)

    with pytest.raises(OvertakenError):
        _upload(scene, Plan(meanwhile={3: publish}))

    assert draft.assets == {}


def test_a_refusal_is_told_and_not_repeated(scene: Scene) -> None:
    with pytest.raises(GitHubError, match="upload llama"):
        _upload(scene, Plan(always={"upload": Trouble.FORBIDDEN}))

    assert len(scene.hub.writes_since()) == 1


def test_a_deleted_draft_is_told(scene: Scene) -> None:
    _draft(scene)

    with pytest.raises(PublishError, match="our draft 1 is gone: somebody deleted it"):
        _upload(scene, Plan(meanwhile={2: scene.hub.releases.clear}))


def test_the_state_says_what_is_under_way(scene: Scene) -> None:
    with pytest.raises(Killed):
        _upload(scene, Plan(at={5: Trouble.KILL_BEFORE}))

    found, _ = StateFile(scene.state)._read()
    assert found is not None
    states = [found.assets[asset.name] for asset in scene.sealed.assets]
    assert states[:3] == [AssetState.UPLOADED, AssetState.UPLOADING, AssetState.PLANNED]


def test_two_assets_of_one_name_are_not_decided_on(scene: Scene) -> None:
    draft = _draft(scene, "manifest.json")
    scene.hub._store(draft, "manifest.json", b"x")

    with pytest.raises(PublishError, match=r"two assets of one name: manifest\.json"):
        _upload(scene)
