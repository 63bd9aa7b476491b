"""For every way a release can be wrong there is a planted one, and the message that names it."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.errors import VerifyError
from release.notes.render import verify_command
from release.seal import MANIFEST_NAME, PROVENANCE_NAME, SIGNATURE_SUFFIX, SUMS_NAME, sbom_name
from release.verify import names
from release.verify.folder import verify_folder
from release.verify.program import Opinion
from tests.release.builders import COMMIT, FORGED, RELEASE, TODAY
from tests.release.verify.sealed import (
    CPU,
    KEY,
    OTHER,
    copy_of,
    digest,
    edit_json,
    follow,
    problems,
    resign,
    seal_it,
    sign,
    verify,
)
from tests.release.verify.signed import PROVENANCE, SIGNED
from tests.release.verify.unsigned import BUNDLE, UNSIGNED, Tamper, assert_found, flip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_of(seal_it(), tmp_path / "release")


def test_names_are_those_that_sealing_writes() -> None:
    assert (names.MANIFEST, names.PROVENANCE, names.SUMS) == (MANIFEST_NAME, PROVENANCE_NAME, SUMS_NAME)
    assert names.SIGNATURE == SIGNATURE_SUFFIX
    assert names.sbom_of(BUNDLE) == sbom_name(BUNDLE)


def test_a_good_folder(folder: Path) -> None:
    found = verify(folder)

    signed = (
        f"signed by key 0101010101010101 for acme/llamatrix v0.1.0, commit {COMMIT}, "
        f"manifest sha256:{digest(folder / 'manifest.json')}"
    )
    opened = "4 bundles opened: BUILD_INFO.json, sizes and every library as in manifest.json"
    assert found.lines == (
        f"SHA256SUMS: {signed}",
        "nothing else lies in the folder: 13 listed files",
        "13 files with the digests listed in SHA256SUMS",
        f"manifest.json: {signed}",
        "manifest.json: version 1 of epoch 1, good until 2027-05-20T10:51:32Z, of acme/llamatrix v0.1.0",
        "manifest.json offers 4 bundles: the same names and digests as in SHA256SUMS",
        "4 bundles with the sizes that manifest.json names",
        f"provenance.intoto.jsonl: signed by the same key, vouches for 4 bundles built from commit {COMMIT}",
        "4 SBOMs of these bundles; files compared one by one: 4 bundles",
        "report.json: the same digests, sizes and verdicts for 4 bundles",
        f"{opened}; measured again: licences, backend, abi, closure",
        "minisign: not installed: checked by llamatrix's own verifier only",
    )
    assert (found.repo, found.tag, found.commit) == (RELEASE.repo, RELEASE.tag, RELEASE.commit)
    assert (found.files, len(found.bundles), found.missing) == (13, 4, ())
    assert (found.manifest_version, found.deep, found.forged, found.minisign) == (1, True, False, None)
    assert json.loads(json.dumps(found.record()))["lines"] == list(found.lines)


def test_nothing_has_to_be_expected_but_the_key(folder: Path) -> None:
    assert verify(folder, repo=None, tag=None, commit=None).tag == "v0.1.0"


def test_a_folder_as_it_was_sealed(tmp_path: Path) -> None:
    shutil.copytree(seal_it(), tmp_path / "dist")
    for name in ("release", "logs"):
        (tmp_path / "dist" / name).mkdir(exist_ok=True)
        (tmp_path / "dist" / name / "state.json").write_text("{}", encoding="utf-8")

    assert verify(tmp_path / "dist").files == 13


def test_without_opening_the_bundles_that_is_said(folder: Path) -> None:
    found = verify(folder, deep=False)

    assert "4 SBOMs of these bundles; files compared one by one: 0 bundles" in found.lines
    assert "the bundles were not opened: what manifest.json says of their contents was not checked" in found.lines
    assert not any("measured again" in line for line in found.lines)


def keep(folder: Path, *kept: str) -> None:
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()


def test_a_user_who_downloaded_one_bundle(folder: Path) -> None:
    keep(folder, BUNDLE, "SHA256SUMS", "SHA256SUMS.minisig")

    found = verify(folder, partial=True)

    assert (found.files, found.bundles, found.manifest_version) == (1, (BUNDLE,), None)
    assert "1 file with the digests listed in SHA256SUMS" in found.lines
    assert "no bundle was opened: what is inside was not compared with anything" in found.lines
    assert any(
        line.startswith("not here, and not looked at: llama.cpp-0.1.0-linux-aarch64-cpu") for line in found.lines
    )
    assert not any("manifest.json" in line and "not here" not in line for line in found.lines[1:])


def test_one_bundle_with_its_papers(folder: Path) -> None:
    keep(
        folder, BUNDLE, f"{CPU}.cdx.json", "SHA256SUMS", "SHA256SUMS.minisig", "manifest.json", "manifest.json.minisig"
    )

    found = verify(folder, partial=True)

    assert found.manifest_version == 1
    assert "1 SBOM of these bundles; files compared one by one: 1 bundle" in found.lines
    assert "1 bundle with the sizes that manifest.json names" in found.lines
    assert any(line.startswith("1 bundle opened: ") for line in found.lines)


def test_a_part_without_a_bundle_is_nothing(folder: Path) -> None:
    keep(folder, "manifest.json", "manifest.json.minisig", "SHA256SUMS", "SHA256SUMS.minisig")

    assert problems(folder, partial=True) == ("not one bundle of the release is in the folder",)


def test_a_part_is_not_the_whole(folder: Path) -> None:
    keep(folder, BUNDLE, "SHA256SUMS", "SHA256SUMS.minisig")

    found = problems(folder)

    assert "manifest.json is listed in SHA256SUMS and not in the folder" in found
    assert len(found) == 12


def test_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="the folder cannot be read: No such file or directory"):
        verify(tmp_path / "none")


def test_an_empty_folder(tmp_path: Path) -> None:
    found = problems(tmp_path)

    assert found == ("SHA256SUMS is not in the folder, so nothing says which files belong to the release",)


def assert_noticed(folder: Path, wanted: list[str]) -> None:
    """Look without opening the bundles first, which is quicker, and open them if that does not tell."""
    shallow = problems(folder, deep=False)
    if not all(any(re.search(pattern, problem) for problem in shallow) for pattern in wanted):
        assert_found(problems(folder), wanted)


@pytest.mark.parametrize(("tamper", "wanted"), [row[1:] for row in UNSIGNED], ids=[row[0] for row in UNSIGNED])
def test_what_anybody_can_do(folder: Path, tamper: Tamper, wanted: list[str]) -> None:
    tamper(folder)

    assert_noticed(folder, wanted)


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({"key": OTHER.public}, "signed by key 0101010101010101, not by 0303030303030303"),
        ({"repo": "evil/x"}, "SHA256SUMS.minisig: the signature is for repository acme/llamatrix, not for evil/x"),
        ({"tag": "v0.2.0"}, "SHA256SUMS.minisig: the signature is for tag v0.1.0, not for v0.2.0"),
        ({"commit": "00" * 20}, f"manifest.json is for commit {COMMIT}, not for {'00' * 20}"),
        ({"at_least": 2}, "manifest.json has version 1, and 2 was seen before: an old release is offered as a new"),
        ({"today": datetime.date(2027, 5, 20)}, "manifest.json expired on 2027-05-20T10:51:32Z: look for a newer"),
        ({"today": datetime.date(2030, 1, 1)}, "manifest.json expired on 2027-05-20T10:51:32Z: look for a newer"),
    ],
)
def test_what_the_user_knows_decides(folder: Path, known: dict[str, Any], wanted: str) -> None:
    assert_found(problems(folder, **known), [wanted])


def test_what_was_reached_may_be_reached_again(folder: Path) -> None:
    assert verify(folder, at_least=1, today=datetime.date(2027, 5, 19)).manifest_version == 1


@pytest.mark.parametrize(("tamper", "wanted"), [row[1:] for row in SIGNED], ids=[row[0] for row in SIGNED])
def test_what_is_signed_and_does_not_fit(folder: Path, tamper: Tamper, wanted: list[str]) -> None:
    tamper(folder)

    assert_noticed(folder, wanted)


@pytest.mark.parametrize(("tamper", "wanted"), [row[1:] for row in PROVENANCE], ids=[row[0] for row in PROVENANCE])
def test_a_provenance_that_is_signed_and_does_not_fit(folder: Path, tamper: Tamper, wanted: list[str]) -> None:
    tamper(folder)

    assert_noticed(folder, [f"^provenance.intoto.jsonl: {pattern}" for pattern in wanted])


def test_a_provenance_without_the_manifest_is_compared_with_the_signature(folder: Path) -> None:
    sign(folder, "SHA256SUMS", repo="evil/x")
    keep(folder, BUNDLE, "SHA256SUMS", "SHA256SUMS.minisig", "provenance.intoto.jsonl")

    assert problems(folder, partial=True, repo=None) == (
        "provenance.intoto.jsonl: it is for repository https://github.com/acme/llamatrix, not for evil/x",
    )


def test_an_honest_change_that_is_signed_is_fine(folder: Path) -> None:
    """The helpers themselves break nothing, so that what they plant is what is found."""
    resign(folder)
    assert problems(folder) == ()
    follow(folder)
    assert problems(folder) == ()
    edit_json(folder / "manifest.json", lambda _: None)
    edit_json(folder / "report.json", lambda _: None)
    resign(folder)
    assert problems(folder) == ()


# Rehearsals.


def test_forged_bundles_are_fine_only_in_a_rehearsal(tmp_path: Path) -> None:
    shown = copy_of(seal_it(FORGED), tmp_path / "there")
    here = copy_of(seal_it(FORGED, "http://127.0.0.1:8080"), tmp_path / "here")
    named = copy_of(seal_it(FORGED, "http://localhost:8080"), tmp_path / "named")
    fraud = "provenance.intoto.jsonl: the bundles were forged for a rehearsal and hold no real program"
    told = "a rehearsal: the provenance says that these bundles were forged and hold no real program"

    assert problems(shown) == (fraud,)
    assert told in verify(shown, forged=True).lines
    assert told in verify(here).lines
    assert told in verify(named).lines
    assert verify(here).forged is True


# The real program, and others.


class Judge:
    version = "9.9"

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.asked: list[tuple[str, str, str]] = []

    def verify(self, file: Path, signature: Path, public_key: str) -> Opinion:
        self.asked.append((file.name, signature.name, public_key))
        return Opinion(agrees=file.name not in self.refused, reason="Signature verification failed")


def test_the_program_is_asked_for_both_signatures(folder: Path) -> None:
    judge = Judge()

    found = verify(folder, minisign=lambda: judge)

    assert judge.asked == [
        ("SHA256SUMS", "SHA256SUMS.minisig", KEY.public.text),
        ("manifest.json", "manifest.json.minisig", KEY.public.text),
    ]
    assert found.minisign == "9.9"
    assert found.lines[-1] == "minisign 9.9 agrees: SHA256SUMS and manifest.json"


def test_the_program_must_agree(folder: Path) -> None:
    found = problems(folder, minisign=lambda: Judge("manifest.json"))

    assert found == ("manifest.json: minisign 9.9 refuses it: Signature verification failed",)


@pytest.mark.tools
def test_the_real_program_agrees(folder: Path) -> None:
    found = verify_folder(folder, key=KEY.public, today=TODAY)

    assert found.minisign is not None
    assert found.lines[-1] == f"minisign {found.minisign} agrees: SHA256SUMS and manifest.json"


# Properties.


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_any_file_can_be_changed(folder: Path, data: st.DataObject) -> None:
    names = sorted(path.name for path in folder.iterdir())
    path = folder / data.draw(st.sampled_from(names), label="file")
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1), label="offset")
    changed = bytearray(good)
    changed[at] ^= data.draw(st.integers(1, 255), label="bits")
    path.write_bytes(changed)
    try:
        # The shallow verification checks less, so what it finds the deep one finds too.
        assert problems(folder, deep=False)
    finally:
        path.write_bytes(good)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_file_can_be_added(folder: Path, data: st.DataObject) -> None:
    alphabet = st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"])
    names = {path.name for path in folder.iterdir()} | {".", "..", "logs", "release"}
    name = data.draw(st.text(alphabet, min_size=1, max_size=40).filter(lambda name: name not in names), label="name")
    path = folder / name
    try:
        path.write_bytes(data.draw(st.binary(max_size=3)))
        assert problems(folder, deep=False)
    finally:
        path.unlink(missing_ok=True)


def test_no_file_can_be_taken_away(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        path.unlink()
        assert problems(folder, deep=False), path.name
        path.write_bytes(good)
    assert problems(folder) == ()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_signed_ends_in_a_verdict(folder: Path, data: st.DataObject) -> None:
    """Files of any content behind a good signature: no traceback, whatever they hold."""
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    name = data.draw(st.sampled_from(sorted(name for name in good if "minisig" not in name and name != "SHA256SUMS")))
    old = good[name]
    at, length = data.draw(st.integers(0, len(old))), data.draw(st.integers(0, 40))
    spliced = st.binary(max_size=40).map(lambda new: old[:at] + new + old[at + length :])
    (folder / name).write_bytes(data.draw(spliced | st.binary(max_size=200) | st.just(b"[" * 100_000)))
    resign(folder)
    try:
        problems(folder)
    finally:
        for path in folder.iterdir():
            path.unlink()
        for known, content in good.items():
            (folder / known).write_bytes(content)


@pytest.mark.tools
def test_the_one_command_of_the_notes(folder: Path) -> None:
    """What the notes tell users to type, typed into a real shell."""
    command = verify_command(KEY.public.text)

    def typed() -> int:
        return subprocess.run(["sh", "-c", command], cwd=folder, check=False, capture_output=True).returncode

    assert typed() == 0
    flip(BUNDLE, 100)(folder)
    assert typed() != 0
    flip(BUNDLE, 100)(folder)
    assert typed() == 0
    flip("SHA256SUMS", 3)(folder)
    assert typed() != 0
