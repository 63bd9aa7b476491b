"""What may be inside a bundle: the rules for names, links and kinds of file, shared by packing and unpacking.

A bundle has one top folder holding folders, regular files and relative symbolic links that stay inside. Nothing
else: a device, a socket or a link that leaves the folder is refused with its name, never left out silently.
"""

from __future__ import annotations

__all__ = ["Kind", "Member", "check_link", "check_name", "check_top", "survey"]

import os
import stat
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HINT = "fix the build step that makes it; a bundle holds folders, non-empty files and relative links that stay inside"


class Kind(StrEnum):
    """The three kinds of member."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "link"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One member of a staging folder; ``name`` is POSIX and relative to the top folder."""

    name: str
    kind: Kind
    path: Path
    size: int = 0
    executable: bool = False
    target: str = ""


def check_name(name: str) -> tuple[str, ...]:
    """Give the parts of a member's name, or raise when it could be misread or lead elsewhere."""
    shown = repr(name)
    if not name or name.startswith("/"):
        msg = f"the name {shown} is not relative"
        raise BundleError(msg, where=shown, hint=_HINT)
    parts = tuple(name.split("/"))
    if any(part in {"", ".", ".."} for part in parts):
        msg = f"the name {shown} has an empty, '.' or '..' part"
        raise BundleError(msg, where=shown, hint=_HINT)
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in name) or "\\" in name:
        msg = f"the name {shown} has control characters, a backslash, or is not valid UTF-8"
        raise BundleError(msg, where=shown, hint=_HINT)
    return parts


def check_top(top: str) -> None:
    """Raise unless ``top`` is one plain folder name."""
    if len(check_name(top)) != 1:
        msg = f"the top folder {top!r} is not a single name"
        raise BundleError(msg, where=repr(top), hint="use one folder name without slashes")


def check_link(name: str, target: str) -> None:
    """Raise unless the link ``name`` stays inside the top folder whatever else is linked there.

    ``..`` is allowed only at the start of the target: behind a name it would be resolved through that name, which may
    itself be a link, and the text alone could then not show where it ends.
    """
    if not target or target.startswith("/"):
        msg = f"the link points to {target!r}, which is not relative"
        raise BundleError(msg, where=name, hint=_HINT)
    parts = target.split("/")
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    if parts[climbs:]:
        try:
            check_name("/".join(parts[climbs:]))
        except BundleError as error:
            msg = f"the link points to {target!r}: {error.what}"
            raise BundleError(msg, where=name, hint=_HINT) from error
    if climbs > name.count("/"):
        msg = f"the link points to {target!r}, outside the bundle"
        raise BundleError(msg, where=name, hint=_HINT)


def survey(root: Path) -> tuple[Member, ...]:
    """List everything below ``root`` in archive order, or raise naming the first thing that may not be packed."""
    if not root.is_dir() or root.is_symlink():
        msg = "there is no staging folder to pack"
        raise BundleError(msg, where=str(root), hint="compose the bundle first")
    members = tuple(sorted(_walk(root, ""), key=lambda member: member.name.split("/")))
    if not any(member.kind is Kind.FILE for member in members):
        msg = "the staging folder holds no file"
        raise BundleError(msg, where=str(root), hint="compose the bundle first")
    return members


def _walk(folder: Path, prefix: str) -> Iterator[Member]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            check_name(name)
            path = Path(entry.path)
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(path)  # noqa: PTH115 - Path.readlink would normalise the target
                check_link(name, target)
                yield Member(name=name, kind=Kind.LINK, path=path, target=target)
            elif stat.S_ISDIR(status.st_mode):
                yield Member(name=name, kind=Kind.FOLDER, path=path)
                yield from _walk(path, f"{name}/")
            elif not stat.S_ISREG(status.st_mode):
                msg = "it is neither a file, a folder nor a symbolic link"
                raise BundleError(msg, where=name, hint=_HINT)
            elif status.st_size == 0:
                msg = "the file is empty"
                raise BundleError(msg, where=name, hint=_HINT)
            else:
                executable = bool(status.st_mode & stat.S_IXUSR)
                yield Member(name=name, kind=Kind.FILE, path=path, size=status.st_size, executable=executable)
