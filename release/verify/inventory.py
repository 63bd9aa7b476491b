"""SHA256SUMS against the folder, both ways: every listed file is there with its digest, and nothing else is."""

from __future__ import annotations

__all__ = ["check_digests", "check_inventory", "read_sums"]

from collections.abc import Mapping

from pipeline.errors import BundleError
from pipeline.report.text import count
from release.inspection import inspect
from release.sums import MAX_SUMS_BYTES, parse_sums
from release.verify.case import Case
from release.verify.files import LocalFile
from release.verify.names import ARCHIVE_SUFFIX, MANIFEST, OWN_FOLDERS, PROVENANCE, SIGNATURE, SUMS

_REQUIRED = (MANIFEST, MANIFEST + SIGNATURE, PROVENANCE)
_NEVER = frozenset({SUMS, SUMS + SIGNATURE})


def read_sums(case: Case) -> bytes | None:
    """Read SHA256SUMS into the case and give its bytes; None if it is not there."""
    if SUMS not in case.files:
        case.findings.add(f"{SUMS} is not in the folder, so nothing says which files belong to the release")
        return None
    data: bytes | None = None
    with case.findings.check():
        data = case.files.read(SUMS, MAX_SUMS_BYTES)
        case.sums = parse_sums(data, where=SUMS)
    return data


def check_inventory(case: Case) -> None:
    """Compare names: what must be listed, what is missing, and what lies there unlisted."""
    if not case.sums:
        return
    with case.findings.check() as say:
        for problem in (*_listing(case.sums), *_missing(case), *_strays(case)):
            case.findings.add(problem)
        say(f"nothing else lies in the folder: {count(len(case.sums) - len(case.missing), 'listed file')}")
    if case.expected.partial and case.missing and not case.expected.vouchers:
        case.findings.note(f"not here, and not looked at: {', '.join(case.missing)}")


def _listing(sums: Mapping[str, str]) -> list[str]:
    found = [f"{SUMS} does not list {name}" for name in _REQUIRED if name not in sums]
    found += [f"{SUMS} lists {name}, which cannot be" for name in sorted(_NEVER) if name in sums]
    if not any(name.endswith(ARCHIVE_SUFFIX) for name in sums):
        found.append(f"{SUMS} lists no bundle")
    return found


def _missing(case: Case) -> list[str]:
    if case.expected.vouchers:
        needed = (*_NEVER, MANIFEST, MANIFEST + SIGNATURE)
        return [f"{name} is not in the folder" for name in sorted(needed) if name not in case.files]
    if case.expected.partial:
        return [] if case.bundles else ["not one bundle of the release is in the folder"]
    return [f"{name} is listed in {SUMS} and not in the folder" for name in case.missing]


def _strays(case: Case) -> list[str]:
    allowed = {*case.sums, *_NEVER}
    files = case.files
    found = [f"{name} is in the folder and not listed in {SUMS}" for name in files.names if name not in allowed]
    found += [f"{name} is a folder, and a release has none" for name in files.folders if name not in OWN_FOLDERS]
    found += [f"{name} is neither a file nor a folder (a link?)" for name in files.strange]
    return found


def check_digests(case: Case) -> None:
    """Hash every listed file that is here; a bundle is opened on the way, if it is to be opened at all."""
    with case.findings.check() as say:
        for name, digest in case.sums.items():
            if name in case.files:
                _check_digest(case, name, digest)
        say(f"{count(len(case.genuine), 'file')} with the digests listed in {SUMS}")


def _check_digest(case: Case, name: str, digest: str) -> None:
    with case.findings.check():
        if case.expected.deep and name.endswith(ARCHIVE_SUFFIX):
            _inspect(case, name)
        file = case.files.measure(name)
        if file.size == 0:
            case.findings.add(f"{name} is empty")
        if file.sha256 != digest:
            case.findings.add(f"{name} has the SHA-256 {file.sha256}, {SUMS} lists {digest}: download it again")
        else:
            case.genuine.add(name)


def _inspect(case: Case, name: str) -> None:
    """Take an archive's digest and its contents in one pass; if it cannot be opened, its digest still tells more."""
    try:
        found = inspect(case.files.path(name))
    except BundleError as error:
        case.findings.add(f"{name} cannot be opened: {error.what}")
        return
    case.inspections[name] = found
    case.files.know(LocalFile(name=name, size=found.size, sha256=found.sha256))
