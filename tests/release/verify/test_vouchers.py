"""The four files that vouch for a release, on their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from release.errors import VerifyError
from release.model import ReleaseId
from release.verify.vouchers import verify_vouchers
from tests.release.builders import RELEASE, TODAY
from tests.release.verify.sealed import KEY, copy_of, edit_manifest, seal_it

FILES = ("SHA256SUMS", "SHA256SUMS.minisig", "manifest.json", "manifest.json.minisig")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = copy_of(seal_it(), tmp_path / "release")
    for path in folder.iterdir():
        if path.name not in FILES:
            path.unlink()
    return folder


def lines(folder: Path, release: ReleaseId = RELEASE) -> tuple[str, ...]:
    return verify_vouchers(folder, key=KEY.public, release=release, today=TODAY, minisign=lambda: None)


def test_they_hold_together(folder: Path) -> None:
    found = lines(folder)

    assert [line.split()[0] for line in found] == [
        "SHA256SUMS:", "nothing", "2", "manifest.json:", "manifest.json:", "manifest.json", "minisign:",
    ]  # fmt: skip
    assert found[5] == "manifest.json offers 4 bundles: the same names and digests as in SHA256SUMS"


@pytest.mark.parametrize("name", FILES)
def test_each_is_needed(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(VerifyError, match=rf"{name} is not in the folder"):
        lines(folder)


@pytest.mark.parametrize("other", [{"tag": "v9.9.9"}, {"repo": "a/b"}, {"commit": "ab" * 20}])
def test_they_must_be_of_this_release(folder: Path, other: dict[str, str]) -> None:
    with pytest.raises(VerifyError, match=rf"not for {next(iter(other.values()))}"):
        lines(folder, dataclasses.replace(RELEASE, **other))


def test_the_manifest_must_fit_the_sums(tmp_path: Path) -> None:
    folder = copy_of(seal_it(), tmp_path / "all")

    def change(manifest: dict[str, dict[str, str]]) -> None:
        manifest["provenance"]["sha256"] = "12" * 32

    edit_manifest(folder, change)
    for path in folder.iterdir():
        if path.name not in FILES:
            path.unlink()

    with pytest.raises(VerifyError, match=r"provenance\.intoto\.jsonl: manifest\.json says the SHA-256 1212"):
        lines(folder)
