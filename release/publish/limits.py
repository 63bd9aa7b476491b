"""What GitHub takes: names, sizes, counts and the length of the text. Everything else would fail after hours."""

from __future__ import annotations

__all__ = ["BODY_LIMIT", "COUNT_LIMIT", "SIZE_LIMIT", "limit_problems", "tag_problem"]

import re
from collections import defaultdict

from release.model import Sealed
from release.publish.marker import text_of

SIZE_LIMIT = 2**31  # each file must be below it; a file of exactly 2 GiB is answered with a 500 at its end
COUNT_LIMIT = 1000  # enforced by GitHub since July 2025
BODY_LIMIT = 125_000  # characters
# GitHub renames everything else on arrival ("a b" becomes "a.b"), and names that begin or end with a dot.
_NAME = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")


_VOUCHERS = ("manifest.json", "manifest.json.minisig", "SHA256SUMS", "SHA256SUMS.minisig")


def tag_problem(tag: str, version: str) -> str | None:
    """Say what is wrong with a tag as the name of a version."""
    if tag in {version, f"v{version}"}:
        return None
    return f"the tag {tag} does not name version {version}: it must be v{version} or {version}"


def limit_problems(sealed: Sealed) -> list[str]:
    """List everything about these files and this text that GitHub would refuse or change."""
    problems = _incomplete(sealed)
    if len(sealed.assets) > COUNT_LIMIT:
        problems.append(f"{len(sealed.assets)} assets, and GitHub takes {COUNT_LIMIT} in a release")
    same: dict[str, list[str]] = defaultdict(list)
    for asset in sealed.assets:
        same[asset.name.casefold()].append(asset.name)
        if not _NAME.fullmatch(asset.name):
            problems.append(f"GitHub would rename {asset.name!r}: only A-Z a-z 0-9 . _ - and no dot at either end")
        if asset.size <= 0:
            problems.append(f"{asset.name} is empty")
        elif asset.size >= SIZE_LIMIT:
            problems.append(f"{asset.name} has {asset.size} bytes, and GitHub takes less than {SIZE_LIMIT}")
    problems += [
        f"these names differ only in case or not at all: {', '.join(names)}" for names in same.values() if names[1:]
    ]
    length = len(text_of(sealed))
    if length > BODY_LIMIT:
        problems.append(f"the release's text has {length} characters, and GitHub takes {BODY_LIMIT}")
    return problems


def _incomplete(sealed: Sealed) -> list[str]:
    """List what a release cannot be without: nothing could be verified, neither before nor after publishing."""
    digests = {asset.name: asset.sha256 for asset in sealed.assets}
    problems = [
        f"{name} is not among the assets: the release is not sealed" for name in _VOUCHERS if name not in digests
    ]
    if digests.get("manifest.json", sealed.manifest_sha256) != sealed.manifest_sha256:
        problems.append("manifest.json is not the one that identifies this release: seal again")
    return problems
