from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from release.cli import main
from tests.rehearsal import COMMIT, REPO, Rehearsal

# The real minisign is asked where there is one.
pytestmark = pytest.mark.process


@pytest.fixture(name="sealed", scope="module")
def _sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sealed")
    rehearsal = Rehearsal(root)
    rehearsal.forge_bundles()
    rehearsal.keygen()
    rehearsal.run(
        "release", "seal", "--tag", "v0.1.0", "--repo", REPO, "--commit", COMMIT, "--api", "http://127.0.0.1:1",
        "--matrix", str(rehearsal.matrix), "--dist", str(rehearsal.dist), "--key", str(rehearsal.key),
    )  # fmt: skip
    return root


@pytest.fixture(name="folder")
def _folder(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_REPOSITORY", "LLAMATRIX_PUBLIC_KEY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLAMATRIX_PUBLIC_KEY", (sealed / "minisign.pub").read_text().splitlines()[1])
    return Path(shutil.copytree(sealed / "dist" / "0.1.0", tmp_path / "folder"))


def test_a_good_folder_is_verified_line_by_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(folder), "--repo", REPO, "--tag", "v0.1.0", "--commit", COMMIT]) == 0

    shown = capsys.readouterr().out
    assert shown.splitlines()[-1].startswith(f"verified: {REPO} v0.1.0, 4 bundles, key ")
    assert "13 files with the digests listed in SHA256SUMS" in shown


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--repo", "other/repo"], "other/repo"),
        (["--tag", "v9.9.9"], "v9.9.9"),
        (["--commit", "f" * 40], "f" * 40),
        (["--at-least", "2"], "2"),
    ],
)
def test_a_folder_of_something_else_is_refused(
    folder: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(folder), *more]) == 29

    assert message in capsys.readouterr().err


def test_one_downloaded_bundle_is_enough_if_that_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in list(folder.glob("*.tar.zst"))[1:]:
        path.unlink()

    assert main(["verify", str(folder)]) == 29
    assert main(["verify", str(folder), "--partial"]) == 0


def test_a_key_found_in_the_folder_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LLAMATRIX_PUBLIC_KEY")

    assert main(["verify", str(folder)]) == 21

    assert "no public key was given" in capsys.readouterr().err


def test_a_tag_needs_a_repository(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "v0.1.0"]) == 2

    assert "--repo" in capsys.readouterr().err


def test_a_tag_is_verified_as_a_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "v0.1.0", "--repo", REPO, "--partial"]) == 2

    assert "as a whole" in capsys.readouterr().err


def test_two_tags_are_one_too_many(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "v0.1.0", "--repo", REPO, "--tag", "v0.2.0"]) == 2

    assert "two tags" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["named", "environment", "found here"])
def test_a_key_from_the_release_itself_proves_nothing(
    sealed: Path, folder: Path, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(sealed / "minisign.pub", folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LLAMATRIX_PUBLIC_KEY")
    if how == "environment":
        monkeypatch.setenv("LLAMATRIX_PUBLIC_KEY", str(folder / "minisign.pub"))
    named = ["--public-key", "minisign.pub"] if how == "named" else []

    assert main(["verify", ".", *named]) == 21

    assert "proves nothing there" in capsys.readouterr().err
