from __future__ import annotations

from dataclasses import replace

import pytest

from release.errors import PreflightError
from release.model import ReleaseId
from release.publish.marker import text_of
from release.publish.preflight import Ready, before_build, before_upload
from tests.release.publish.fake_remote import FakeRemote, Plan, Trouble
from tests.release.publish.scene import COMMIT, TAG, Scene, make_sealed

API = "https://api.github.com"


def _build(
    scene: Scene, *, api: str = API, has_token: bool = True, forged: bool = False, version: str = "1.2.3"
) -> Ready:
    return before_build(
        scene.sealed.id,
        FakeRemote(scene.hub),
        version=version,
        patience=scene.patience(),
        api=api,
        has_token=has_token,
        forged=forged,
    )


def _upload(scene: Scene, *, api: str = API) -> Ready:
    return before_upload(scene.sealed, FakeRemote(scene.hub), patience=scene.patience(), api=api)


def _problems(scene: Scene, **how: object) -> tuple[str, ...]:
    with pytest.raises(PreflightError) as caught:
        _build(scene, **how)  # type: ignore[arg-type]
    assert scene.hub.writes_since() == []
    return caught.value.problems


def _upload_problems(scene: Scene, **how: str) -> tuple[str, ...]:
    with pytest.raises(PreflightError) as caught:
        _upload(scene, **how)
    assert scene.hub.writes_since() == []
    return caught.value.problems


def test_an_empty_repository_with_the_right_tag_is_ready(scene: Scene) -> None:
    for ready in (_build(scene), _upload(scene)):
        assert ready.published is None
        assert not ready.already
        assert ready.previous is None
        assert ready.immutable is True
        assert ready.warnings == ()
    assert scene.hub.writes_since() == []


def test_everything_that_is_wrong_is_told_at_once(scene: Scene) -> None:
    hub = scene.hub
    hub.repository = replace(hub.repository, full_name="new/name", can_push=False, clock_skew=-900.0)
    hub.tags[TAG] = "d" * 40
    hub.add(TAG, body="by hand")
    scene.want(replace(scene.sealed, version="9", forged=True, notes="x" * 130_000))

    problems = _upload_problems(scene)

    assert [problem.split(":")[0] for problem in problems] == [
        f"the release's text has {130_000 + len(scene.sealed.marker) + 3} characters, and GitHub takes 125000",
        "these bundles are the fake engine's",
        "the tag v1.2.3 does not name version 9",
        "the repository o/r is called new/name now",
        "the token may not write to new/name",
        "this machine's clock is 900 s ahead of the server's",
        f"the tag v1.2.3 leads to {'d' * 40}, and this release is of {COMMIT}",
        "the tag v1.2.3 has a draft that llamatrix did not make",
    ]


def test_a_missing_token_is_told_and_what_needs_none_is_looked_at(scene: Scene) -> None:
    scene.hub.tags[TAG] = None
    scene.hub.repository = replace(scene.hub.repository, can_push=False)

    problems = _problems(scene, has_token=False)

    assert problems[0].startswith("there is no token: put one with write access to contents into GITHUB_TOKEN")
    assert problems[1].startswith("there is no tag v1.2.3: push it first")
    assert len(problems) == 2


def test_a_token_that_is_not_accepted_is_told_once(scene: Scene) -> None:
    scene.hub.arm(Plan(always=dict.fromkeys(["repository", "tag_commit", "releases"], Trouble.UNAUTHORISED)))

    assert _problems(scene) == ("the token is not accepted: it is wrong, expired or revoked",)


def test_a_token_that_expires_meanwhile_is_told_once(scene: Scene) -> None:
    scene.hub.arm(Plan(always=dict.fromkeys(["tag_commit", "releases"], Trouble.UNAUTHORISED)))

    assert _problems(scene) == ("the token is not accepted: it is wrong, expired or revoked",)


def test_a_repository_that_is_not_there_is_told(scene: Scene) -> None:
    scene.hub.arm(Plan(always={"repository": Trouble.NOT_FOUND}))

    assert _problems(scene) == ("there is no repository o/r, or the token may not see it",)


def test_the_case_of_a_repositorys_name_does_not_matter(scene: Scene) -> None:
    scene.hub.repository = replace(scene.hub.repository, full_name="O/R")

    assert _build(scene).repository.full_name == "O/R"


@pytest.mark.parametrize("skew", [-299.0, 299.0])
def test_five_minutes_of_skew_are_tolerated(scene: Scene, skew: float) -> None:
    scene.hub.repository = replace(scene.hub.repository, clock_skew=skew)

    assert _build(scene).warnings == ()


def test_a_clock_that_is_behind_is_told(scene: Scene) -> None:
    scene.hub.repository = replace(scene.hub.repository, clock_skew=301.0)

    assert _problems(scene) == ("this machine's clock is 301 s behind the server's: set it",)


def test_what_cannot_be_known_is_a_warning(scene: Scene) -> None:
    scene.hub.repository = replace(scene.hub.repository, clock_skew=None)
    scene.hub.immutable = None

    warnings = _build(scene).warnings

    assert warnings[0] == "the server's clock could not be read, so ours was not compared with it"
    assert warnings[1] == "whether published releases are immutable here may not be asked with this token"


