"""The folder that is verified: flat, regular files, each read within a limit and never through a link."""

from __future__ import annotations

__all__ = ["Files", "LocalFile"]

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from release.errors import VerifyError

_CHUNK = 1 << 20
_AGAIN = "download it again from the release"


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFile:
    """One file as its bytes are: ``sha256`` is hex."""

    name: str
    size: int
    sha256: str


class Files:
    """What lies in the folder. Every answer is of bytes that were read, and a file is hashed once."""

    def __init__(self, folder: Path) -> None:
        """List the folder; raise VerifyError if there is none."""
        self.folder = folder
        self.names: tuple[str, ...] = ()
        self.folders: tuple[str, ...] = ()
        self.strange: tuple[str, ...] = ()
        self._known: dict[str, LocalFile] = {}
        files: list[str] = []
        folders: list[str] = []
        strange: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    mode = entry.stat(follow_symlinks=False).st_mode
                    (files if stat.S_ISREG(mode) else folders if stat.S_ISDIR(mode) else strange).append(entry.name)
        except OSError as error:
            problem = f"the folder cannot be read: {error.strerror or error}"
            raise VerifyError([problem], where=str(folder), hint="name the folder with the downloaded files") from error
        self.names, self.folders, self.strange = (tuple(sorted(group)) for group in (files, folders, strange))

    def __contains__(self, name: str) -> bool:
        """Tell whether a regular file of that name is there."""
        return name in self.names

    def path(self, name: str) -> Path:
        """Say where a file lies."""
        return self.folder / name

    def know(self, file: LocalFile) -> None:
        """Keep what another reader measured, so that the file is not read twice."""
        self._known[file.name] = file

    def measure(self, name: str) -> LocalFile:
        """Hash a file in pieces."""
        if name not in self._known:
            digest = hashlib.sha256()
            size = 0
            with _opened(self.path(name), name) as stream:
                while piece := stream.read(_CHUNK):
                    digest.update(piece)
                    size += len(piece)
            self._known[name] = LocalFile(name=name, size=size, sha256=digest.hexdigest())
        return self._known[name]

    def read(self, name: str, limit: int) -> bytes:
        """Give a whole file; what is hashed is exactly what is given."""
        with _opened(self.path(name), name) as stream:
            data = _up_to(stream, limit + 1)
        if len(data) > limit:
            problem = f"{name} has more than {limit:,} bytes, which no {name} of ours has: {_AGAIN}"
            raise VerifyError([problem])
        self._known[name] = LocalFile(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        return data


def _up_to(stream: BinaryIO, limit: int) -> bytes:
    pieces = []
    while limit and (piece := stream.read(min(_CHUNK, limit))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    try:
        # The listing said it is a regular file; whoever put a link or a pipe there since then gets an error.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            yield cast("BinaryIO", stream)
    except OSError as error:
        problem = f"{name} cannot be read: {error.strerror or error}"
        raise VerifyError([problem]) from error
