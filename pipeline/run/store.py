"""The store: what earlier runs finished, found again by content key.

``tasks/<kind>/<key>/`` is there if and only if the task finished: it is filled beside its place and renamed in one
step, so a kill at any moment leaves either nothing or all of it.
"""

from __future__ import annotations

__all__ = ["Entry", "Stamp", "Store"]

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.model import TaskKind

_RESULT = "result.json"
_TAG_NAME = "CACHEDIR.TAG"
# What may lie in a store whose tag was lost, for example by a cache that keeps some folders only.
_OURS = {"tasks", "scratch", "sources", "toolchains", "images", "cache", "build", "tmp", "lock", "lost+found"}
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache made by llamatrix; it can be deleted.\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """How a file looked when it was last read in full: enough to tell that it has not been touched since."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """Take the stamp of a file, or None if there is no such regular file."""
        try:
            found = path.lstat()
        except OSError:
            return None
        return cls(size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A finished task: its folder and the facts it left."""

    folder: Path
    facts: Mapping[str, object]


class Store:
    """One folder of finished work, used by one run at a time."""

    def __init__(self, root: Path) -> None:
        """Open the store, making the folder if it is not there yet."""
        self.root = root.resolve()
        try:
            self._refuse_foreign()
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / _TAG_NAME).write_text(_TAG, encoding="utf-8")
        except OSError as error:
            msg = f"the store cannot be written: {error.strerror}"
            raise StoreError(msg, where=str(root), hint="choose another place with --store DIR") from error

    def _refuse_foreign(self) -> None:
        """A store is swept. A folder of somebody's work, given by mistake, must not lose what it calls scratch."""
        if not self.root.is_dir() or (self.root / _TAG_NAME).is_file():
            return
        foreign = sorted(path.name for path in self.root.iterdir() if path.name not in _OURS)
        if foreign:
            msg = f"the folder holds other things: {', '.join(foreign[:3])}"
            raise StoreError(msg, where=str(self.root), hint="give --store a folder that is empty or not there yet")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store for this run. The lock goes with the process, so a kill never leaves it behind."""
        with (self.root / "lock").open("a+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                handle.seek(0)
                owner = handle.read().strip() or "unknown"
                msg = f"another run (process {owner}) is using this store"
                raise StoreError(
                    msg, where=str(self.root), hint="wait for it to end, or use another --store"
                ) from error
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def sweep(self) -> tuple[str, ...]:
        """Remove half-made work of killed runs. Only call it while holding the lock."""
        scratch = self.root / "scratch"
        left = tuple(sorted(path.name for path in scratch.iterdir())) if scratch.is_dir() else ()
        for name in left:
            shutil.rmtree(scratch / name, ignore_errors=True)
        return left

    def find(self, kind: TaskKind, key: str) -> Entry | None:
        """Give what a finished task left, or None. A damaged entry counts as absent and is redone."""
        folder = self._place(kind, key)
        try:
            facts = json.loads((folder / _RESULT).read_bytes())
        except (OSError, ValueError):
            return None
        return Entry(folder=folder, facts=facts) if isinstance(facts, dict) else None

    @contextlib.contextmanager
    def scratch(self, label: str) -> Iterator[Path]:
        """Give an empty folder that is gone afterwards, whatever happens."""
        folder = self.root / "scratch" / f"{label}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def commit(self, kind: TaskKind, key: str, made: Path, facts: Mapping[str, object]) -> Entry:
        """Make ``made`` the task's entry, replacing an older one. The rename is the moment it is done."""
        place = self._place(kind, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        (made / _RESULT).write_text(json.dumps(facts, sort_keys=True, indent=1) + "\n", encoding="utf-8")
        if place.exists():
            old = self.root / "scratch" / f"old-{uuid.uuid4().hex[:8]}"
            old.parent.mkdir(exist_ok=True)
            place.rename(old)
            made.rename(place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            made.rename(place)
        return Entry(folder=place, facts=dict(facts))

    def amend(self, kind: TaskKind, key: str, facts: Mapping[str, object]) -> Entry:
        """Replace the facts of a finished task, in one step."""
        place = self._place(kind, key)
        text = json.dumps(facts, sort_keys=True, indent=1) + "\n"
        fresh = place / f"{_RESULT}.{uuid.uuid4().hex[:8]}"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(place / _RESULT)
        return Entry(folder=place, facts=dict(facts))

    def forget(self, kind: TaskKind, key: str) -> None:
        """Drop one finished task, so that it is done again."""
        shutil.rmtree(self._place(kind, key), ignore_errors=True)

    def _place(self, kind: TaskKind, key: str) -> Path:
        return self.root / "tasks" / kind / key
