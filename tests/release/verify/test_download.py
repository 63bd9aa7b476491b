"""A published tag, downloaded by nobody in particular from a forge in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release.errors import GitHubError, VerifyError
from release.github.remote import RemoteAsset
from release.github.retry import Budget, Patience
from release.verify.download import verify_tag
from release.verify.result import Verified
from tests.release.builders import COMMIT, RELEASE, TODAY
from tests.release.publish.fake_remote import Fake, FakeHub, FakeRemote, Plan, Stored, Trouble
from tests.release.verify.sealed import CPU, KEY, seal_it

BUNDLE = f"{CPU}.tar.zst"


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(seal_it().iterdir()) if path.is_file()}


class Scene:
    """A forge with our release on it."""

    def __init__(self, folder: Path) -> None:
        self.hub = FakeHub(repo=RELEASE.repo)
        self.hub.tags[RELEASE.tag] = COMMIT
        self.release: Fake = self.hub.add(RELEASE.tag, draft=False, foreign=False, files=files())
        self.remote = FakeRemote(self.hub, writer=False)
        self.folder = folder
        self.said: list[str] = []

    def verify(self, **more: object) -> Verified:
        self.folder.mkdir(exist_ok=True)
        budget = Budget(3600, clock=self.hub.clock)
        known: dict[str, Any] = {
            "repo": RELEASE.repo,
            "tag": RELEASE.tag,
            "key": KEY.public,
            "today": TODAY,
            "into": self.folder,
            "patience": Patience(budget=budget, sleep=self.hub.clock.sleep, random=lambda: 0.5),
            "say": self.said.append,
            "minisign": lambda: None,
        }
        return verify_tag(self.remote, **known | more)

    def problems(self, **more: object) -> tuple[str, ...]:
        with pytest.raises(VerifyError) as caught:
            self.verify(**more)
        assert caught.value.where == "acme/llamatrix v0.1.0"
        assert self.hub.writes_since() == []
        return caught.value.problems

    def asset(self, name: str) -> Stored:
        return next(asset for asset in self.release.assets.values() if asset.name == name)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "into")


def test_a_good_release(scene: Scene) -> None:
    found = scene.verify()

    assert found.immutable is True
    assert (found.files, len(found.bundles), found.commit) == (13, 4, COMMIT)
    url = scene.release.release.url
    assert found.lines[0] == f"15 assets downloaded from {url} without an account"
    assert found.lines[1] == f"the tag v0.1.0 leads to commit {COMMIT}"
    assert found.lines[-1] == "the release is immutable: GitHub lets nobody change its files or move its tag"
    assert scene.said[0].startswith("downloading 15 files, ")
    assert scene.hub.writes_since() == []
    assert {path.name: path.read_bytes() for path in scene.folder.iterdir()} == files()


def test_a_release_that_can_be_changed_says_so(scene: Scene) -> None:
    scene.release.release = dataclasses.replace(scene.release.release, immutable=False)

    found = scene.verify(deep=False)

    assert found.immutable is False
    assert found.lines[-1].startswith("the release is not immutable: whoever may write to the repository can replace")


def test_passing_faults_are_tried_again(scene: Scene) -> None:
    scene.hub.arm(Plan(once={"download": [Trouble.SERVER_BEFORE, Trouble.RESET_BEFORE], "assets": [Trouble.LIMITED]}))

    assert scene.verify(deep=False).files == 13


def test_a_forge_that_does_not_answer(scene: Scene) -> None:
    scene.hub.arm(Plan(always={"release_by_tag": Trouble.SERVER_BEFORE}))

    with pytest.raises(GitHubError, match="look for the release: tried 10 times"):
        scene.verify()


def test_no_release(scene: Scene) -> None:
    scene.release.release = dataclasses.replace(scene.release.release, draft=True)

    assert scene.problems() == ("no release of v0.1.0 is published in acme/llamatrix",)


def drop(name: str) -> Callable[[Scene], object]:
    def change(scene: Scene) -> None:
        del scene.release.assets[scene.asset(name).id]

    return change


def content(name: str, data: bytes, *, honest: bool = True) -> Callable[[Scene], object]:
    """Replace an asset's bytes; an honest forge lists the new digest, another the old one."""

    def change(scene: Scene) -> None:
        old = scene.asset(name)
        if honest:
            del scene.release.assets[old.id]
            scene.hub._store(scene.release, name, data)
        else:
            old.data = data + b" " * (len(old.data) - len(data))

    return change


