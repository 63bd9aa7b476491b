from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from pipeline.report.html import render
from release.errors import ManifestError, SealError
from release.keys.keyfile import SecretKey
from release.keys.minisign import verify_file
from release.keys.trusted import parse
from release.manifest.reading import read
from release.model import AssetKind, Collection, Sealed
from release.seal import sbom_name, seal
from release.sums import parse_sums
from tests.release.builders import RELEASE, make_collection

KEY = SecretKey(key_id=b"\1" * 8, seed=b"\2" * 32)


@pytest.fixture(name="collection")
def _collection(tmp_path: Path) -> Collection:
    return make_collection(tmp_path)


@pytest.fixture(name="sealed")
def _sealed(collection: Collection) -> Sealed:
    return seal(collection, RELEASE, KEY, previous=None)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_folder_holds_exactly_the_assets(collection: Collection, sealed: Sealed) -> None:
    assert sorted(asset.name for asset in sealed.assets) == sorted(contents(collection.folder))
    for asset in sealed.assets:
        assert asset.path == collection.folder / asset.name
        assert asset.size == asset.path.stat().st_size > 0


def test_the_same_input_gives_the_same_bytes(collection: Collection, sealed: Sealed) -> None:
    first = contents(collection.folder)

    again = seal(collection, RELEASE, KEY, previous=None)

    assert contents(collection.folder) == first
    assert again == sealed


def test_the_sums_cover_every_asset_but_themselves(collection: Collection, sealed: Sealed) -> None:
    sums = parse_sums((collection.folder / "SHA256SUMS").read_bytes(), where="SHA256SUMS")

    expected = {asset.name: asset.sha256 for asset in sealed.assets}
    del expected["SHA256SUMS"], expected["SHA256SUMS.minisig"]
    assert dict(sums) == expected


@pytest.mark.parametrize("name", ["SHA256SUMS", "manifest.json"])
def test_signatures_are_bound_to_this_release(collection: Collection, sealed: Sealed, name: str) -> None:
    text = (collection.folder / f"{name}.minisig").read_text()

    trusted = parse(verify_file(collection.folder / name, text, KEY.public))

    assert trusted.check(
        repo=RELEASE.repo, tag=RELEASE.tag, commit=RELEASE.commit, manifest_sha256=sealed.manifest_sha256, file=name,
        epoch=collection.epoch,
    ) == ()  # fmt: skip


def test_what_vouches_for_the_rest_is_uploaded_last(sealed: Sealed) -> None:
    kinds = [asset.kind for asset in sealed.assets]

    assert kinds == sorted(kinds, key=list(AssetKind).index)
    assert kinds[0] is AssetKind.BUNDLE
    assert kinds[-1] is AssetKind.SIGNATURE
    sizes = [asset.size for asset in sealed.assets if asset.kind is AssetKind.BUNDLE]
    assert sizes == sorted(sizes, reverse=True)


def test_the_manifest_names_each_sbom_by_digest(collection: Collection, sealed: Sealed) -> None:
    manifest = read((collection.folder / "manifest.json").read_bytes())

    listed = {
        variant.artifact.name: variant.sbom
        for project in manifest.projects.values()
        for platform in project.platforms.values()
        for variant in platform.variants.values()
    }
    assert {bundle.asset for bundle in collection.bundles} == set(listed)
    for name, reference in listed.items():
        assert reference.name == sbom_name(name)
        assert reference.sha256 == sealed.asset(reference.name).sha256
    assert manifest.provenance.sha256 == sealed.asset("provenance.intoto.jsonl").sha256


def test_sboms_name_upstream_as_it_is_known(collection: Collection, sealed: Sealed) -> None:
    text = (collection.folder / sbom_name(collection.bundles[0].asset)).read_text()

    commit = collection.bundles[0].inspection.info.source.commit
    assert f"pkg:github/ggml-org/llama.cpp@{commit}" in text


