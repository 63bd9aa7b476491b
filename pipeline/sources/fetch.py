"""A source in the store: fetched from the first mirror that proves to be the pin, and kept by content.

``store/sources/<name>-<commit>/`` holds ``tree/`` and ``meta.json``. It is built beside its place and renamed into it
as a whole, so it is either there and complete or not there; whatever a killed run left is removed by the next one.
"""

from __future__ import annotations

__all__ = ["FetchedSource", "fetch", "source_key", "verify_tree"]

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import SourceError, StoreError
from pipeline.sources.keys import source_key, unpinned
from pipeline.sources.limits import DEFAULT_LIMITS, Limits, UnprovenError
from pipeline.sources.local import LocalSource, inspect
from pipeline.sources.trees import copy_tree, count_differences, tree_digest, tree_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.matrix.spec import Source

_SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_UNDATED = 315532800
"""1980-01-01, what an unpinned folder without an epoch is dated: the oldest time every archive format can hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedSource:
    """A source tree in the store.

    ``commit`` is set only for a tree that is ``proven`` to be that commit. ``digest`` covers the tree's paths, bytes
    and executable bits; ``origin`` names the mirror used; ``refused`` says why each earlier one was not.
    """

    name: str
    path: Path
    commit: str | None
    epoch: int
    digest: str
    proven: bool
    origin: str
    refused: tuple[str, ...] = ()


class _Meta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """meta.json; ``stamp`` notices changes to the tree without reading it."""

    schema: int
    name: str
    commit: str | None
    epoch: int
    digest: str
    proven: bool
    origin: str
    refused: tuple[str, ...]
    stamp: str


def fetch(  # noqa: PLR0913 - the three after the star are optional or a callback
    name: str,
    source: Source,
    store: Path,
    *,
    local: Path | None = None,
    say: Callable[[str], None],
    limits: Limits = DEFAULT_LIMITS,
) -> FetchedSource:
    """Give the tree of ``source``, from the store or from the first mirror that proves to hold the pinned commit.

    A source that is in the store already is given without any network. ``local`` (``--source NAME=PATH``) replaces
    the mirrors: a git repository that holds the pinned commit is proven like any mirror, any other folder is copied
    as it is and marked as not proven.

    Args:
        name: The source's name in matrix.yaml.
        source: The pin.
        store: The store's folder.
        local: A folder of this machine to use instead of the mirrors.
        say: Called with short lines of progress.
        limits: What a mirror may cost.

    Raises:
        SourceError: no mirror gave the pinned commit; the message has a line for each.
        StoreError: the store cannot be written.
    """
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be the name of a source"
        raise SourceError(msg, hint="use letters, digits, dots, dashes and underscores")
    found = None if local is None else inspect(local, source.commit)
    shelf = store / "sources"
    if local is not None and shelf.resolve().is_relative_to(local.resolve()) and (found is None or not found.objects):
        msg = f"the store {store} lies inside the source folder {local}"
        raise SourceError(msg, hint="put the store elsewhere, or give a copy of the folder")
    job = _Job(name=name, source=source, shelf=shelf, found=found, say=say, limits=limits)
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with _alone(shelf, name, say):
            if found is not None and found.objects is None:
                return job.folder(found)
            if source.commit is None:
                raise unpinned(name)
            return job.pinned(source.commit)
    except OSError as error:
        msg = f"the sources folder cannot be used: {error}"
        raise StoreError(msg, where=str(shelf), hint="check its permissions and the free space") from error


def verify_tree(fetched: FetchedSource) -> bool:
    """Read the whole tree again and tell whether it still is what was fetched."""
    return fetched.path.is_dir() and tree_digest(fetched.path) == fetched.digest


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """One call of ``fetch``."""

    name: str
    source: Source
    shelf: Path
    found: LocalSource | None
    say: Callable[[str], None]
    limits: Limits

    def pinned(self, commit: str) -> FetchedSource:
        place = self.shelf / f"{self.name}-{commit[:12]}"
        fetched = self.cached(place, commit) or self.first_mirror(place, commit)
        if self.source.epoch not in (None, fetched.epoch):
            msg = f"{self.name}: the epoch is {self.source.epoch}, but commit {commit[:12]} was made at {fetched.epoch}"
            raise SourceError(msg, hint=f"write epoch: {fetched.epoch} in matrix.yaml")
        if self.found is not None and self.found.work_tree:
            different = count_differences(fetched.path, self.found.path)
            if different:
                self.say(
                    f"{self.name}: {different} files of {self.found.path} differ from commit {commit[:12]} and are not "
                    "used; to build them, give a copy of the folder without .git"
                )
        return fetched

    def first_mirror(self, place: Path, commit: str) -> FetchedSource:
        # Imported late: what is in the store already needs neither the git nor the network libraries.
        from pipeline.sources.mirrors import prove, ways  # noqa: PLC0415

        downloads = self.shelf / "downloads"
        refused: list[str] = []
        for way in ways(
            self.source.mirrors, commit, downloads=downloads, local=self.found, say=self.say, limits=self.limits
        ):
            self.say(f"{self.name}: trying {way.origin}")
            with _workshop(self.shelf, self.name) as work:
                try:
                    proof = prove(way, commit, work, self.limits)
                except UnprovenError as error:
                    refused.append(f"{way.origin}: {error}")
                    self.say(f"{self.name}: refused {refused[-1]}")
                    continue
                fetched = FetchedSource(
                    name=self.name,
                    path=place / "tree",
                    commit=commit,
                    epoch=proof.epoch,
                    digest=proof.digest,
                    proven=True,
                    origin=way.origin,
                    refused=tuple(refused),
                )
                _keep(work, place, fetched)
            shutil.rmtree(downloads, ignore_errors=True)
            self.say(f"{self.name}: commit {commit[:12]} proven, {proof.files} files from {way.origin}")
            return fetched
        lines = [f"no mirror gave {self.name} at commit {commit}"]
        lines += [f"  {line}" for line in refused or ["matrix.yaml names no mirror"]]
        raise SourceError(
            "\n".join(lines),
            hint=f"check the network, or give a clone that holds the commit: --source {self.name}=PATH",
        )

    def folder(self, found: LocalSource) -> FetchedSource:
        digest = tree_digest(found.path)
        epoch = _UNDATED if self.source.epoch is None else self.source.epoch
        place = self.place_of(digest, epoch)
        if (cached := self.cached(place, None)) is not None:
            return cached
        self.say(f"{self.name}: copying {found.path}, which is not proven to be any commit")
        with _workshop(self.shelf, self.name) as work:
            copy_tree(found.path, work / "tree", epoch)
            # The copy counts, not the folder: somebody may be editing it right now.
            digest = tree_digest(work / "tree")
            place = self.place_of(digest, epoch)
            fetched = FetchedSource(
                name=self.name,
                path=place / "tree",
                commit=None,
                epoch=epoch,
                digest=digest,
                proven=False,
                origin=f"the folder {found.path}",
            )
            _keep(work, place, fetched)
        return fetched

    def place_of(self, digest: str, epoch: int) -> Path:
        return self.shelf / f"{self.name}-local-{digest[:12]}-{epoch}"

    def cached(self, place: Path, commit: str | None) -> FetchedSource | None:
        """Give what lies at ``place`` if it is whole and untouched; read it all again if its stamp changed."""
        try:
            meta = msgspec.json.decode((place / "meta.json").read_bytes(), type=_Meta)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except msgspec.MsgspecError:
            self.say(f"{self.name}: {place} has no readable meta.json and is fetched again")
            return None
        if meta.schema != _SCHEMA or meta.commit != commit or meta.name != self.name:
            return None
        fetched = FetchedSource(
            name=meta.name,
            path=place / "tree",
            commit=meta.commit,
            epoch=meta.epoch,
            digest=meta.digest,
            proven=meta.proven,
            origin=meta.origin,
            refused=meta.refused,
        )
        if fetched.path.is_dir() and tree_stamp(fetched.path) == meta.stamp:
            return fetched
        if verify_tree(fetched):
            _write_meta(place, fetched)
            return fetched
        self.say(f"{self.name}: somebody changed {fetched.path}; it is fetched again")
        return None


@contextlib.contextmanager
def _alone(shelf: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold this source's lock: one fetch at a time, and every workshop found inside is a dead run's."""
    with (shelf / f".{name}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: waiting for another run that is fetching it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in shelf.glob(f".{name}.work-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextlib.contextmanager
def _workshop(shelf: Path, name: str) -> Iterator[Path]:
    """Give a temporary folder on the store's own file system, so that a rename puts things in place."""
    work = Path(tempfile.mkdtemp(prefix=f".{name}.work-", dir=shelf))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _keep(work: Path, place: Path, fetched: FetchedSource) -> None:
    """Move ``work/tree`` to its place, with its meta.json, in one step."""
    parcel = work / "parcel"
    parcel.mkdir()
    (work / "tree").rename(parcel / "tree")
    _write_meta(parcel, fetched)
    # One sync for thousands of small files; a loss of power after the rename must not leave empty ones.
    os.sync()
    if place.exists():
        place.rename(work / "old")
    parcel.rename(place)
    _sync_folder(place.parent)


def _write_meta(place: Path, fetched: FetchedSource) -> None:
    meta = _Meta(
        schema=_SCHEMA,
        name=fetched.name,
        commit=fetched.commit,
        epoch=fetched.epoch,
        digest=fetched.digest,
        proven=fetched.proven,
        origin=fetched.origin,
        refused=fetched.refused,
        stamp=tree_stamp(place / "tree"),
    )
    part = place / "meta.json.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(meta), indent=2) + b"\n")
    part.replace(place / "meta.json")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
