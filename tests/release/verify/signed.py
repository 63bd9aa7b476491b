"""What only a holder of the key, or a bug of ours, can do: everything is signed, and something does not fit."""

from __future__ import annotations

__all__ = ["PROVENANCE", "SIGNED"]

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from release.keys.keyfile import SecretKey
from release.keys.minisign import sign_file
from release.provenance.bundle import sign_statement
from tests.release.verify.sealed import CPU, KEY, OTHER, digest, edit_json, edit_manifest, follow, resign, sign
from tests.release.verify.unsigned import BUNDLE, Tamper


def cpu(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["projects"]["llama.cpp"]["platforms"]["linux-x86_64"]["variants"]["cpu"]
    return found


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


def broken_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")
    resign(folder)


def binary_report(folder: Path) -> None:
    (folder / "report.json").write_bytes(b"\xff")
    resign(folder)


def too_large(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * (17 << 20))
    resign(folder)


def revoked_companion(folder: Path) -> None:
    name = "llama.cpp-0.1.0-linux-x86_64-more"
    path = folder / f"{name}.tar.zst"
    path.write_bytes((folder / BUNDLE).read_bytes() + b"\0")

    def change(manifest: dict[str, Any]) -> None:
        artifact = cpu(manifest)["artifact"] | {"name": path.name, "top": name, "sha256": digest(path)}
        artifact["urls"] = [f"https://github.com/acme/llamatrix/releases/download/v0.1.0/{path.name}"]
        cpu(manifest)["companions"] = [artifact]
        manifest["revoked"] = [{"sha256": digest(path), "reason": "it crashes"}]

    edit_manifest(folder, change)


def edit_provenance(change: Callable[[dict[str, Any]], object], *, key: SecretKey = KEY) -> Tamper:
    def tamper(folder: Path) -> None:
        path = folder / "provenance.intoto.jsonl"
        payload = json.loads(path.read_bytes())["dsseEnvelope"]["payload"]
        statement = json.loads(base64.b64decode(payload))
        change(statement)
        data = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        path.write_bytes(sign_statement(data, key))
        follow(folder)

    return tamper


def internal(statement: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = statement["predicate"]["buildDefinition"]["internalParameters"]
    return found


def external(statement: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = statement["predicate"]["buildDefinition"]["externalParameters"]
    return found


def dependency(statement: dict[str, Any], kind: str) -> dict[str, Any]:
    found = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    one: dict[str, Any] = next(each for each in found if each["annotations"]["kind"] == kind)
    return one


def forget_subject(statement: dict[str, Any]) -> None:
    statement["subject"] = [one for one in statement["subject"] if one["name"] != BUNDLE]
    del internal(statement)["bundles"][BUNDLE]


def other_subject(statement: dict[str, Any]) -> None:
    for one in statement["subject"]:
        if one["name"] == BUNDLE:
            one["digest"]["sha256"] = "12" * 32


PROVENANCE: list[tuple[str, Tamper, list[str]]] = [
    ("by another key", edit_provenance(lambda _: None, key=OTHER), ["it was signed with another key than"]),
    ("without a bundle", edit_provenance(forget_subject), [f"it does not vouch for {BUNDLE}"]),
    (
        "of other bytes",
        edit_provenance(other_subject),
        [f"it vouches for {BUNDLE} with the SHA-256 {'12' * 32}, the release has [0-9a-f]{{64}}"],
    ),
    (
        "of another tag",
        edit_provenance(lambda statement: external(statement).update(tag="v9")),
        ["it is for tag v9, not for v0.1.0"],
    ),
    (
        "of another version",
        edit_provenance(lambda statement: external(statement).update(version="9")),
        ["it is for version 9, not for 0.1.0"],
    ),
    (
        "of another repository",
        edit_provenance(lambda statement: external(statement).update(repository="https://evil.example/x")),
        ["it is for repository https://evil.example/x, not for https://github.com/acme/llamatrix"],
    ),
    (
        "by another builder",
        edit_provenance(lambda statement: statement["predicate"]["runDetails"]["builder"].update(id="me")),
        ["it is for builder me, not for https://github.com/acme/llamatrix"],
    ),
    (
        "of another commit",
        edit_provenance(lambda statement: dependency(statement, "recipe")["digest"].update(gitCommit="12" * 20)),
        [f"it is for commit {'12' * 20}, not for {'5ea1' * 10}"],
    ),
    (
        "of another source",
        edit_provenance(lambda statement: dependency(statement, "source")["digest"].update(gitCommit="12" * 20)),
        [f"it is for commit of the source llama.cpp {'12' * 20}, not for [0-9a-f]{{40}}"],
    ),
    (
        "of another cell",
        edit_provenance(lambda statement: internal(statement)["bundles"][BUNDLE].update(cell="a/b/c")),
        [f"{BUNDLE} was built as a/b/c, and manifest.json offers it as llama.cpp/linux-x86_64/cpu"],
    ),
    (
        "of another build",
        edit_provenance(lambda statement: internal(statement)["bundles"][BUNDLE].update(buildId="00ff")),
        [f"{BUNDLE} was built with the id 00ff, manifest.json says 52770a3c8006a78d"],
    ),
]
"""What a provenance can say that is not so; each message begins with the file's name."""


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
        [
            "manifest.json: .*is not in the release, where it would be",
        ],
    ),
    (
        "another version than the tag's",
        lambda folder: edit_manifest(folder, lambda manifest: manifest["release"].update(version="9.9.9")),
        ["manifest.json gives version 9.9.9 to the tag v0.1.0"],
    ),
    (
        "a manifest that is no JSON",
        broken_manifest,
        ["manifest.json: it is not JSON"],
    ),
    ("a manifest without end", too_large, ["manifest.json has more than 16,777,216 bytes"]),
    (
        "signed at a time nobody will see",
        lambda folder: resign(folder, epoch=999_999_999_999),
        ["manifest.json is for time 2026-11-21T10:51:32Z, not for 999999999999 seconds after 1970"],
    ),
    (
        "a revoked companion",
        revoked_companion,
        ["llama.cpp-0.1.0-linux-x86_64-more.tar.zst is revoked: it crashes"],
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
    (
        "an SBOM of nothing",
        stray_sbom,
        ["SHA256SUMS lists other.cdx.json, and no bundle of manifest.json refers to it"],
    ),
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
        binary_report,
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