def test_the_notes_lie_beside_with_the_marker(collection: Collection, sealed: Sealed) -> None:
    text = (collection.folder / "release" / "notes.md").read_text()

    assert text.splitlines()[-1] == sealed.marker
    assert f"minisign -Vqom SHA256SUMS -P {KEY.public.text} | sha256sum -c --ignore-missing" in text


def test_a_version_before_the_first_is_a_prerelease(collection: Collection, sealed: Sealed) -> None:
    assert not sealed.prerelease


def test_a_tag_of_another_version_is_refused(collection: Collection) -> None:
    other = dataclasses.replace(RELEASE, tag="v9.9.9")

    with pytest.raises(SealError, match=r"names version 9\.9\.9, the bundles are 0\.1\.0"):
        seal(collection, other, KEY, previous=None)


def test_a_stray_file_stops_the_seal(collection: Collection) -> None:
    (collection.folder / "notes.txt").write_text("mine")

    with pytest.raises(SealError, match=r"notes\.txt lies among the release's files"):
        seal(collection, RELEASE, KEY, previous=None)

    assert (collection.folder / "notes.txt").read_text() == "mine"
    assert not list(collection.folder.glob("*.minisig")), "nothing is signed beside it"


def test_a_strange_folder_stops_the_seal(collection: Collection) -> None:
    (collection.folder / "extra").mkdir()

    with pytest.raises(SealError, match="extra lies among the release's files and belongs to none of its parts"):
        seal(collection, RELEASE, KEY, previous=None)


@pytest.mark.parametrize("name", ["release", "logs", "manifest.json", "SHA256SUMS"])
def test_a_link_in_the_place_of_ours_stops_the_seal(collection: Collection, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = collection.folder / name
    if place.is_dir():
        place.rename(tmp_path / "away")
    place.symlink_to(elsewhere)

    with pytest.raises(SealError, match="is not the plain file or folder it should be"):
        seal(collection, RELEASE, KEY, previous=None)

    assert not list(elsewhere.iterdir())


def test_a_hostile_name_is_one_harmless_line(collection: Collection) -> None:
    (collection.folder / "a\n::error::b\x1b[31m").write_text("x")

    with pytest.raises(SealError) as caught:
        seal(collection, RELEASE, KEY, previous=None)

    assert "\n" not in caught.value.what
    assert "\x1b" not in caught.value.what


def test_half_made_files_never_lie_among_the_assets(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(contents(collection.folder))
    sync = os.fsync
    seen: set[str] = set()

    def look(descriptor: int) -> None:
        seen.update(contents(collection.folder))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    sealed = seal(collection, RELEASE, KEY, previous=None)

    assert seen - before <= {asset.name for asset in sealed.assets}


def test_an_sbom_of_an_earlier_seal_is_cleared_away(collection: Collection) -> None:
    old = collection.folder / "llama.cpp-0.1.0-linux-x86_64-gone.cdx.json"
    old.write_text("{}")

    seal(collection, RELEASE, KEY, previous=None)

    assert not old.exists()


def test_a_report_that_is_gone_is_named(collection: Collection) -> None:
    (collection.folder / "report.json").unlink()

    with pytest.raises(SealError, match="No such file") as caught:
        seal(collection, RELEASE, KEY, previous=None)

    assert caught.value.where == str(collection.folder / "report.json")


def test_the_page_is_made_again_from_the_report(collection: Collection) -> None:
    (collection.folder / "report.html").write_text("everything passed, trust me")

    seal(collection, RELEASE, KEY, previous=None)

    assert (collection.folder / "report.html").read_text(encoding="utf-8") == render(collection.report)


def test_no_release_follows_from_a_placeholder(collection: Collection) -> None:
    other = dataclasses.replace(RELEASE, commit="0" * 40)

    with pytest.raises(ManifestError, match="placeholder"):
        seal(collection, other, KEY, previous=None)


def test_the_secret_is_nowhere_in_what_is_written(collection: Collection, sealed: Sealed) -> None:
    everything = b"".join(contents(collection.folder).values()) + json.dumps(sealed.notes).encode()

    assert (b"\2" * 32) not in everything
    assert (b"\2" * 32).hex().encode() not in everything
