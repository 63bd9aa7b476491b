"""A source given with ``--source NAME=PATH``: a git repository that holds the pin, or a folder taken as it is.

Of a repository only ``objects`` is used. Its configuration and hooks are never read, its alternates never followed.
"""

from __future__ import annotations

__all__ = ["LocalSource", "inspect"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

_POINTER_MAX = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalSource:
    """What ``--source`` points at. ``objects`` is set when a git repository there says it holds the pin."""

    path: Path
    objects: Path | None
    work_tree: bool
    alternates: bool


def inspect(path: Path, commit: str | None) -> LocalSource:
    """Find out what ``path`` is, reading next to nothing.

    Raises:
        SourceError: it is no folder, or a bare repository without the pinned commit.
    """
    if not path.is_dir():
        msg = f"{path} is not a folder"
        raise SourceError(msg, hint="give --source NAME=PATH the path of a source tree or of a git repository")
    bare = _is_bare(path)
    git = path if bare else _git_folder(path)
    objects = None if git is None else git / "objects"
    if objects is not None and (objects.is_symlink() or not objects.is_dir()):
        objects = None
    alternates = objects is not None and (objects / "info" / "alternates").exists()
    found = objects is not None and commit is not None and _holds(objects, commit)
    if bare and not found:
        msg = f"{path} is a bare git repository and does not hold {f'the commit {commit}' if commit else 'a work tree'}"
        if alternates:
            msg += "; it borrows objects from another repository, which is not followed"
        raise SourceError(msg, hint="fetch that commit into it, or give a folder with the files themselves")
    return LocalSource(path=path, objects=objects if found else None, work_tree=not bare, alternates=alternates)


def _holds(objects: Path, commit: str) -> bool:
    # Imported late: a plan without --source must not pay for the git library.
    from pipeline.sources.objects import holds_commit  # noqa: PLC0415

    return holds_commit(objects, commit)


def _is_bare(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def _git_folder(path: Path) -> Path | None:
    """Find the git folder of a work tree, following a ``.git`` file one step to a worktree's or submodule's.

    Such a file can name any folder, so it only counts when the folder lies where git itself puts it.
    """
    dot_git = path / ".git"
    if dot_git.is_symlink():
        return None
    if dot_git.is_dir():
        return dot_git
    if not dot_git.is_file():
        return None
    target = _pointer(dot_git, "gitdir: ")
    if target is None or not target.is_dir() or not {"worktrees", "modules"} & set(target.parts):
        return None
    if (target / "objects").is_dir():
        return target
    common = _pointer(target / "commondir", "")
    # <repository>/worktrees/<name> is the only place git makes; anything else is not ours to follow.
    return common if common is not None and target.parent.parent == common else None


def _pointer(file: Path, prefix: str) -> Path | None:
    """Read a one-line file that names a folder, relative to its own."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size > _POINTER_MAX:
        return None
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    if not text.startswith(prefix) or "\0" in text:
        return None
    return (file.parent / text.removeprefix(prefix).rstrip("\n")).resolve()
