"""The ways to a pinned commit, in order, and the proof that one of them really leads there."""

from __future__ import annotations

__all__ = ["Way", "prove", "ways"]

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.sources.checkout import Checkout, checkout
from pipeline.sources.gitremote import fetch_commit
from pipeline.sources.limits import DEFAULT_LIMITS, Limits, UnprovenError
from pipeline.sources.objects import ObjectFolder
from pipeline.sources.sdist import download, take_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pipeline.matrix.spec import Mirror
    from pipeline.sources.local import LocalSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One place the commit may come from: its name for people, and what fills an object folder from it."""

    origin: str
    fill: Callable[[ObjectFolder, Path], None]


def ways(  # noqa: PLR0913 - keywords
    mirrors: Iterable[Mirror],
    commit: str,
    *,
    downloads: Path,
    local: LocalSource | None,
    say: Callable[[str], None],
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Way]:
    """Give the local repository alone if there is one, else every mirror in the order of matrix.yaml."""
    if local is not None:
        yield _local(local)
        return
    for mirror in mirrors:
        if mirror.git is not None:
            yield _git(mirror.git, commit, limits)
        else:
            yield _sdist(mirror, downloads, say, limits)


def prove(way: Way, commit: str, work: Path, limits: Limits = DEFAULT_LIMITS) -> Checkout:
    """Write the tree of ``commit`` to ``work/tree`` from what ``way`` gives.

    Raises:
        UnprovenError: it does not give that commit, whole and safe.
    """
    objects = work / "objects"
    try:
        with ObjectFolder(objects, limits) as folder:
            way.fill(folder, work)
            return checkout(folder, commit, work / "tree", limits=limits)
    finally:
        shutil.rmtree(objects, ignore_errors=True)


def _local(local: LocalSource) -> Way:
    def fill(objects: ObjectFolder, work: Path) -> None:
        del work
        assert local.objects is not None
        objects.add_folder(local.objects)
        if local.alternates and not objects.count:
            msg = "it borrows its objects from another repository, which is not followed; clone it without --shared"
            raise UnprovenError(msg)

    origin = f"the git repository {local.path}"
    if local.alternates:
        origin += " (without the repository it borrows objects from)"
    return Way(origin=origin, fill=fill)


def _git(url: str, commit: str, limits: Limits) -> Way:
    def fill(objects: ObjectFolder, work: Path) -> None:
        fetch_commit(url, commit, objects, work=work, limits=limits)

    return Way(origin=f"git {url}", fill=fill)


def _sdist(mirror: Mirror, downloads: Path, say: Callable[[str], None], limits: Limits) -> Way:
    def fill(objects: ObjectFolder, work: Path) -> None:
        del work
        if mirror.objects is None:
            msg = "the mirror does not say where in the sdist the git objects are"
            raise UnprovenError(msg)
        archive = download(mirror, downloads, say=say, limits=limits)
        take_objects(archive.path, mirror.objects, objects, limits=limits)

    return Way(origin=f"sdist {mirror.sdist}", fill=fill)
