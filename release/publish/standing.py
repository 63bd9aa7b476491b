"""Where a release stands among the others: a fix for an old line must not be shown to everybody as the latest."""

from __future__ import annotations

__all__ = ["is_latest"]

import re
from collections.abc import Iterable

from release.github.remote import RemoteRelease

_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII)


def is_latest(tag: str, releases: Iterable[RemoteRelease]) -> bool:
    """Tell whether no published release has a higher version; prereleases, drafts and other tags do not count."""
    own = _version(tag)
    if own is None:
        return False
    others = (_version(release.tag) for release in releases if not release.draft and not release.prerelease)
    return all(other is None or other <= own for other in others)


def _version(tag: str) -> tuple[int, ...] | None:
    """Give the numbers of a version; None for a prerelease's, or for what is no version."""
    found = _VERSION.fullmatch(tag)
    return tuple(int(number) for number in found.groups()) if found else None