def test_immutable_releases_that_are_off_are_a_warning(scene: Scene) -> None:
    scene.hub.immutable = False

    ready = _build(scene)

    assert ready.immutable is False
    assert ready.warnings[0].startswith("immutable releases are off")


@pytest.mark.parametrize("api", ["http://127.0.0.1:8080", "http://localhost:1/api", "http://[::1]:5"])
def test_forged_bundles_may_go_to_this_machine(scene: Scene, api: str) -> None:
    assert _build(scene, api=api, forged=True).published is None


@pytest.mark.parametrize(
    "api",
    [API, "http://localhost.example.com", "http://10.0.0.1", "127.0.0.1", "", "http://[::1", "http://127.0.0.1.x"],
)
def test_forged_bundles_go_nowhere_else(scene: Scene, api: str) -> None:
    (problem,) = _problems(scene, api=api, forged=True)

    assert "this machine only" in problem


def test_a_tag_must_name_the_version(scene: Scene) -> None:
    assert _problems(scene, version="1.2") == ("the tag v1.2.3 does not name version 1.2: it must be v1.2 or 1.2",)


def test_foreign_drafts_are_told_with_number_and_address(scene: Scene) -> None:
    scene.hub.add("v9", body="another tag's")
    scene.hub.add(TAG, body="by hand")
    scene.hub.add(TAG, body=text_of(scene.sealed), foreign=False)
    scene.hub.add(TAG, body="")

    for problems in (_problems(scene), _upload_problems(scene)):
        assert [problem.split(": ")[1] for problem in problems] == [
            "2 (https://example.test/releases/2); delete it, or take another tag",
            "4 (https://example.test/releases/4); delete it, or take another tag",
        ]


def test_drafts_of_ours_are_fine_whatever_seal_they_are_of(scene: Scene) -> None:
    scene.hub.add(TAG, body=text_of(make_sealed(scene.folder / "x", salt="x")), foreign=False)

    assert _build(scene).published is None
    assert _upload(scene).published is None


def test_before_building_what_is_published_may_be_ours(scene: Scene) -> None:
    published = scene.hub.add(TAG, body=text_of(scene.sealed), draft=False, files=scene.files())

    ready = _build(scene)

    assert ready.published == published.release
    assert not ready.already


def test_equal_digests_mean_already_published(scene: Scene) -> None:
    scene.hub.add(TAG, body="edited later", draft=False, files=scene.files())

    ready = _upload(scene)

    assert ready.already
    assert ready.published is not None


def test_before_building_what_can_never_be_equal_is_told(scene: Scene) -> None:
    other = replace(scene.sealed, id=ReleaseId(repo="o/r", tag=TAG, commit="e" * 40))
    scene.hub.add(TAG, body=text_of(other), draft=False, files={"a.zip": b"x"})

    (problem,) = _problems(scene)

    assert "it has no manifest.json, so it is none of ours" in problem
    assert "it has no SHA256SUMS" in problem
    assert f"it was made from commit {'e' * 40}" in problem
    assert problem.endswith("published bytes are never changed: take a new version")


def test_other_bytes_under_the_tag_are_told(scene: Scene) -> None:
    files = scene.files()
    scene.hub.add(TAG, draft=False, files={**files, "manifest.json": b"other", "more": b"x"})

    (problem,) = _upload_problems(scene)

    assert "more is not part of this release; manifest.json: it has 5 bytes instead of 14" in problem


def test_a_published_release_without_digests_is_downloaded(scene: Scene) -> None:
    found = scene.hub.add(TAG, draft=False, files=scene.files())
    for stored in found.assets.values():
        stored.digest = None

    assert _upload(scene).already
    next(iter(found.assets.values())).data = bytes(41)
    assert "its content is another" in _upload_problems(scene)[0]


def test_two_assets_of_one_name_are_a_problem(scene: Scene) -> None:
    found = scene.hub.add(TAG, draft=False, files=scene.files())
    scene.hub._store(found, "manifest.json", b"twice")

    assert "two assets of one name: manifest.json" in _upload_problems(scene)[0]


def test_a_passing_fault_is_waited_for(scene: Scene) -> None:
    scene.hub.arm(Plan(at={1: Trouble.SERVER_BEFORE, 3: Trouble.LIMITED, 6: Trouble.RESET_BEFORE}))

    assert _build(scene).published is None


def test_a_fault_that_lasts_is_one_of_the_problems(scene: Scene) -> None:
    scene.hub.tags[TAG] = None
    scene.hub.arm(Plan(always={"releases": Trouble.SERVER_BEFORE}))

    problems = _problems(scene)

    assert problems[0].startswith("there is no tag")
    assert "list the releases: tried 10 times" in problems[1]


def test_an_outage_of_everything_is_told(scene: Scene) -> None:
    scene.hub.arm(Plan(always={"repository": Trouble.SERVER_BEFORE}))

    (problem,) = _problems(scene)

    assert "look at the repository: tried 10 times" in problem


def test_the_manifest_before_comes_with_it(scene: Scene) -> None:
    scene.hub.add("v1.2.2", draft=False, files={"manifest.json": b"{}", "manifest.json.minisig": b"sig"})

    previous = _build(scene).previous

    assert previous is not None
    assert (previous.tag, previous.data, previous.signature) == ("v1.2.2", b"{}", "sig")
