"""For every way a release can be wrong there is a planted one, and the message that names it."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.errors import VerifyError
from release.seal import MANIFEST_NAME, PROVENANCE_NAME, SIGNATURE_SUFFIX, SUMS_NAME, sbom_name
from release.verify import names
from release.verify.folder import verify_folder
from release.verify.program import Opinion
from tests.release.builders import COMMIT, FORGED, RELEASE, TODAY
from tests.release.verify.sealed import (
    CPU,
    KEY,
    OTHER,
    VULKAN,
    copy_of,
    digest,
    edit_json,
    edit_manifest,
    follow,
    problems,
    resign,
    seal_it,
    sign,
    verify,
)

BUNDLE = f"{CPU}.tar.zst"
Tamper = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_of(seal_it(), tmp_path / "release")


def cpu(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["projects"]["llama.cpp"]["platforms"]["linux-x86_64"]["variants"]["cpu"]
    return found


def test_names_are_those_that_sealing_writes() -> None:
    assert (names.MANIFEST, names.PROVENANCE, names.SUMS) == (MANIFEST_NAME, PROVENANCE_NAME, SUMS_NAME)
    assert names.SIGNATURE == SIGNATURE_SUFFIX
    assert names.sbom_of(BUNDLE) == sbom_name(BUNDLE)


def test_a_good_folder(folder: Path) -> None:
    found = verify(folder)

    assert found.lines == (
        f"SHA256SUMS: signed by key 0101010101010101 for acme/llamatrix v0.1.0, commit {COMMIT}, "
        f"manifest sha256:{digest(folder / 'manifest.json')}",
        "nothing else lies in the folder: 13 listed files",
        "13 files with the digests listed in SHA256SUMS",
        f"manifest.json: signed by key 0101010101010101 for acme/llamatrix v0.1.0, commit {COMMIT}, "
        f"manifest sha256:{digest(folder / 'manifest.json')}",
        "manifest.json: version 1 of epoch 1, good until 2027-05-20T10:51:32Z, of acme/llamatrix v0.1.0",
        "manifest.json offers 4 bundles: the same names and digests as in SHA256SUMS",
        "4 bundles with the sizes that manifest.json names",
        f"provenance.intoto.jsonl: signed by the same key, vouches for 4 bundles built from commit {COMMIT}",
        "4 SBOMs of these bundles; files compared one by one: 4 bundles",
        "report.json: the same digests, sizes and verdicts for 4 bundles",
        "4 bundles opened: BUILD_INFO.json, sizes and every library as in manifest.json; "
        "measured again: licences, backend, abi, closure",
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
    (tmp_path / "dist" / "release-state.json").write_text("{}", encoding="utf-8")

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
    assert any(line.startswith("not here, and not looked at: llama.cpp-0.1.0-linux-aarch64-cpu") for line in found.lines)
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


# What anybody can do to the files.


def append(name: str, data: bytes) -> Tamper:
    def tamper(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(data)

    return tamper


def flip(name: str, at: int) -> Tamper:
    def tamper(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] ^= 1
        (folder / name).write_bytes(data)

    return tamper


def swap(one: str, other: str) -> Tamper:
    def tamper(folder: Path) -> None:
        first, second = (folder / one).read_bytes(), (folder / other).read_bytes()
        (folder / one).write_bytes(second)
        (folder / other).write_bytes(first)

    return tamper


def rewrite(name: str, change: Callable[[str], str]) -> Tamper:
    def tamper(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes().decode()).encode())

    return tamper


def link(folder: Path) -> None:
    (folder / BUNDLE).rename(folder.parent / "elsewhere")
    (folder / BUNDLE).symlink_to(folder.parent / "elsewhere")


def own_key_beside(folder: Path) -> None:
    """An attacker signs everything with a key of his own and puts that beside it."""
    for name in ("manifest.json", "SHA256SUMS"):
        sign(folder, name, key=OTHER)
    (folder / "minisign.pub").write_text(OTHER.public.file_text(), encoding="ascii")


UNSIGNED: list[tuple[str, Tamper, list[str]]] = [
    (
        "a byte of a bundle",
        flip(BUNDLE, 100),
        [rf"{BUNDLE} has the SHA-256 [0-9a-f]{{64}}, SHA256SUMS lists [0-9a-f]{{64}}: download it again"],
    ),
    ("a longer bundle", append(BUNDLE, b"x"), [rf"{BUNDLE} has the SHA-256", f"{BUNDLE} has .* bytes, manifest.json"]),
    ("a cut bundle", lambda folder: os.truncate(folder / BUNDLE, 500), [f"{BUNDLE} cannot be opened: "]),
    ("an empty bundle", lambda folder: os.truncate(folder / BUNDLE, 0), [f"{BUNDLE} is empty"]),
    (
        "two bundles swapped",
        swap(BUNDLE, f"{VULKAN}.tar.zst"),
        [f"{BUNDLE} has the SHA-256", f"{VULKAN}.tar.zst has the SHA-256"],
    ),
    ("a bundle gone", lambda folder: (folder / BUNDLE).unlink(), [f"{BUNDLE} is listed in SHA256SUMS and not in"]),
    (
        "a bundle renamed",
        lambda folder: (folder / BUNDLE).rename(folder / "x.tar.zst"),
        [f"{BUNDLE} is listed in SHA256SUMS and not in the folder", "x.tar.zst is in the folder and not listed in"],
    ),
    ("a link in a bundle's place", link, [f"{BUNDLE} is neither a file nor a folder", f"{BUNDLE} is listed"]),
    (
        "a file more",
        lambda folder: (folder / "install.sh").write_text("rm"),
        ["install.sh is in the folder and not listed in SHA256SUMS"],
    ),
    ("a hidden file more", lambda folder: (folder / ".x").write_text(""), [".x is in the folder and not listed in"]),
    ("a folder more", lambda folder: (folder / "bin").mkdir(), ["bin is a folder, and a release has none"]),
    ("a pipe", lambda folder: os.mkfifo(folder / "pipe"), ["pipe is neither a file nor a folder"]),
    ("the report", append("report.json", b" "), ["report.json has the SHA-256"]),
    ("the page", append("report.html", b" "), ["report.html has the SHA-256"]),
    ("an SBOM", flip(f"{CPU}.cdx.json", 50), [f"{CPU}.cdx.json has the SHA-256"]),
    (
        "the provenance",
        flip("provenance.intoto.jsonl", 300),
        ["provenance.intoto.jsonl has the SHA-256", "provenance.intoto.jsonl: "],
    ),
    (
        "the manifest",
        rewrite("manifest.json", lambda text: text.replace('"timeout_s": 30', '"timeout_s": 31')),
        ["manifest.json has the SHA-256", "manifest.json.minisig: the signature does not fit"],
    ),
    (
        "the manifest's signature gone",
        lambda folder: (folder / "manifest.json.minisig").unlink(),
        ["manifest.json.minisig is not in the folder, so nothing vouches for manifest.json"],
    ),
    (
        "the sums",
        rewrite("SHA256SUMS", lambda text: text.replace("0", "1", 1)),
        ["SHA256SUMS.minisig: the signature does not fit", "has the SHA-256"],
    ),
    (
        "a name out of the sums",
        rewrite("SHA256SUMS", lambda text: "".join(line for line in text.splitlines(True) if BUNDLE not in line)),
        [
            "SHA256SUMS.minisig: the signature does not fit",
            f"{BUNDLE} is in the folder and not listed in SHA256SUMS",
            f"manifest.json offers {BUNDLE}, and SHA256SUMS does not list it",
            f"it vouches for {BUNDLE}, which is no bundle of the release",
        ],
    ),
    (
        "no sums",
        lambda folder: (folder / "SHA256SUMS").unlink(),
        ["SHA256SUMS is not in the folder, so nothing says which files belong to the release"],
    ),
    (
        "no signature",
        lambda folder: (folder / "SHA256SUMS.minisig").unlink(),
        ["SHA256SUMS.minisig is not in the folder, so nothing vouches for SHA256SUMS"],
    ),
    ("an empty signature", lambda folder: os.truncate(folder / "SHA256SUMS.minisig", 0), ["SHA256SUMS.minisig: "]),
    ("garbage for sums", rewrite("SHA256SUMS", lambda _: "hello\n"), ["SHA256SUMS: line 1 is no digest"]),
    (
        "too many sums",
        rewrite("SHA256SUMS", lambda _: "x" * (2 << 20)),
        ["SHA256SUMS has more than 1,048,576 bytes, which no SHA256SUMS of ours has"],
    ),
    (
        "the signatures swapped",
        swap("SHA256SUMS.minisig", "manifest.json.minisig"),
        ["SHA256SUMS.minisig: the signature does not fit", "manifest.json.minisig: the signature does not fit"],
    ),
    (
        "the trusted comment",
        rewrite("SHA256SUMS.minisig", lambda text: text.replace("tag=v0.1.0", "tag=v0.9.0")),
        ["SHA256SUMS.minisig: the trusted comment was changed after signing"],
    ),
    (
        "the untrusted comment",
        rewrite("SHA256SUMS.minisig", lambda text: text.replace("signature of", "call 555-1234:")),
        ["SHA256SUMS.minisig: its untrusted comment is not the one llamatrix writes"],
    ),
    (
        "Windows line ends in a signature",
        rewrite("SHA256SUMS.minisig", lambda text: text.replace("\n", "\r\n")),
        ["SHA256SUMS.minisig: it was changed after it was written: lines were added or line ends replaced"],
    ),
    (
        "lines behind a signature",
        append("SHA256SUMS.minisig", b"P.S.\n"),
        ["SHA256SUMS.minisig: it was changed after it was written"],
    ),
    (
        "another key, lying beside its work",
        own_key_beside,
        [
            "SHA256SUMS.minisig: signed by key 0303030303030303, not by 0101010101010101",
            "minisign.pub is in the folder and not listed",
        ],
    ),
    (
        "everything at once",
        lambda folder: [
            flip(BUNDLE, 9)(folder),
            append("report.json", b"\n")(folder),
            (folder / "x").touch(),
            (folder / f"{VULKAN}.tar.zst").unlink(),
        ],
        [f"{BUNDLE} has the SHA-256", "report.json has the SHA-256", "x is in the folder", f"{VULKAN}.tar.zst is list"],
    ),
]


def assert_found(found: tuple[str, ...], wanted: list[str]) -> None:
    for pattern in wanted:
        assert any(re.search(pattern, problem) for problem in found), (pattern, found)


@pytest.mark.parametrize(("tamper", "wanted"), [row[1:] for row in UNSIGNED], ids=[row[0] for row in UNSIGNED])
def test_what_anybody_can_do(folder: Path, tamper: Tamper, wanted: list[str]) -> None:
    tamper(folder)

    assert_found(problems(folder), wanted)
    assert problems(folder, deep=False)


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


# What only a holder of the key, or a bug of ours, can do: everything is signed, and something does not fit.


def change_cpu(change: Callable[[dict[str, Any]], object]) -> Tamper:
    return lambda folder: edit_manifest(folder, lambda manifest: change(cpu(manifest)))


def no_manifest_listed(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    kept = [line for line in lines if "manifest.json" not in line and "provenance" not in line]
    (folder / "SHA256SUMS").write_text("".join(kept))
    sign(folder, "SHA256SUMS")


def zero_digest(folder: Path) -> None:
    text = (folder / "SHA256SUMS").read_text()
    (folder / "SHA256SUMS").write_text(text.replace(digest(folder / BUNDLE), "0" * 64))
    sign(folder, "SHA256SUMS")


def lists_itself(folder: Path) -> None:
    lines = [*(folder / "SHA256SUMS").read_text().splitlines(keepends=True), f"{'12' * 32}  SHA256SUMS\n"]
    (folder / "SHA256SUMS").write_text("".join(sorted(lines, key=lambda line: line[66:])))
    sign(folder, "SHA256SUMS")


def without_bundles(folder: Path) -> None:
    for path in (*folder.glob("*.tar.zst"), *folder.glob("*.cdx.json")):
        path.unlink()
    resign(folder)


def signed_for_another_file(folder: Path) -> None:
    sign(folder, "SHA256SUMS", file="manifest.json")


def no_comment_of_ours(folder: Path) -> None:
    from release.keys.minisign import sign_file  # noqa: PLC0415

    text = sign_file(folder / "SHA256SUMS", KEY, trusted="timestamp:1 file:SHA256SUMS")
    (folder / "SHA256SUMS.minisig").write_text(text)


def old_manifest(folder: Path) -> None:
    """A manifest of another release, with its good signature of that time."""
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"v0.1.0"', '"v0.0.9"').replace("/v0.1.0/", "/v0.0.9/"))
    sign(folder, "manifest.json", tag="v0.0.9")
    signature = (folder / "manifest.json.minisig").read_bytes()
    resign(folder)
    (folder / "manifest.json.minisig").write_bytes(signature)


def unoffered(folder: Path) -> None:
    (folder / "llama.cpp-0.1.0-linux-x86_64-extra.tar.zst").write_bytes((folder / BUNDLE).read_bytes())
    resign(folder)


def stray_sbom(folder: Path) -> None:
    (folder / "other.cdx.json").write_bytes(b"{}")
    resign(folder)


def forget_provenance(folder: Path) -> None:
    (folder / "provenance.intoto.jsonl").write_bytes(b"{}\n")
    follow(folder)


def edit_sbom(change: Callable[[dict[str, Any]], object]) -> Tamper:
    def tamper(folder: Path) -> None:
        edit_json(folder / f"{CPU}.cdx.json", change)
        follow(folder)

    return tamper


def forget_file(bom: dict[str, Any]) -> None:
    bom["components"] = [one for one in bom["components"] if one["name"] != "libllama.so"]


def other_file(bom: dict[str, Any]) -> None:
    for one in bom["components"]:
        if one["type"] == "file" and one["name"].endswith("llama-cli"):
            one["hashes"][0]["content"] = "ab" * 32
            one["name"] = one["name"]


def edit_report(change: Callable[[dict[str, Any]], object]) -> Tamper:
    def tamper(folder: Path) -> None:
        edit_json(folder / "report.json", change)
        resign(folder)

    return tamper


def record(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(cell for cell in report["cells"] if cell["id"] == "llama.cpp/linux-x86_64/cpu")
    return found


def forget_record(report: dict[str, Any]) -> None:
    report["cells"] = [cell for cell in report["cells"] if cell["id"] != "llama.cpp/linux-x86_64/cpu"]


def fail_gate(report: dict[str, Any]) -> None:
    verdict = next(verdict for verdict in record(report)["verdicts"] if verdict["gate"] == "smoke")
    verdict["status"] = "skipped"


SIGNED: list[tuple[str, Tamper, list[str]]] = [
    (
        "no manifest listed",
        no_manifest_listed,
        ["SHA256SUMS does not list manifest.json$", "SHA256SUMS does not list manifest.json.minisig"],
    ),
    ("a digest of zeros", zero_digest, [f"SHA256SUMS: line 6 gives {BUNDLE} an all-zero digest"]),
    ("sums of the sums", lists_itself, ["SHA256SUMS lists SHA256SUMS, which cannot be"]),
    ("no bundle", without_bundles, ["SHA256SUMS lists no bundle", f"offers {BUNDLE}, and SHA256SUMS does not list it"]),
    (
        "sums signed as another file",
        signed_for_another_file,
        ["SHA256SUMS.minisig: the signature is for file manifest.json, not for SHA256SUMS"],
    ),
    (
        "sums signed without a comment of ours",
        no_comment_of_ours,
        ["SHA256SUMS.minisig: the trusted comment has 2 fields instead of 6"],
    ),
    (
        "sums signed for another manifest",
        lambda folder: sign(folder, "SHA256SUMS", manifest_sha256="12" * 32),
        [f"manifest.json has the SHA-256 .*, the signature of SHA256SUMS is for a release with {'12' * 32}"],
    ),
    (
        "an old manifest with its old signature",
        old_manifest,
        [
            "manifest.json.minisig: the signature is for tag v0.0.9, not for v0.1.0 as that of SHA256SUMS is",
            "manifest.json is for tag v0.0.9, not for v0.1.0",
        ],
    ),
    (
        "signed at another time than it was made",
        lambda folder: resign(folder, epoch=1),
        ["manifest.json is for time 2026-11-21T10:51:32Z, not for 1970-01-01T00:00:01Z"],
    ),
    (
        "another repository in the manifest",
        lambda folder: edit_manifest(folder, lambda manifest: manifest["release"].update(repo="evil/x")),
        ["manifest.json: .*is not in the release, where it would be", ],
    ),
    (
        "another version than the tag's",
        lambda folder: edit_manifest(folder, lambda manifest: manifest["release"].update(version="9.9.9")),
        ["manifest.json gives version 9.9.9 to the tag v0.1.0"],
    ),
    (
        "a manifest that is no JSON",
        lambda folder: [(folder / "manifest.json").write_text("{"), resign(folder)],
        ["manifest.json: it is not JSON"],
    ),
    (
        "a key nobody knows",
        lambda folder: edit_manifest(folder, lambda manifest: manifest.update(extra=1)),
        ["manifest.json: Object contains unknown field `extra`"],
    ),
    (
        "a digest of zeros in the manifest",
        change_cpu(lambda entry: entry["artifact"].update(sha256="0" * 64)),
        [f"manifest.json: llama.cpp/linux-x86_64/cpu: the digest of {BUNDLE} is a placeholder"],
    ),
    (
        "a size of 0 in the manifest",
        change_cpu(lambda entry: entry["artifact"].update(size=0)),
        ["manifest.json: Expected `int` >= 1"],
    ),
    (
        "a revoked bundle",
        lambda folder: edit_manifest(
            folder, lambda manifest: manifest.update(revoked=[{"sha256": digest(folder / BUNDLE), "reason": "crashes"}])
        ),
        ["llama.cpp/linux-x86_64/cpu is released and revoked: crashes"],
    ),
    (
        "another digest in the manifest",
        change_cpu(lambda entry: entry["artifact"].update(sha256="12" * 32)),
        [f"{BUNDLE}: manifest.json says the SHA-256 {'12' * 32}, SHA256SUMS says [0-9a-f]{{64}}"],
    ),
    (
        "another size in the manifest",
        change_cpu(lambda entry: entry["artifact"].update(size=12)),
        [f"{BUNDLE} has [0-9]+ bytes, manifest.json says 12"],
    ),
    (
        "another unpacked size in the manifest",
        change_cpu(lambda entry: entry["artifact"].update(unpacked_size=12)),
        [f"{BUNDLE}: its unpacked size is [0-9]+, manifest.json says 12"],
    ),
    (
        "a bundle the manifest does not offer",
        unoffered,
        ["SHA256SUMS lists the bundle .*extra.tar.zst, and manifest.json does not offer it", "it does not vouch for"],
    ),
    (
        "a bundle the sums do not list",
        lambda folder: edit_manifest(
            folder,
            lambda manifest: cpu(manifest)["artifact"].update(
                name="gone.tar.zst",
                top="gone",
                urls=["https://github.com/acme/llamatrix/releases/download/v0.1.0/gone.tar.zst"],
            ),
        ),
        ["manifest.json offers gone.tar.zst, and SHA256SUMS does not list it"],
    ),
    (
        "a reference to another SBOM",
        change_cpu(lambda entry: entry["sbom"].update(name="x.cdx.json")),
        [
            f"manifest.json refers to x.cdx.json, where {CPU}.cdx.json belongs",
            "manifest.json refers to x.cdx.json, and SHA256SUMS does not list it",
        ],
    ),
    (
        "another digest of the SBOM",
        change_cpu(lambda entry: entry["sbom"].update(sha256="12" * 32)),
        [f"{CPU}.cdx.json: manifest.json says the SHA-256 {'12' * 32}, SHA256SUMS says"],
    ),
    (
        "another digest of the provenance",
        lambda folder: edit_manifest(folder, lambda manifest: manifest["provenance"].update(sha256="12" * 32)),
        [f"provenance.intoto.jsonl: manifest.json says the SHA-256 {'12' * 32}, SHA256SUMS says"],
    ),
    ("an SBOM of nothing", stray_sbom, ["SHA256SUMS lists other.cdx.json, and no bundle of manifest.json refers to it"]),
    ("a provenance of nothing", forget_provenance, ["provenance.intoto.jsonl: it is no Sigstore bundle"]),
    (
        "an SBOM of another bundle",
        edit_sbom(lambda bom: bom["metadata"]["component"].update(name="other.tar.zst")),
        [f"{CPU}.cdx.json: it is for the bundle other.tar.zst, not for {BUNDLE}"],
    ),
    (
        "an SBOM of other bytes",
        edit_sbom(lambda bom: bom["metadata"]["component"]["hashes"][0].update(content="12" * 32)),
        [f"{CPU}.cdx.json: it is for the bundle with the SHA-256 {'12' * 32}, not for"],
    ),
    ("an SBOM that is none", edit_sbom(lambda bom: bom.clear()), [f"{CPU}.cdx.json: it is no SBOM of llamatrix"]),
    (
        "an SBOM that leaves out a file",
        edit_sbom(forget_file),
        [f"{CPU}.cdx.json: it does not list libllama.so, which is in the bundle"],
    ),
    (
        "an SBOM with another file's digest",
        edit_sbom(other_file),
        [f"{CPU}.cdx.json: it lists llama-cli with the SHA-256 {'ab' * 32}, in the bundle it has"],
    ),
    ("a report that is none", edit_report(lambda report: report.clear()), ["report.json: the report has schema None"]),
    (
        "a report that is no text",
        lambda folder: [(folder / "report.json").write_bytes(b"\xff"), resign(folder)],
        ["report.json: it is not text"],
    ),
    (
        "a report of another version",
        edit_report(lambda report: report.update(version="9")),
        ["report.json is of version 9, not 0.1.0"],
    ),
    (
        "a report of other bytes",
        edit_report(lambda report: record(report).update(sha256="12" * 32, size=1)),
        [
            f"report.json: llama.cpp/linux-x86_64/cpu: its SHA-256 is {'12' * 32}, manifest.json says",
            "report.json: llama.cpp/linux-x86_64/cpu: its size is 1, manifest.json says",
        ],
    ),
    (
        "a report that does not know a bundle",
        edit_report(forget_record),
        ["report.json: llama.cpp/linux-x86_64/cpu: the report does not know it"],
    ),
    (
        "a report with another verdict",
        edit_report(fail_gate),
        ["report.json: llama.cpp/linux-x86_64/cpu: gate smoke is skipped, manifest.json says passed"],
    ),
    (
        "a manifest with a gate nobody ran",
        change_cpu(lambda entry: entry["attest"]["gates"].update(magic="passed")),
        ["report.json: llama.cpp/linux-x86_64/cpu: gate magic is not there, manifest.json says passed"],
    ),
]


@pytest.mark.parametrize(("tamper", "wanted"), [row[1:] for row in SIGNED], ids=[row[0] for row in SIGNED])
def test_what_is_signed_and_does_not_fit(folder: Path, tamper: Tamper, wanted: list[str]) -> None:
    tamper(folder)

    assert_found(problems(folder), wanted)


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


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    names = {path.name for path in folder.iterdir()} | {".", "..", "logs", "release", "release-state.json"}
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
