"""What a careful user does with a folder of downloaded files, from the outside in: signature, digests, claims, bytes.

Nothing that lies in the folder is asked whether the folder is good: the key comes from elsewhere, and everything hangs
off its signature. Every problem is reported, not just the first; a line in the result was checked to its end.
"""

from __future__ import annotations

__all__ = ["verify_case", "verify_folder"]

import datetime
from collections.abc import Callable
from pathlib import Path

from release.errors import VerifyError
from release.keys.keyfile import PublicKey
from release.verify.attestations import check_provenance, check_report, check_sboms
from release.verify.case import Case, Expected
from release.verify.claims import check_manifest, check_offers
from release.verify.contents import check_contents
from release.verify.files import Files
from release.verify.inventory import check_digests, check_inventory, read_sums
from release.verify.names import SUMS
from release.verify.program import Minisign, find_minisign
from release.verify.result import Verified
from release.verify.signatures import check_program, check_signature

_HINT = "do not use these files; download them again, and take the public key from the project's repository"


def verify_folder(  # noqa: PLR0913  each is something a caller knows from elsewhere
    folder: Path,
    *,
    key: PublicKey,
    today: datetime.date,
    repo: str | None = None,
    tag: str | None = None,
    commit: str | None = None,
    at_least: int | None = None,
    partial: bool = False,
    deep: bool = True,
    forged: bool = False,
    minisign: Callable[[], Minisign | None] = find_minisign,
) -> Verified:
    """Verify a flat folder of a release's files.

    Args:
        folder: The files, as they were downloaded or sealed.
        key: The public key, from anywhere but this folder.
        today: The day the manifest's expiry is held against.
        repo: The repository it must be of; None: whatever is signed.
        tag: The tag it must be of.
        commit: The commit it must be of.
        at_least: The manifest version that was reached before; a lower one is refused.
        partial: Only some of the files are there, among them a bundle.
        deep: Open every bundle and measure again what the manifest says of it.
        forged: Accept a rehearsal's bundles; those that come from a server on this machine are accepted anyway.
        minisign: Finds the real program; by default the one on PATH.

    Raises:
        VerifyError: Something is wrong; everything that was found is listed.
    """
    expected = Expected(
        key=key,
        today=today,
        repo=repo,
        tag=tag,
        commit=commit,
        at_least=at_least,
        partial=partial,
        deep=deep,
        forged=forged,
    )
    return verify_case(Case(files=Files(folder), expected=expected, minisign=minisign()))


def verify_case(case: Case) -> Verified:
    """Make every check, in order; VerifyError lists what was found."""
    sums = read_sums(case)
    if sums is not None:
        case.signed = check_signature(case, SUMS, sums)
    check_inventory(case)
    check_digests(case)
    check_manifest(case)
    check_offers(case)
    check_provenance(case)
    check_sboms(case)
    check_report(case)
    check_contents(case)
    version = check_program(case)
    problems = case.findings.problems
    if problems or case.signed is None:
        raise VerifyError(problems or ["nothing could be established"], where=str(case.files.folder), hint=_HINT)
    return _result(case, version)


def _result(case: Case, minisign: str | None) -> Verified:
    signed, manifest = case.signed, case.manifest
    assert signed is not None  # the caller looked
    return Verified(
        repo=signed.repo,
        tag=signed.tag,
        commit=signed.commit,
        key_id=case.expected.key.id_text,
        manifest_sha256=signed.manifest_sha256,
        manifest_version=manifest.manifest_version if manifest is not None else None,
        files=len(case.genuine),
        bundles=case.bundles,
        missing=case.missing,
        deep=case.expected.deep,
        forged=case.forged,
        minisign=minisign,
        immutable=None,
        lines=tuple(case.findings.lines),
    )
