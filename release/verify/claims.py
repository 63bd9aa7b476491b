"""manifest.json against what is signed and what is there: who it is for, until when, and every archive it offers."""

from __future__ import annotations

__all__ = ["check_manifest", "check_offers"]

import datetime
import hashlib

from pipeline.report.text import count
from release.keys.trusted import Trusted
from release.manifest.reading import MAX_BYTES, read
from release.manifest.records import Artifact, Manifest, Reference
from release.model import ReleaseId
from release.verify.case import Case
from release.verify.names import MANIFEST, PROVENANCE, SBOM_SUFFIX, SIGNATURE, SUMS, sbom_of
from release.verify.signatures import check_signature

_DAY = 10


def check_manifest(case: Case) -> None:
    """Check the manifest's own signature and what it says of itself, and put it into the case."""
    if MANIFEST not in case.files:
        return
    data: bytes | None = None
    with case.findings.check():
        data = case.files.read(MANIFEST, MAX_BYTES)
    if data is None:
        return
    signed = check_signature(case, MANIFEST, data)
    digest = hashlib.sha256(data).hexdigest()
    with case.findings.check() as say:
        for problem in _ties(case.signed, signed, digest):
            case.findings.add(problem)
        manifest = read(data, where=MANIFEST)
        case.manifest = manifest
        for problem in _identity(case, manifest):
            case.findings.add(problem)
        say(
            f"{MANIFEST}: version {manifest.manifest_version} of epoch {manifest.epoch}, good until "
            f"{manifest.expires_at}, of {manifest.release.repo} {manifest.release.tag}"
        )


def _ties(sums: Trusted | None, own: Trusted | None, digest: str) -> list[str]:
    """Compare the two trusted comments and the digest they name: they must be of one release."""
    found = []
    for name, signed in ((SUMS, sums), (MANIFEST, own)):
        if signed is not None and signed.manifest_sha256 != digest:
            found.append(
                f"{MANIFEST} has the SHA-256 {digest}, the signature of {name} is for a release with "
                f"{signed.manifest_sha256}"
            )
    if sums is not None and own is not None:
        found += [
            f"{MANIFEST}{SIGNATURE}: {difference} as that of {SUMS} is"
            for difference in own.check(repo=sums.repo, tag=sums.tag, commit=sums.commit, epoch=sums.epoch)
        ]
    return found


def _identity(case: Case, manifest: Manifest) -> list[str]:
    release, signed, expected = manifest.release, case.signed, case.expected
    found = []
    for what, says, wanted in (
        ("repository", release.repo, (signed.repo if signed else None, expected.repo)),
        ("tag", release.tag, (signed.tag if signed else None, expected.tag)),
        ("commit", release.commit, (signed.commit if signed else None, expected.commit)),
        ("time", manifest.generated_at, (_moment(signed.epoch) if signed else None, None)),
    ):
        found += [
            f"{MANIFEST} is for {what} {says}, not for {other}"
            for other in dict.fromkeys(wanted)
            if other is not None and other != says
        ]
    if release.version != release.tag.removeprefix("v"):
        found.append(f"{MANIFEST} gives version {release.version} to the tag {release.tag}")
    if manifest.expires_at[:_DAY] <= expected.today.isoformat():
        found.append(f"{MANIFEST} expired on {manifest.expires_at}: look for a newer release")
    if expected.at_least is not None and manifest.manifest_version < expected.at_least:
        found.append(
            f"{MANIFEST} has version {manifest.manifest_version}, and {expected.at_least} was seen before: "
            "an old release is offered as a new one"
        )
    return found


def _moment(seconds: int) -> str:
    try:
        moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def check_offers(case: Case) -> None:
    """Compare every archive and reference of the manifest with SHA256SUMS and with the files, and back."""
    manifest = case.manifest
    if manifest is None or not case.sums:
        return
    with case.findings.check() as say:
        offered = {artifact.name: artifact for _, artifact in case.artifacts()}
        for artifact in offered.values():
            for problem in _offer(case, manifest, artifact):
                case.findings.add(problem)
        for name in case.listed_bundles:
            if name not in offered:
                case.findings.add(f"{SUMS} lists the bundle {name}, and {MANIFEST} does not offer it")
        for problem in _references(case, manifest):
            case.findings.add(problem)
        say(f"{MANIFEST} offers {_count(len(offered))}: the same names and digests as in {SUMS}")
    with case.findings.check() as say:
        here = [artifact for artifact in offered.values() if artifact.name in case.files]
        for artifact in here:
            size = case.files.measure(artifact.name).size
            if size != artifact.size:
                case.findings.add(f"{artifact.name} has {size} bytes, {MANIFEST} says {artifact.size}")
        if here:
            say(f"{_count(len(here))} with the sizes that {MANIFEST} names")


def _count(number: int) -> str:
    return count(number, "bundle")


def _offer(case: Case, manifest: Manifest, artifact: Artifact) -> list[str]:
    found = []
    release = manifest.release
    listed = case.sums.get(artifact.name)
    if listed is None:
        found.append(f"{MANIFEST} offers {artifact.name}, and {SUMS} does not list it")
    elif listed != artifact.sha256:
        found.append(f"{artifact.name}: {MANIFEST} says the SHA-256 {artifact.sha256}, {SUMS} says {listed}")
    found += [
        f"{artifact.name} is revoked: {gone.reason}" for gone in manifest.revoked if gone.sha256 == artifact.sha256
    ]
    place = ReleaseId(repo=release.repo, tag=release.tag, commit=release.commit, server=release.server)
    found += [
        f"{artifact.name}: {MANIFEST} sends to {url}, which is outside of the release"
        for url in artifact.urls
        if url != place.url(artifact.name)
    ]
    return found


def _references(case: Case, manifest: Manifest) -> list[str]:
    found = []
    entries = case.entries()
    wanted: list[tuple[str, Reference]] = [(PROVENANCE, manifest.provenance)]
    wanted += [(sbom_of(entry.artifact.name), entry.sbom) for entry in entries.values()]
    for name, reference in wanted:
        listed = case.sums.get(reference.name)
        if reference.name != name:
            found.append(f"{MANIFEST} refers to {reference.name}, where {name} belongs")
        if listed is None:
            found.append(f"{MANIFEST} refers to {reference.name}, and {SUMS} does not list it")
        elif listed != reference.sha256:
            found.append(f"{reference.name}: {MANIFEST} says the SHA-256 {reference.sha256}, {SUMS} says {listed}")
    known = {reference.name for _, reference in wanted}
    found += [
        f"{SUMS} lists {name}, and no bundle of {MANIFEST} refers to it"
        for name in case.sums
        if name.endswith(SBOM_SUFFIX) and name not in known
    ]
    return found