def listed(asset: str, /, **values: object) -> Callable[[Scene], object]:
    def change(scene: Scene) -> None:
        for field, value in values.items():
            setattr(scene.asset(asset), field, value)

    return change


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (drop(BUNDLE), f"{BUNDLE} is listed in SHA256SUMS and not in the folder"),
        (drop("SHA256SUMS"), "SHA256SUMS is not in the folder, so nothing says which files belong to the release"),
        (
            lambda scene: scene.hub._store(scene.release, "install.sh", b"x"),
            "install.sh is in the folder and not listed in SHA256SUMS",
        ),
        (content(BUNDLE, b"other"), f"{BUNDLE} cannot be opened: it is not readable as zstd"),
        (content("report.html", b"<script>"), "report.html has the SHA-256"),
        (content("report.html", b"<script>", honest=False), "report.html: GitHub lists sha256:"),
        (listed("report.html", digest="sha256:" + "12" * 32), f"report.html: GitHub lists sha256:{'12' * 32}, and sha"),
        (listed("report.html", size=3), "report.html: more than the listed 3 bytes came"),
        (listed("report.html", state="starter"), "report.html is starter, and not completely uploaded"),
        (listed("report.html", size=2**31), "report.html has 2147483648 bytes, which GitHub does not allow"),
        (listed("report.html", size=-1), "report.html has -1 bytes, which GitHub does not allow"),
        (listed("report.html", name="../x"), "an asset is called ../x, which is no name of ours"),
        (listed("report.html", name="a\nb"), "an asset is called a b, which is no name of ours"),
        (listed("report.html", name="report.json"), "two assets are called report.json"),
        (lambda scene: scene.release.assets.clear(), "the release has no assets"),
        (lambda scene: scene.hub.tags.clear(), "there is no tag v0.1.0"),
        (
            lambda scene: scene.hub.tags.update({"v0.1.0": "ab" * 20}),
            f"SHA256SUMS.minisig: the signature is for commit {COMMIT}, not for {'ab' * 20}",
        ),
    ],
)
def test_what_a_release_can_be_wrong_in(scene: Scene, change: Callable[[Scene], object], wanted: str) -> None:
    change(scene)

    found = scene.problems()

    assert any(problem.startswith(wanted) for problem in found), found


def test_the_tag_must_lead_to_the_commit_that_is_expected(scene: Scene) -> None:
    assert scene.problems(commit="ab" * 20) == (f"the tag v0.1.0 leads to commit {COMMIT}, not to {'ab' * 20}",)


def test_a_draft_or_another_tag_in_the_answer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = dataclasses.replace(scene.release.release, draft=True, tag="v9")
    monkeypatch.setattr(scene.remote, "release_by_tag", lambda tag: odd)

    assert scene.problems() == (
        f"release {odd.id} is a draft, and not published",
        f"release {odd.id} is of the tag v9, not of v0.1.0",
    )


def test_too_many_assets(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(
        RemoteAsset(id=at, name=f"a{at}", size=1, state="uploaded", digest=None, download_url="") for at in range(1001)
    )
    monkeypatch.setattr(scene.remote, "assets", lambda release_id: many)

    assert scene.problems() == ("the release has 1001 assets, more than the 1000 that GitHub allows",)


def test_a_disk_that_is_too_small(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    class Disk:
        free = 1000

    monkeypatch.setattr("release.verify.download.shutil.disk_usage", lambda path: Disk)

    (problem,) = scene.problems()

    assert problem.startswith("the assets have ")
    assert "and there are 1.0 kB free in " in problem


def test_only_an_empty_folder_is_filled(scene: Scene) -> None:
    scene.folder.mkdir()
    (scene.folder / "mine").write_text("mine")

    assert scene.problems() == (f"the folder {scene.folder} is not empty",)
    assert (scene.folder / "mine").read_text() == "mine"


def test_nothing_is_downloaded_twice_or_not_listed(scene: Scene) -> None:
    scene.verify(deep=False)

    downloads = [request.split()[1] for request in scene.hub.requests if request.startswith("download")]
    assert sorted(downloads) == sorted(files())


def test_a_file_that_ends_too_early_is_fetched_again_and_then_given_up(scene: Scene) -> None:
    scene.asset("report.html").size = 40_000

    with pytest.raises(GitHubError, match=r"download report\.html: tried 10 times .* only \d+ of 40000 bytes came"):
        scene.verify()


def test_a_listing_without_digests_is_enough(scene: Scene) -> None:
    for asset in scene.release.assets.values():
        asset.digest = None

    assert scene.verify(deep=False).files == 13
