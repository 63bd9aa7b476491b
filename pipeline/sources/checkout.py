"""From a pinned commit to a folder: the proof that the folder is the commit's tree, byte for byte.

The walk starts at the commit's id and goes down by ids alone, so whatever is written is what the pin names. Parents
are not needed: a mirror may be a shallow clone.
"""

from __future__ import annotations

__all__ = ["Checkout", "checkout"]

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dulwich.objects import Commit, ShaFile, parse_tree

from pipeline.sources.limits import DEFAULT_LIMITS, Limits, TooLargeError, UnprovenError
from pipeline.sources.names import collision_key, escaping_links, unsafe_name
from pipeline.sources.trees import TreeDigest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.sources.objects import ObjectFolder

_FILE = 0o100644
_PROGRAM = 0o100755
_LINK = 0o120000
_FOLDER = 0o040000
_SUBMODULE = 0o160000


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkout:
    """What was written: the commit's time, the tree's digest and its size."""

    epoch: int
    digest: str
    files: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    path: bytes
    mode: int
    name: str


def checkout(
    objects: ObjectFolder,
    commit: str,
    destination: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    allow_submodules: bool = False,
) -> Checkout:
    """Write the tree of ``commit`` into ``destination``, which must not exist.

    Files are 0644 or 0755, every time stamp is the commit's. A submodule, where it is allowed, is left out. What was
    written before an error stays: the caller owns a temporary folder and removes it.

    Raises:
        UnprovenError: an object is missing, wrong, unsafe or too large.
    """
    record = ShaFile.from_raw_string(1, objects.read(commit, b"commit"))
    assert isinstance(record, Commit)
    entries = list(_walk(objects, record.tree.decode(), limits, allow_submodules=allow_submodules))
    links = _read_links(objects, entries, limits)
    digest = TreeDigest()
    root = os.fsencode(destination)
    destination.mkdir()
    folders = _make_folders(root, entries)
    written = 0
    for entry in sorted(entries, key=lambda entry: entry.path):
        if entry.mode == _LINK:
            digest.add("l", entry.path, hashlib.sha256(links[entry.path]).hexdigest())
            continue
        data = objects.read(entry.name, b"blob")
        written += len(data)
        if written > limits.tree:
            msg = f"the tree is larger than {limits.tree} bytes"
            raise TooLargeError(msg)
        _write_file(root + b"/" + entry.path, data, program=entry.mode == _PROGRAM)
        digest.add("x" if entry.mode == _PROGRAM else "f", entry.path, hashlib.sha256(data).hexdigest())
    # Links come last, so that nothing can be written through one.
    for path, target in links.items():
        os.symlink(target, root + b"/" + path)  # noqa: PTH211 - paths are bytes here
    epoch = int(record.commit_time)
    _stamp(root, [entry.path for entry in entries], folders, epoch)
    return Checkout(epoch=epoch, digest=digest.hexdigest(), files=len(entries), size=written)


def _walk(objects: ObjectFolder, tree: str, limits: Limits, *, allow_submodules: bool) -> Iterator[_Entry]:
    """Yield every file and link below ``tree``, having checked all names, modes and depths on the way."""
    todo: list[tuple[bytes, str, int]] = [(b"", tree, 0)]
    count = 0
    while todo:
        prefix, tree_name, depth = todo.pop()
        if depth > limits.depth:
            msg = f"the tree is more than {limits.depth} folders deep"
            raise TooLargeError(msg)
        seen: dict[str, bytes] = {}
        for name, mode, raw in parse_tree(objects.read(tree_name, b"tree"), sha_len=20, strict=True):
            path = prefix + name
            count += 1
            if count > limits.entries or len(path) > limits.path:
                msg = f"the tree has more than {limits.entries} entries or a path longer than {limits.path} bytes"
                raise TooLargeError(msg)
            _check_name(path, name, seen)
            if mode == _FOLDER:
                todo.append((path + b"/", raw.decode(), depth + 1))
            elif mode == _SUBMODULE:
                if not allow_submodules:
                    msg = f"{_show(path)} is a submodule; submodules are not fetched"
                    raise UnprovenError(msg)
            elif mode in (_FILE, _PROGRAM, _LINK):
                yield _Entry(path=path, mode=mode, name=raw.decode())
            else:
                msg = f"{_show(path)} has the mode {mode:o}, which is neither file, link nor folder"
                raise UnprovenError(msg)


def _check_name(path: bytes, name: bytes, seen: dict[str, bytes]) -> None:
    if problem := unsafe_name(name):
        msg = f"the name {_show(path)} is not safe: it {problem}"
        raise UnprovenError(msg)
    other = seen.setdefault(collision_key(name), name)
    if other is not name:
        msg = f"{_show(path)} and {_show(other)} are the same name on some file system"
        raise UnprovenError(msg)


def _read_links(objects: ObjectFolder, entries: list[_Entry], limits: Limits) -> dict[bytes, bytes]:
    """Give every link's target, having made sure that none leads out of the tree."""
    links: dict[bytes, bytes] = {}
    for entry in entries:
        if entry.mode == _LINK:
            target = objects.read(entry.name, b"blob")
            if len(target) > limits.link:
                msg = f"the link {_show(entry.path)} has a target longer than {limits.link} bytes"
                raise TooLargeError(msg)
            links[entry.path] = target
    for path, problem in escaping_links(links):
        msg = f"the link {_show(path)} to {_show(links[path])} {problem}"
        raise UnprovenError(msg)
    return links


def _make_folders(root: bytes, entries: list[_Entry]) -> list[bytes]:
    """Make every folder, parents first, and give them all."""
    folders: set[bytes] = set()
    for entry in entries:
        parts = entry.path.split(b"/")[:-1]
        folders.update(b"/".join(parts[: length + 1]) for length in range(len(parts)))
    ordered = sorted(folders)
    for folder in ordered:
        os.mkdir(root + b"/" + folder)  # noqa: PTH102 - paths are bytes here, pathlib knows only text
    return ordered


def _write_file(path: bytes, data: bytes, *, program: bool) -> None:
    # O_EXCL: a second entry that a file system folds onto the first is an error, never an overwrite.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o755 if program else 0o644)


def _stamp(root: bytes, paths: list[bytes], folders: list[bytes], epoch: int) -> None:
    """Give everything the commit's time and folders their mode, deepest first so that parents keep theirs."""
    for path in paths:
        os.utime(root + b"/" + path, (epoch, epoch), follow_symlinks=False)
    for folder in [*reversed(folders), b""]:
        full = root + b"/" + folder if folder else root
        os.chmod(full, 0o755)  # noqa: PTH101, S103 - paths are bytes here; sources are no secret
        os.utime(full, (epoch, epoch))


def _show(path: bytes) -> str:
    return repr(path.decode("utf-8", "backslashreplace"))
