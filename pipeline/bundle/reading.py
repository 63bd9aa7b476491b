"""Read a ``.tar.zst`` that may be hostile: nothing is trusted but the bytes, and nothing is held in memory.

Only what ``pack`` writes is understood (folders, files, symbolic links, PAX names); everything else a tar can hold is
refused with its name rather than skipped. Sizes and counts are capped before anything is written.
"""

from __future__ import annotations

__all__ = [
    "MAX_BYTES",
    "MAX_MEMBERS",
    "Entry",
    "OpenTar",
    "TarReader",
    "measure",
    "opened_tar",
    "read_member",
    "unpack",
]

import os
import shutil
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NoReturn, Protocol, cast

import zstandard

from pipeline.bundle.digest import Digest
from pipeline.bundle.members import Kind, check_link, check_name
from pipeline.errors import BundleError
from pipeline.model import Bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 16 << 30
"""The most an archive may unpack to; eight times what GitHub lets an asset weigh."""
MAX_MEMBERS = 100_000

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_MAX_WINDOW = 1 << 27
_MAX_PAX = 1 << 16
_MAX_MEMBER_READ = 64 << 20
_HINT = "the archive is damaged or was not made by llamatrix: build or download it again"
_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.LINK,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One member as the archive has it; ``parts`` begins with the top folder."""

    parts: tuple[str, ...]
    kind: Kind
    size: int
    mode: int
    target: str

    @property
    def name(self) -> str:
        """The name below the top folder; empty for the top folder itself."""
        return "/".join(self.parts[1:])


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class TarReader:
    """Walks the members of one decompressed tar; each member's content is read, or skipped, in order."""

    def __init__(
        self, stream: _Stream, where: str, *, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS
    ) -> None:
        """Read from ``stream``; ``where`` names the archive in messages."""
        self.size = 0
        self.top = ""
        self._stream = stream
        self._where = where
        self._max_bytes = max_bytes
        self._max_members = max_members
        self._left = 0
        self._padding = 0
        self._folders: set[tuple[str, ...]] = set()
        self._seen: set[tuple[str, ...]] = set()

    def members(self) -> Iterator[Entry]:
        """Yield every member, checked; raise BundleError at the first that is not acceptable."""
        content = 0
        while (entry := self._next()) is not None:
            self._check(entry)
            content += entry.size
            if content > self._max_bytes:
                self._fail(f"it unpacks to more than {self._max_bytes} bytes")
            self._left, self._padding = entry.size, -entry.size % _BLOCK
            yield entry
            for _ in self.content():
                pass
        if not self.top:
            self._fail("it is empty")
        while piece := self._stream.read(_CHUNK):
            self.size += len(piece)
            if piece.count(0) != len(piece):
                self._fail("there is data behind its end")
            if self.size > 2 * self._max_bytes:
                self._fail(f"it unpacks to more than {self._max_bytes} bytes")

    def content(self) -> Iterator[bytes]:
        """Yield what is left of the current member's content."""
        while self._left:
            piece = self._stream.read(min(_CHUNK, self._left))
            if not piece:
                self._fail("it ends in the middle of a file")
            self._left -= len(piece)
            self.size += len(piece)
            yield piece
        padding, self._padding = self._padding, 0
        self._exactly(padding)

    def _check(self, entry: Entry) -> None:
        parts = entry.parts
        if not self.top:
            self.top = parts[0]
        shown = "/".join(parts)
        if parts[0] != self.top:
            self._fail(f"it has more than one top folder: {self.top!r} and {parts[0]!r}")
        if parts in self._seen:
            self._fail(f"{shown} is there twice")
        if len(parts) > 1 and parts[:-1] not in self._folders:
            self._fail(f"the folder of {shown} is not listed before it, or is not a folder")
        if len(parts) == 1 and entry.kind is not Kind.FOLDER:
            self._fail(f"{shown} lies outside a top folder")
        if entry.mode & 0o7000:
            self._fail(f"{shown} has the set-user-id, set-group-id or sticky bit")
        self._seen.add(parts)
        if len(self._seen) > self._max_members:
            self._fail(f"it has more than {self._max_members} members")
        if entry.kind is Kind.FOLDER:
            self._folders.add(parts)
        elif entry.kind is Kind.LINK:
            check_link(entry.name, entry.target)

    def _next(self) -> Entry | None:
        renamed: dict[str, str] = {}
        while True:
            block = self._exactly(_BLOCK)
            if not any(block):
                if any(self._exactly(_BLOCK)):
                    self._fail("a single empty block stands between its members")
                return None
            try:
                info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
            except (tarfile.TarError, ValueError) as error:
                self._fail(f"a header is damaged: {error}")
            if info.type != tarfile.XHDTYPE:
                break
            renamed = self._pax(info.size)
        name = renamed.get("path", info.name)
        kind = _KINDS.get(info.type)
        if kind is None:
            self._fail(f"{name!r} is neither a file, a folder nor a symbolic link (tar type {info.type!r})")
        size = info.size
        if "size" in renamed:
            size = int(renamed["size"]) if renamed["size"].isascii() and renamed["size"].isdigit() else -1
        if size < 0 or (size and kind is not Kind.FILE):
            self._fail(f"{name!r} has an impossible size")
        parts = check_name(name.removesuffix("/") if kind is Kind.FOLDER else name)
        return Entry(parts=parts, kind=kind, size=size, mode=info.mode, target=renamed.get("linkpath", info.linkname))

    def _pax(self, size: int) -> dict[str, str]:
        if not 0 < size <= _MAX_PAX:
            self._fail("an extended header has an impossible size")
        data = self._exactly(size + -size % _BLOCK)[:size]
        found: dict[str, str] = {}
        while data:
            length, blank, _ = data.partition(b" ")
            count = int(length) if blank and length.isdigit() and len(length) < len(str(_MAX_PAX)) + 1 else 0
            record = data[len(length) + 1 : count]
            key, equals, value = record.partition(b"=")
            if not equals or not value.endswith(b"\n") or count > len(data):
                self._fail("an extended header is damaged")
            try:
                found[key.decode()] = value[:-1].decode()
            except UnicodeDecodeError:
                self._fail("an extended header is not UTF-8")
            data = data[count:]
        return found

    def _exactly(self, count: int) -> bytes:
        pieces: list[bytes] = []
        while count:
            piece = self._stream.read(count)
            if not piece:
                self._fail("it ends too early")
            self.size += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _fail(self, why: str) -> NoReturn:
        raise BundleError(why, where=self._where, hint=_HINT)


