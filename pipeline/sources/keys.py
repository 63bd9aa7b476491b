"""What a source's content is keyed by, known before anything is fetched."""

from __future__ import annotations

__all__ = ["source_key"]

import hashlib
from typing import TYPE_CHECKING

from pipeline.errors import SourceError
from pipeline.sources.local import inspect
from pipeline.sources.trees import tree_digest

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.matrix.spec import Source


def source_key(name: str, source: Source, local: Path | None = None) -> str:
    """Give the content key of a source without any network.

    A pinned source is keyed by its commit, also when a local repository provides it; a local folder by the digest of
    its files, which means reading them.

    Raises:
        SourceError: ``local`` is unusable, or there is neither a commit nor a local folder.
    """
    digest = None
    if local is not None:
        found = inspect(local, source.commit)
        digest = None if found.objects is not None else tree_digest(local)
    if digest is not None:
        # The epoch becomes SOURCE_DATE_EPOCH, so it is part of what a build sees.
        return _key("tree", f"{digest} {source.epoch}")
    if source.commit is None:
        raise unpinned(name)
    return _key("commit", source.commit)


def unpinned(name: str) -> SourceError:
    """Make the error for a source that has no commit and was given no folder."""
    return SourceError(
        f"the source {name} is not pinned: it has no commit in matrix.yaml",
        hint=f"pin it, or build from a folder with --source {name}=PATH",
    )


def _key(kind: str, content: str) -> str:
    return hashlib.sha256(f"llamatrix source 1 {kind} {content}".encode()).hexdigest()
