"""The two signatures, over SHA256SUMS and manifest.json: by the given key, and never by one that lies beside them."""

from __future__ import annotations

__all__ = ["check_program", "check_signature"]

from release.keys.encoding import UNTRUSTED
from release.keys.minisign import read_signature, verify_bytes
from release.keys.trusted import Trusted, parse
from release.verify.case import Case
from release.verify.names import MANIFEST, SIGNATURE, SUMS

_LINES = 4


def check_signature(case: Case, name: str, data: bytes) -> Trusted | None:
    """Check a file's signature and what its trusted comment ties it to; None if the signature is not good.

    Args:
        case: The verification.
        name: The signed file.
        data: Its bytes, as they were read.
    """
    signature = name + SIGNATURE
    found: Trusted | None = None
    with case.findings.check() as say:
        if signature not in case.files:
            case.findings.add(f"{signature} is not in the folder, so nothing vouches for {name}")
            return None
        text = read_signature(case.files.path(signature))
        comment = verify_bytes(data, text, case.expected.key, where=signature)
        found = parse(comment, where=signature)
        expected = case.expected
        for difference in found.check(repo=expected.repo, tag=expected.tag, commit=expected.commit, file=name):
            case.findings.add(f"{signature}: {difference}")
        for oddity in _oddities(text, name, found):
            case.findings.add(f"{signature}: {oddity}")
        say(
            f"{name}: signed by key {case.expected.key.id_text} for {found.repo} {found.tag}, commit {found.commit}, "
            f"manifest sha256:{found.manifest_sha256}"
        )
    return found


def _oddities(text: str, name: str, trusted: Trusted) -> list[str]:
    """Find what was changed in the file without breaking the signature: no signature covers the first line."""
    lines = text.split("\n")
    found = []
    if len(lines) != _LINES + 1 or lines[-1] or "\r" in text:
        found.append("it was changed after it was written: lines were added or line ends replaced")
    if lines[0] != f"{UNTRUSTED}signature of {name} by {trusted.repo}":
        found.append("its untrusted comment is not the one llamatrix writes; nothing vouches for that line")
    return found


def check_program(case: Case) -> str | None:
    """Let the real minisign judge what ours accepted, and say plainly when it did not; gives its version."""
    if case.minisign is None:
        case.findings.note("minisign: not installed: checked by llamatrix's own verifier only")
        return None
    judged = [name for name in (SUMS, MANIFEST) if name in case.files and name + SIGNATURE in case.files]
    with case.findings.check() as say:
        for name in judged:
            signature = case.files.path(name + SIGNATURE)
            opinion = case.minisign.verify(case.files.path(name), signature, case.expected.key.text)
            if not opinion.agrees:
                case.findings.add(f"{name}: minisign {case.minisign.version} refuses it: {opinion.reason}")
        if judged:
            say(f"minisign {case.minisign.version} agrees: {' and '.join(judged)}")
    return case.minisign.version