class _Watched:
    """A stream that shows every block it gives to a digest."""

    def __init__(self, stream: _Stream, digest: Digest) -> None:
        self._stream = stream
        self._digest = digest

    def read(self, size: int = -1, /) -> bytes:
        block = self._stream.read(size)
        self._digest.feed(block)
        return block


@contextmanager
def _opened(archive: Path) -> Iterator[IO[bytes]]:
    try:
        with archive.open("rb") as file:
            yield file
    except zstandard.ZstdError as error:
        msg = f"it is not readable as zstd: {error}"
        raise BundleError(msg, where=str(archive), hint=_HINT) from error
    except OSError as error:
        msg = f"it cannot be read: {error.strerror or error}"
        raise BundleError(msg, where=str(archive), hint="check the path and the permissions") from error


def _plain(stream: _Stream) -> _Stream:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    source = cast("IO[bytes]", stream)  # only read is ever called
    return decompressor.stream_reader(source, read_size=_CHUNK, read_across_frames=True, closefd=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenTar:
    """An archive that is being read; ``size`` and ``sha256`` of the packed file are known after the last member."""

    reader: TarReader
    _file: IO[bytes]
    _packed: Digest

    @property
    def size(self) -> int:
        """The bytes read so far."""
        return self._file.tell()

    def sha256(self) -> str:
        """Wait for the digest; the reader must be at its end."""
        return self._packed.hexdigest()


@contextmanager
def opened_tar(archive: Path) -> Iterator[OpenTar]:
    """Open ``archive`` for one pass over its members, hashing the packed bytes beside it."""
    with _opened(archive) as file, Digest() as packed:
        yield OpenTar(
            reader=TarReader(_plain(_Watched(file, packed)), str(archive)),
            _file=file,
            _packed=packed,
        )


def measure(archive: Path) -> Bundle:
    """Read all of ``archive`` once, check it, and give its sizes and digests."""
    files = unpacked = 0
    with _opened(archive) as file, Digest() as packed, Digest() as plain:
        reader = TarReader(_Watched(_plain(_Watched(file, packed)), plain), str(archive))
        for entry in reader.members():
            files += entry.kind is Kind.FILE
            unpacked += entry.size
        return Bundle(
            path=archive,
            top=reader.top,
            size=file.tell(),
            unpacked_size=unpacked,
            sha256=packed.hexdigest(),
            tar_sha256=plain.hexdigest(),
            files=files,
        )


def read_member(archive: Path, name: str) -> bytes:
    """Give the content of one file; ``name`` is relative to the top folder."""
    with _opened(archive) as file:
        reader = TarReader(_plain(file), str(archive))
        for entry in reader.members():
            if entry.name == name and entry.kind is Kind.FILE:
                if entry.size > _MAX_MEMBER_READ:
                    msg = f"{name} is too large to be read as a whole ({entry.size} bytes)"
                    raise BundleError(msg, where=str(archive), hint=_HINT)
                return b"".join(reader.content())
    msg = f"there is no file {name} inside"
    raise BundleError(msg, where=str(archive), hint=_HINT)


def unpack(archive: Path, dest: Path, *, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> Path:
    """Unpack ``archive`` below ``dest`` and give its top folder.

    Whatever goes wrong, what was written is removed again: a half-unpacked folder never looks like a bundle.

    Args:
        archive: The archive, trusted in no way.
        dest: A folder, made when missing. The archive's top folder must not be in it yet.
        max_bytes: The most it may unpack to.
        max_members: The most members it may have.

    Raises:
        BundleError: The archive is damaged, hostile or too large, or the top folder is already there.
    """
    dest.mkdir(parents=True, exist_ok=True)
    top: Path | None = None
    try:
        with _opened(archive) as file:
            reader = TarReader(_plain(file), str(archive), max_bytes=max_bytes, max_members=max_members)
            for entry in reader.members():
                path = dest.joinpath(*entry.parts)
                if top is None:
                    _refuse_existing(path, archive)
                    top = path
                _place(entry, path, reader)
    except BaseException:
        if top is not None:
            shutil.rmtree(top, ignore_errors=True)
        raise
    assert top is not None  # the reader refuses an archive without a top folder
    return top


def _refuse_existing(path: Path, archive: Path) -> None:
    if path.is_symlink() or path.exists():
        msg = f"{path} already exists"
        raise BundleError(msg, where=str(archive), hint="unpack into a new folder")


def _place(entry: Entry, path: Path, reader: TarReader) -> None:
    if entry.kind is Kind.FOLDER:
        path.mkdir()
        path.chmod(entry.mode & 0o777 | 0o700)
    elif entry.kind is Kind.LINK:
        path.symlink_to(entry.target)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(path, flags, 0o600), "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
            file.writelines(reader.content())
            os.fchmod(file.fileno(), entry.mode & 0o777)
