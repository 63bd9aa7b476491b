from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from release.errors import ForeignReleaseError, GitHubError, VerifyError
from release.publish.outside import verify_outside
from release.publish.state import Phase, State, StateFile
from release.publish.work import Work
from tests.release.publish.fake_remote import Fake, FakeRemote, Plan, Stored, Trouble
from tests.release.publish.scene import TAG, Scene

pytestmark = pytest.mark.usefixtures("_quick")


def _published(scene: Scene) -> Fake:
    return scene.hub.add(TAG, draft=False, files=scene.files())


def _verify(scene: Scene, found: Fake, plan: Plan | None = None) -> StateFile:
    scene.hub.arm(plan)
    remote, file = FakeRemote(scene.hub), StateFile(scene.state)
    file.begin(State.fresh(scene.sealed, server=remote.where, previous=None), scene.said.append)
    work = Work.of(scene.sealed, remote, patience=scene.patience(), say=scene.said.append, state=file)
    verify_outside(work, FakeRemote(scene.hub, writer=False), found.release, scene.verify)
    return file


def _manifest(found: Fake) -> Stored:
    return next(stored for stored in found.assets.values() if stored.name == "manifest.json")


def test_what_is_right_is_done(scene: Scene) -> None:
    file = _verify(scene, _published(scene))

    assert file.state.phase is Phase.DONE
    assert scene.hub.writes_since() == []
    assert len(scene.verified) == 1


def _shorten(found: Fake) -> None:
    _manifest(found).size = 3


def _lengthen(found: Fake) -> None:
    _manifest(found).size = 14
    _manifest(found).data += b"more"


def _exchange(found: Fake) -> None:
    _manifest(found).data = bytes(14)


def _drop(found: Fake) -> None:
    del found.assets[_manifest(found).id]


def _add(found: Fake) -> None:
    found.assets[99] = Stored(id=99, name="theirs.zip", data=b"x")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_shorten, "manifest.json: it has 3 bytes instead of 14"),
        (_lengthen, "manifest.json: it has more than 14 bytes"),
        (_exchange, "manifest.json: its SHA-256 is 0b6b"),
        (_drop, "manifest.json: it is missing"),
        (_add, "theirs.zip is not part of this release"),
    ],
)
def test_what_is_public_and_wrong_is_told(scene: Scene, spoil: Callable[[Fake], None], problem: str) -> None:
    found = _published(scene)
    spoil(found)

    with pytest.raises(VerifyError) as caught:
        _verify(scene, found)

    (only,) = caught.value.problems
    assert only.startswith(problem.removesuffix("0b6b"))
    assert "withdraw the release" in str(caught.value.hint)
    assert scene.verified == []


def test_everything_that_is_wrong_is_told_at_once(scene: Scene) -> None:
    found = _published(scene)
    _add(found)
    _exchange(found)

    with pytest.raises(VerifyError) as caught:
        _verify(scene, found)

    assert len(caught.value.problems) == 2


def test_another_release_under_the_tag_is_told(scene: Scene) -> None:
    found = _published(scene)
    scene.hub.releases[7] = Fake(release=replace(found.release, id=7))
    del scene.hub.releases[found.release.id]

    with pytest.raises(ForeignReleaseError, match="under the tag release 7 is to be seen, and not 1"):
        _verify(scene, found)


def test_a_broken_download_is_tried_again(scene: Scene) -> None:
    faults = [Trouble.RESET_BEFORE, Trouble.HANG, Trouble.LIMITED_SOON]

    assert _verify(scene, _published(scene), Plan(once={"download": faults})).state.phase is Phase.DONE


def test_an_outage_leaves_the_verification_to_the_next_run(scene: Scene) -> None:
    found = _published(scene)

    with pytest.raises(GitHubError, match="as a user does: tried 10 times"):
        _verify(scene, found, Plan(always={"download": Trouble.SERVER_BEFORE}))

    assert _verify(scene, found).state.phase is Phase.DONE
