"""The line in a release's text that says it is ours, and the text itself."""

from __future__ import annotations

__all__ = ["Ownership", "made_from", "ownership", "text_of"]

import re
from enum import StrEnum

from release.github.remote import RemoteRelease
from release.model import Sealed

_MARKER = re.compile(r"<!-- llamatrix: manifest-sha256=(?P<manifest>[0-9a-f]{64}) commit=(?P<commit>[0-9a-f]{40}) -->")


class Ownership(StrEnum):
    """Whose release one is, as far as its text tells."""

    OURS = "ours"
    OUTDATED = "ours, of an earlier seal"
    FOREIGN = "foreign"


def text_of(sealed: Sealed) -> str:
    """Give the release's text: the notes, and our marker on a line of its own."""
    if sealed.marker in sealed.notes.splitlines():
        return sealed.notes
    return f"{sealed.notes.rstrip()}\n\n{sealed.marker}\n"


def made_from(body: str) -> tuple[tuple[str, str], ...]:
    """Give (manifest digest, commit) of every marker in a text. Only whole lines count: a quotation is no claim."""
    found = (_MARKER.fullmatch(line.strip()) for line in body.splitlines())
    return tuple((match["manifest"], match["commit"]) for match in found if match)


def ownership(release: RemoteRelease, sealed: Sealed) -> Ownership:
    """Tell whose a draft is. Two different markers in one text are nobody's work of ours: hands off."""
    markers = set(made_from(release.body))
    if markers == {(sealed.manifest_sha256, sealed.id.commit)}:
        return Ownership.OURS
    return Ownership.OUTDATED if len(markers) == 1 else Ownership.FOREIGN
