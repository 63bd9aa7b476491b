"""Folders of files as content: one digest for what is inside, one cheap stamp to notice a change.

The digest covers paths, bytes, link targets and the executable bit; never times, owners or empty folders, so it is the
same on every machine. ``.git`` is left out everywhere.
"""

from __future__ import annotations

__all__ = ["TreeDigest", "copy_tree", "count_differences", "tree_digest", "tree_stamp"]

import filecmp
import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

from pipeline.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TreeDigest:
    """The digest of a tree, entry by entry in the order of the paths' bytes."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._hash = hashlib.sha256(b"llamatrix tree 1\n")

    def add(self, kind: str, path: bytes, sha256: str) -> None:
        """Add a file (``f``), a program (``x``) or a link (``l``) with the hash of its bytes or target."""
        self._hash.update(f"{kind} {sha256} {len(path)} ".encode() + path + b"\n")

    def hexdigest(self) -> str:
        """Give the digest in hex."""
        return self._hash.hexdigest()


def tree_digest(root: Path) -> str:
    """Read every file below ``root`` and give the digest.

    Raises:
        SourceError: something is neither file, link nor folder, or cannot be read.
    """
    digest = TreeDigest()
    for path, info in _walk(root):
        full = os.path.join(os.fsencode(root), path)  # noqa: PTH118 - paths are bytes here
        if stat.S_ISLNK(info.st_mode):
            digest.add("l", path, hashlib.sha256(os.readlink(full)).hexdigest())  # noqa: PTH115 - as above
        else:
            try:
                with open(full, "rb") as file:  # noqa: PTH123 - as above
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise _unreadable(full, error) from error
            digest.add("x" if info.st_mode & stat.S_IXUSR else "f", path, content)
    return digest.hexdigest()


def tree_stamp(root: Path) -> str:
    """Give a stamp of names, modes, sizes and times: equal as long as nobody touched the tree."""
    stamp = hashlib.sha256()
    for path, info in _walk(root):
        stamp.update(b"%s\0%o %d %d\n" % (path, info.st_mode, info.st_size, info.st_mtime_ns))
    return stamp.hexdigest()


def copy_tree(source: Path, destination: Path, epoch: int) -> int:
    """Copy files and links, without ``.git``, with plain modes and one time; give their number."""
    root, target = os.fsencode(source), os.fsencode(destination)
    destination.mkdir()
    folders = {b""}
    count = 0
    for path, info in _walk(source):
        folder = os.path.dirname(path)  # noqa: PTH120 - paths are bytes here
        if folder not in folders:
            os.makedirs(os.path.join(target, folder), exist_ok=True)  # noqa: PTH103, PTH118 - as above
            parts = folder.split(b"/")
            folders.update(b"/".join(parts[: length + 1]) for length in range(len(parts)))
        from_path, to_path = os.path.join(root, path), os.path.join(target, path)  # noqa: PTH118 - as above
        try:
            if stat.S_ISLNK(info.st_mode):
                os.symlink(os.readlink(from_path), to_path)  # noqa: PTH115, PTH211 - as above
            else:
                shutil.copyfile(from_path, to_path, follow_symlinks=False)
                os.chmod(to_path, 0o755 if info.st_mode & stat.S_IXUSR else 0o644)  # noqa: PTH101 - as above
        except OSError as error:
            raise _unreadable(from_path, error) from error
        os.utime(to_path, (epoch, epoch), follow_symlinks=False)
        count += 1
    for folder in sorted(folders, reverse=True):
        full = os.path.join(target, folder) if folder else target  # noqa: PTH118 - as above
        os.chmod(full, 0o755)  # noqa: PTH101, S103 - as above; sources are no secret
        os.utime(full, (epoch, epoch))
    return count


def count_differences(tree: Path, other: Path) -> int:
    """Count the files of ``tree`` that ``other`` lacks or has changed; more files in ``other`` are no matter."""
    root, different = os.fsencode(other), 0
    for path, info in _walk(tree):
        ours, theirs = os.path.join(os.fsencode(tree), path), os.path.join(root, path)  # noqa: PTH118 - as above
        try:
            found = os.lstat(theirs)
            if stat.S_IFMT(found.st_mode) != stat.S_IFMT(info.st_mode) or found.st_size != info.st_size:
                different += 1
            elif stat.S_ISLNK(info.st_mode):
                different += os.readlink(ours) != os.readlink(theirs)  # noqa: PTH115 - as above
            else:
                different += not filecmp.cmp(ours, theirs, shallow=False)
        except OSError:
            different += 1
    return different


def _walk(root: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield files and links with their lstat, in the order of the paths' bytes."""
    found: list[tuple[bytes, os.stat_result]] = []
    todo = [b""]
    base = os.fsencode(root)
    while todo:
        folder = todo.pop()
        full = os.path.join(base, folder) if folder else base  # noqa: PTH118 - paths are bytes here
        try:
            with os.scandir(full) as entries:
                for entry in entries:
                    if entry.name == b".git":
                        continue
                    path = folder + b"/" + entry.name if folder else entry.name
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(info.st_mode):
                        todo.append(path)
                    elif stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
                        found.append((path, info))
                    else:
                        what = f"{os.fsdecode(entry.path)} is neither a file, a link nor a folder"
                        raise SourceError(what, hint="remove it from the source folder")
        except OSError as error:
            raise _unreadable(full, error) from error
    found.sort(key=lambda item: item[0])
    yield from found


def _unreadable(path: bytes, error: OSError) -> SourceError:
    return SourceError(f"cannot read {os.fsdecode(path)}: {error.strerror or error}", hint="check its permissions")
