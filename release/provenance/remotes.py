"""Where a source can be had from, as far as the world may be told."""

from __future__ import annotations

__all__ = ["github_name", "public_remotes"]

import re

from pipeline.matrix.spec import Source

# No user part: a token in a mirror's address must never be published. No scp-like form either: it is no URI, and
# CycloneDX refuses it.
_PUBLIC = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9._~/+-]+", re.ASCII)
_GITHUB = re.compile(r"https://github\.com/([A-Za-z0-9-]+)/([A-Za-z0-9._-]+?)(?:\.git)?/?", re.ASCII)


def public_remotes(source: Source | None) -> tuple[str, ...]:
    """Give the git remotes of a source that are plain https addresses, in the order of matrix.yaml."""
    if source is None:
        return ()
    return tuple(
        mirror.git for mirror in source.mirrors if mirror.git is not None and _PUBLIC.fullmatch(mirror.git) is not None
    )


def github_name(remote: str) -> tuple[str, str] | None:
    """Give owner and name of a repository on GitHub; None for any other remote."""
    match = _GITHUB.fullmatch(remote)
    return (match[1], match[2]) if match is not None else None
