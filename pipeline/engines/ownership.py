"""Folders on loan: a root caller's writable folders belong to the container's unprivileged user while a job runs.

Anyone but root runs containers as themselves and needs none of this. Two jobs may share a folder, a compiler cache for
instance, so the last one to finish gives it back.
"""

from __future__ import annotations

__all__ = ["JOB_ID", "Ownership", "make_readable"]

import os
import stat
import threading
from collections import Counter
from typing import TYPE_CHECKING

from pipeline.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

JOB_ID = 64606
"""User and group of jobs started by root: an unprivileged number that no distribution hands out by itself."""

_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


class Ownership:
    """Lends folders to ``JOB_ID`` and takes them back; does nothing unless the caller is root."""

    def __init__(self) -> None:
        """Start with nothing on loan."""
        self._lock = threading.Lock()
        self._loans: Counter[Path] = Counter()

    @staticmethod
    def user() -> str:
        """Name the user and group a container runs as."""
        if os.geteuid() == 0:
            return f"{JOB_ID}:{JOB_ID}"
        return f"{os.geteuid()}:{os.getegid()}"

    def lend(self, folders: Iterable[Path]) -> None:
        """Give ``folders`` and all they hold to the job's user."""
        if os.geteuid() != 0:
            return
        with self._lock:
            for folder in folders:
                self._loans[folder] += 1
                if self._loans[folder] == 1:
                    _give(folder, JOB_ID)

    def take_back(self, folders: Iterable[Path]) -> None:
        """Take them back once no job works in them any more."""
        if os.geteuid() != 0:
            return
        with self._lock:
            for folder in folders:
                self._loans[folder] -= 1
                if self._loans[folder] <= 0:
                    del self._loans[folder]
                    _give(folder, 0)


def make_readable(folder: Path, store: Path) -> None:
    """See that a root caller's read-only folder can be read by the job's user; only our own store is changed."""
    if os.geteuid() != 0:
        return
    found = folder.stat()
    wanted = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else 0)
    if found.st_mode & wanted == wanted:
        return
    if folder.resolve().is_relative_to(store.resolve()):
        folder.chmod(stat.S_IMODE(found.st_mode) | wanted)
        return
    msg = f"{folder} cannot be read by the unprivileged user that containers run as when you are root"
    raise EngineError(msg, hint=f"chmod o+rX {folder}, or do not run as root")


def _give(folder: Path, owner: int) -> None:
    """Change the owner of a tree without following links; what a job made must not come back set-user-id."""
    try:
        os.chown(folder, owner, owner)
        for _, names, files, handle in os.fwalk(folder, follow_symlinks=False):
            for name in (*names, *files):
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if (found.st_uid, found.st_gid) != (owner, owner):
                    os.chown(name, owner, owner, dir_fd=handle, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and found.st_mode & _SPECIAL_BITS:
                    os.chmod(name, stat.S_IMODE(found.st_mode) & ~_SPECIAL_BITS, dir_fd=handle)
    except OSError as error:
        msg = f"cannot change the owner of {folder}: {error.strerror}"
        raise EngineError(msg, hint="put the store on a local file system") from error
