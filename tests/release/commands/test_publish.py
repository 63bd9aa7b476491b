"""The publishing commands in this process, with forged bundles and the fake GitHub."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from release.cli import main
from release.keys.keyfile import SecretKey
from release.manifest.reading import read
from tests.github.fake import FakeGitHub
from tests.github.state import PUSH_TOKEN, READ_TOKEN
from tests.rehearsal import COMMIT, Rehearsal

# Real servers on this machine, and the real minisign where there is one.
pytestmark = pytest.mark.process

REPO = "o/r"


@dataclass
class Scene:
    fake: FakeGitHub
    root: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def folder(self) -> Path:
        return self.root / "dist" / "0.1.0"

    def run(self, command: str, *more: str, tag: str = "v0.1.0", commit: str = COMMIT) -> tuple[int, str]:
        key = [] if command == "preflight" else ["--key", str(self.root / "minisign.key")]
        code = main(
            [command, "--tag", tag, "--repo", REPO, "--commit", commit, "--api", self.fake.url, *key,
             "--matrix", str(self.root / "matrix.yaml"), "--dist", str(self.root / "dist"), *more]
        )  # fmt: skip
        shown = self.capsys.readouterr()
        return code, shown.out + shown.err

    def writes(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.fake.requests if one.method not in {"GET", "HEAD"}]

    def published(self) -> list[str]:
        return [release.tag for release in self.fake.state.published()]


@pytest.fixture(name="forged", scope="module")
def _forged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("forged")
    rehearsal = Rehearsal(root)
    rehearsal.forge_bundles()
    rehearsal.keygen()
    return root


@pytest.fixture(name="scene")
def _scene(
    forged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Scene]:
    root = tmp_path / "root"
    shutil.copytree(forged, root, symlinks=True)
    for name in ("GITHUB_SHA", "GITHUB_REPOSITORY", "GITHUB_ACTIONS", "LLAMATRIX_SIGNING_KEY", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", PUSH_TOKEN)
    monkeypatch.chdir(root)
    with FakeGitHub(REPO, tags={"v0.1.0": COMMIT}) as fake:
        yield Scene(fake=fake, root=root, capsys=capsys)


def test_a_dry_run_shows_every_request_and_sends_none(scene: Scene) -> None:
    code, shown = scene.run("publish", "--dry-run")

    assert code == 0, shown
    assert scene.fake.requests == []
    sent = [line.partition("would send  ")[2] for line in shown.splitlines() if "would send" in line]
    assert sum("assets?name=" in line for line in sent) == 15
    assert any(line.startswith("PATCH ") for line in sent)
    assert "minisign -Vqom SHA256SUMS -P " in shown
    assert sorted(path.name for path in scene.folder.glob("*.json")) == ["report.json"], "a dry run leaves nothing"
    assert not (scene.folder / "SHA256SUMS").exists()


def test_a_dry_run_shows_the_requests_that_are_then_made(scene: Scene) -> None:
    _, shown = scene.run("publish", "--dry-run")
    planned = [line.partition("would send  ")[2].split()[0] for line in shown.splitlines() if "would send" in line]

    scene.run("publish")

    made = [request.split()[0] for request in scene.writes()]
    assert [word for word in planned if word not in {"GET", "HEAD"}] == made


def test_publishing_makes_one_release_and_a_second_run_none(scene: Scene) -> None:
    code, shown = scene.run("publish")
    assert code == 0, shown
    written = len(scene.writes())

    again, text = scene.run("publish")

    assert again == 0
    assert "already published, nothing was written" in text
    assert len(scene.writes()) == written
    assert scene.published() == ["v0.1.0"]


def test_the_next_release_counts_on_and_tells_what_changed(scene: Scene) -> None:
    scene.run("publish")
    next_version(scene, "0.2.0")

    code, shown = scene.run("publish", tag="v0.2.0")

    assert code == 0, shown
    manifest = read((scene.root / "dist" / "0.2.0" / "manifest.json").read_bytes())
    assert manifest.manifest_version == 2
    assert manifest.release.previous is not None
    assert manifest.release.previous.tag == "v0.1.0"
    assert sorted(scene.published()) == ["v0.1.0", "v0.2.0"]
    notes = (scene.root / "dist" / "0.2.0" / "release" / "notes.md").read_text()
    assert "v0.1.0" in notes


def test_a_fix_for_an_old_line_does_not_become_the_latest(scene: Scene) -> None:
    next_version(scene, "0.2.0")
    scene.run("publish", tag="v0.2.0")
    next_version(scene, "0.1.1")

    code, shown = scene.run("publish", tag="v0.1.1")

    assert code == 0, shown
    latest = {release.id: release.tag for release in scene.fake.state.published()}
    assert scene.fake.state.latest is not None
    assert latest[scene.fake.state.latest] == "v0.2.0"


def test_an_older_release_is_still_found_published_when_a_newer_one_is_out(scene: Scene) -> None:
    older = (scene.root / "matrix.yaml").read_text()
    scene.run("publish")
    next_version(scene, "0.2.0")
    scene.run("publish", tag="v0.2.0")
    written = len(scene.writes())
    (scene.root / "matrix.yaml").write_text(older)

    code, shown = scene.run("publish", tag="v0.1.0")

    assert code == 0, shown
    assert "already published" in shown
    assert len(scene.writes()) == written


def test_a_manifest_of_a_strangers_key_is_not_counted_on(scene: Scene) -> None:
    scene.run("publish")
    next_version(scene, "0.2.0")
    secret = scene.root / "minisign.key"
    secret.write_text(SecretKey.generate().file_text())

    code, shown = scene.run("publish", tag="v0.2.0")

    assert code == 22
    assert "none of our 1 keys signed it" in shown
    assert "python -m release rotate" in shown
    assert scene.published() == ["v0.1.0"]


def test_after_the_loss_of_the_key_a_higher_epoch_begins_anew(scene: Scene) -> None:
    scene.run("publish")
    next_version(scene, "0.2.0")
    (scene.root / "minisign.key").write_text(SecretKey.generate().file_text())
    matrix = scene.root / "matrix.yaml"
    matrix.write_text(matrix.read_text().replace("  epoch: 1\n  lifetime_days", "  epoch: 2\n  lifetime_days"))

    code, shown = scene.run("publish", tag="v0.2.0")

    assert code == 0, shown
    assert "versions begin anew" in shown
    manifest = read((scene.root / "dist" / "0.2.0" / "manifest.json").read_bytes())
    assert (manifest.epoch, manifest.manifest_version, manifest.release.previous) == (2, 1, None)


def test_after_a_rotation_the_old_keys_manifest_is_counted_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.run("publish")
    next_version(scene, "0.2.0")
    assert main(["keygen", "--no-password", "--key", "new.key", "--public-key", "new.pub"]) == 0
    assert main(["rotate", "--key", "minisign.key", "--new", "new.pub", "--repo", REPO, "--reason", "yearly"]) == 0
    shutil.move("new.key", "minisign.key")
    elsewhere = scene.root / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # keys/ belongs to the project, not to the folder the command was started in

    code, shown = scene.run("publish", tag="v0.2.0")

    assert code == 0, shown
    assert read((scene.root / "dist" / "0.2.0" / "manifest.json").read_bytes()).manifest_version == 2


def test_preflight_tells_every_reason_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", READ_TOKEN)

    code, shown = scene.run("preflight", tag="v9.9.9")

    assert code == 25
    assert "v9.9.9" in shown
    for reason in ("token", "version"):
        assert reason in shown
    assert shown.count("\n  - ") >= 3
    assert scene.writes() == []


def test_preflight_says_when_nothing_stands_in_the_way(scene: Scene) -> None:
    code, shown = scene.run("preflight")

    assert code == 0, shown
    assert "nothing stands in the way" in shown


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda scene: next(scene.folder.glob("*.tar.zst")).unlink(), 20, "llama.cpp-0.1.0"),
        (lambda scene: (scene.folder / "report.json").write_text("{}"), 20, "schema"),
        (lambda scene: (scene.root / "minisign.key").chmod(0o644), 21, "chmod 600"),
        (lambda scene: (scene.folder / "stranger.txt").write_text("?"), 24, "stranger.txt"),
    ],
)
def test_what_is_wrong_here_stops_it_before_anything_is_sent(
    scene: Scene, change: Callable[[Scene], object], code: int, message: str
) -> None:
    change(scene)

    found, shown = scene.run("publish")

    assert found == code, shown
    assert message in shown
    assert scene.writes() == []


def test_forged_bundles_never_go_to_github(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene.fake.__class__, "url", property(lambda self: "https://github.invalid/api/v3"))

    code, shown = scene.run("publish", "--dry-run")

    assert code == 24, shown
    assert not list(scene.folder.glob("*.minisig")), "nothing was signed"
    assert "rehearsal" in shown


def test_without_a_token_preflight_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.delenv("GH_TOKEN", raising=False)

    code, shown = scene.run("publish")

    assert code == 25
    assert "GITHUB_TOKEN" in shown


def test_sealing_needs_no_network_and_takes_a_manifest_from_a_file(scene: Scene) -> None:
    code, shown = scene.run("seal")
    assert code == 0, shown
    shutil.copy(scene.folder / "manifest.json", scene.root / "previous.json")
    shutil.copy(scene.folder / "manifest.json.minisig", scene.root / "previous.json.minisig")
    next_version(scene, "0.2.0")

    code, shown = scene.run("seal", "--previous", str(scene.root / "previous.json"), tag="v0.2.0")

    assert code == 0, shown
    assert "sealed 15 files" in shown
    assert scene.fake.requests == []
    assert read((scene.root / "dist" / "0.2.0" / "manifest.json").read_bytes()).manifest_version == 2


def test_a_manifest_from_a_file_must_be_signed_by_us(scene: Scene) -> None:
    scene.run("seal")
    shutil.copy(scene.folder / "manifest.json", scene.root / "previous.json")
    next_version(scene, "0.2.0")

    code, shown = scene.run("seal", "--previous", str(scene.root / "previous.json"), tag="v0.2.0")

    assert code == 2
    assert "previous.json.minisig" in shown


def test_a_previous_manifest_that_is_not_there_is_named(scene: Scene) -> None:
    code, shown = scene.run("seal", "--previous", "nowhere.json")

    assert code == 2
    assert "nowhere.json" in shown


@pytest.mark.parametrize("kind", ["pipe", "large"])
def test_a_previous_manifest_that_cannot_be_one_is_never_read_to_its_end(scene: Scene, kind: str) -> None:
    path = scene.root / "previous.json"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as stream:
            stream.truncate(1 << 40)

    code, shown = scene.run("seal", "--previous", str(path))

    assert code == 2
    assert "previous.json" in shown


def test_the_epoch_of_the_environment_is_the_releases_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    hour_ago = int(time.time()) - 3600
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(hour_ago))

    code, shown = scene.run("seal")

    assert code == 0, shown
    moment = datetime.datetime.fromtimestamp(hour_ago, tz=datetime.UTC)
    made = json.loads((scene.folder / "manifest.json").read_bytes())["generated_at"]
    assert datetime.datetime.fromisoformat(made) == moment


def test_a_release_that_no_user_could_verify_says_what_to_do_here(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    code, shown = scene.run("publish")

    assert code == 29
    assert "manifest.json expired on 2024-" in shown
    assert "nothing is published: mend what is listed, and seal again" in shown
    assert scene.writes() == []


def test_an_epoch_that_is_no_number_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")

    code, shown = scene.run("seal")

    assert code == 2
    assert "SOURCE_DATE_EPOCH" in shown


def next_version(scene: Scene, version: str) -> None:
    """Build the same cells again as another version."""
    rehearsal = Rehearsal(scene.root)
    before = (scene.root / "matrix.yaml").read_text()
    text = re.sub(r"(?m)^version: \S+$", f"version: {version}", before, count=1)
    rehearsal.matrix = scene.root / "matrix.yaml"
    rehearsal.matrix.write_text(text)
    rehearsal.build()
    scene.fake.state.add_tag(f"v{version}", COMMIT)
