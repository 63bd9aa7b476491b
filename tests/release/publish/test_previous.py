from __future__ import annotations

import pytest

from release.errors import GitHubError
from release.publish.previous import MANIFEST_LIMIT, Previous, fetch_previous
from tests.release.publish.fake_remote import Fake, FakeRemote, Plan, Trouble
from tests.release.publish.scene import TAG, Scene


def _fetch(scene: Scene) -> Previous | None:
    remote = FakeRemote(scene.hub)
    return fetch_previous(remote.releases(), remote, tag=TAG, patience=scene.patience())


def _add(scene: Scene, tag: str, *, data: bytes = b"{}", draft: bool = False) -> Fake:
    return scene.hub.add(tag, draft=draft, files={"manifest.json": data})


def test_the_newest_release_of_another_tag_that_has_one(scene: Scene) -> None:
    _add(scene, "v1", data=b"1")
    _add(scene, "v2", data=b"2")
    scene.hub.add("v3", draft=False, files={"other": b"x"})
    _add(scene, "v4", data=b"4", draft=True)

    assert _fetch(scene) == Previous(tag="v2", data=b"2", signature=None)


def test_a_release_that_is_public_already_follows_those_before_it(scene: Scene) -> None:
    _add(scene, "v1", data=b"1")
    _add(scene, TAG, data=b"ours")
    _add(scene, "v2", data=b"2")

    found = _fetch(scene)

    assert found is not None
    assert found.tag == "v1"


def test_an_unfinished_manifest_is_none(scene: Scene) -> None:
    found = _add(scene, "v1")
    next(iter(found.assets.values())).state = "starter"

    assert _fetch(scene) is None


def test_a_manifest_of_any_length_is_not_read(scene: Scene) -> None:
    found = _add(scene, "v1", data=b"x" * (MANIFEST_LIMIT + 1))
    next(iter(found.assets.values())).size = 5  # the listing may lie

    with pytest.raises(GitHubError, match=f"longer than {MANIFEST_LIMIT} bytes"):
        _fetch(scene)


def test_other_bytes_than_listed_are_refused(scene: Scene) -> None:
    found = _add(scene, "v1")
    next(iter(found.assets.values())).data = b"[]"

    with pytest.raises(GitHubError, match="other bytes came than were listed"):
        _fetch(scene)


def test_fewer_bytes_than_listed_are_refused(scene: Scene) -> None:
    found = _add(scene, "v1")
    next(iter(found.assets.values())).size = 100

    with pytest.raises(GitHubError, match="only 2 of 100 bytes came"):
        _fetch(scene)


def test_a_broken_download_is_tried_again(scene: Scene) -> None:
    _add(scene, "v1")
    scene.hub.arm(Plan(once={"download": [Trouble.RESET_BEFORE, Trouble.LIMITED_SOON]}))

    assert _fetch(scene) is not None


def test_not_more_than_thirty_releases_are_looked_at(scene: Scene) -> None:
    _add(scene, "v0")
    for number in range(30):
        scene.hub.add(f"other{number}", draft=False)

    assert _fetch(scene) is None
