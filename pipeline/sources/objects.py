"""Git objects taken out of a hostile git directory: nothing is trusted but their own hashes.

Only pack files and loose objects are read. Configuration, hooks, refs, alternates, indexes, links and device files of
the place they come from are never opened, and no git program runs. Every object handed out is hashed again, so a tree
read through here is the tree its id names. (Git's ids are SHA-1; an sdist's SHA-256 in matrix.yaml covers the rest.)
"""

from __future__ import annotations

__all__ = ["ObjectFolder", "holds_commit"]

import hashlib
import os
import re
import stat
import zlib
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Self

from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID, ShaFile
from dulwich.pack import PackData, load_pack_index

from pipeline.sources.limits import DEFAULT_LIMITS, Limits, TooLargeError, UnprovenError
from pipeline.sources.packs import scan_pack

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_PACK = re.compile(r"pack/[A-Za-z0-9._-]+\.pack")
_LOOSE = re.compile(r"([0-9a-f]{2})/([0-9a-f]{38})")
_HEADER = re.compile(rb"(commit|tree|blob|tag) (\d{1,20})\0")
_HEADER_MAX = 32
_KINDS = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
_STEP = 256 * 1024


class ObjectFolder:
    """A fresh folder of objects; use it as a context manager, fill it, then ``read``.

    Args:
        root: A folder that does not exist yet.
        limits: What the objects may cost.
    """

    def __init__(self, root: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        """Make the folder, empty."""
        self._limits = limits
        self._root = root
        self._packs = root / "pack"
        self._packs.mkdir(parents=True)
        self._bytes = 0
        self._count = 0
        self._store: DiskObjectStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every pack; the files stay."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def count(self) -> int:
        """How many packs and loose objects were taken."""
        return self._count

    @staticmethod
    def wants(name: str) -> bool:
        """Tell whether ``name``, relative to an ``objects`` folder, is a pack or a loose object."""
        return _PACK.fullmatch(name) is not None or _LOOSE.fullmatch(name) is not None

    def add(self, name: str, stream: IO[bytes]) -> None:
        """Take one file of an ``objects`` folder, which ``wants`` said yes to."""
        if match := _LOOSE.fullmatch(name):
            self._add_loose(match[1] + match[2], stream)
        else:
            self.add_pack(stream)

    def add_folder(self, objects: Path) -> None:
        """Take every pack and loose object of a folder on this machine; links and special files are passed over."""
        for folder in sorted(_real_folders(objects)):
            with os.scandir(objects / folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
            for name in names:
                if self.wants(f"{folder}/{name}"):
                    with _open_regular(objects / folder / name) as stream:
                        self.add(f"{folder}/{name}", stream)

    def add_pack(self, stream: IO[bytes]) -> None:
        """Take a pack, check all of it and make our own index for it.

        Raises:
            UnprovenError: it is damaged or goes beyond the limits.
        """
        path = self._packs / f"pack-{self._count:06d}.pack"
        with path.open("xb") as file:
            while chunk := stream.read(_STEP):
                self._charge(len(chunk))
                file.write(chunk)
        scan_pack(path, self._limits)
        try:
            with PackData(path, DEFAULT_OBJECT_FORMAT) as data:
                data.check()
                data.create_index_v2(str(path.with_suffix(".idx")))
        except Exception as error:  # dulwich raises what its parsers meet, from AssertionError to zlib.error
            msg = f"a pack is damaged: {_short(error)}"
            raise UnprovenError(msg) from error
        self._count += 1

    def _add_loose(self, name: str, stream: IO[bytes]) -> None:
        inflate = zlib.decompressobj()
        parts: list[bytes] = []
        size = 0
        try:
            while not inflate.eof and (chunk := inflate.unconsumed_tail or stream.read(_STEP)):
                out = inflate.decompress(chunk, _STEP)
                size += len(out)
                self._charge(len(out))
                if size > self._limits.object + _HEADER_MAX:
                    msg = f"object {name} is larger than {self._limits.object} bytes"
                    raise TooLargeError(msg)
                parts.append(out)
        except zlib.error as error:
            msg = f"object {name} is damaged: {error}"
            raise UnprovenError(msg) from error
        data = b"".join(parts)
        header = _HEADER.match(data)
        if not inflate.eof or header is None or int(header[2]) != len(data) - header.end():
            msg = f"object {name} is damaged: it is cut off or has no header"
            raise UnprovenError(msg)
        if _sha1(data) != name:
            msg = f"object {name} is not what its name says: its content hashes to {_sha1(data)}"
            raise UnprovenError(msg)
        path = self._root / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(data, 1))
        self._count += 1

    def _charge(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.download:
            msg = f"it sends more than {self._limits.download} bytes"
            raise TooLargeError(msg)
        if self._count > self._limits.objects:
            msg = f"it holds more than {self._limits.objects} objects"
            raise TooLargeError(msg)

    def read(self, name: str, kind: bytes) -> bytes:
        """Give the content of object ``name``, hashed again and checked.

        Raises:
            UnprovenError: it is missing, damaged, of another kind, or malformed.
        """
        if self._store is None:
            self._store = DiskObjectStore(self._root, loose_object_size_limit=self._limits.object + _HEADER_MAX)
        try:
            number, data = self._store.get_raw(ObjectID(name.encode()))
        except KeyError as error:
            msg = f"{kind.decode()} {name} is missing"
            raise UnprovenError(msg) from error
        except Exception as error:  # see add_pack
            msg = f"{kind.decode()} {name} cannot be read: {_short(error)}"
            raise UnprovenError(msg) from error
        found = _KINDS.get(number, b"?")
        actual = _sha1(b"%s %d\0" % (found, len(data)) + data)
        if actual != name:
            msg = f"{kind.decode()} {name} is not what its name says: its content hashes to {actual}"
            raise UnprovenError(msg)
        if found != kind:
            msg = f"{name} is a {found.decode()}, not a {kind.decode()}"
            raise UnprovenError(msg)
        if kind != b"blob":
            try:
                ShaFile.from_raw_string(number, data).check()
            except Exception as error:  # see add_pack
                msg = f"{kind.decode()} {name} is malformed: {_short(error)}"
                raise UnprovenError(msg) from error
        return data


def holds_commit(objects: Path, commit: str) -> bool:
    """Tell from names alone whether an ``objects`` folder says it holds ``commit``; proves nothing."""
    loose = objects / commit[:2] / commit[2:]
    if loose.is_file() and not loose.is_symlink():
        return True
    packs = objects / "pack"
    if packs.is_symlink() or not packs.is_dir():
        return False
    return any(
        _index_holds(path, commit) for path in sorted(packs.glob("*.idx")) if path.is_file() and not path.is_symlink()
    )


def _index_holds(path: Path, commit: str) -> bool:
    try:
        with ExitStack() as stack:
            index = load_pack_index(path, DEFAULT_OBJECT_FORMAT)
            stack.callback(index.close)
            index.object_offset(ObjectID(commit.encode()))
    except Exception:  # noqa: BLE001 - a damaged index holds nothing; dulwich raises what its parsers meet
        return False
    return True


def _real_folders(objects: Path) -> list[str]:
    with os.scandir(objects) as entries:
        return [
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False) and re.fullmatch(r"pack|[0-9a-f]{2}", entry.name)
        ]


def _open_regular(path: Path) -> IO[bytes]:
    """Open a file without following a link that took its place, or waiting on a pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        msg = f"{path.name} is not a regular file"
        raise UnprovenError(msg)
    return os.fdopen(handle, "rb")


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _short(error: BaseException) -> str:
    """Give a library's error as a few words on one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
