"""Which names and links of a git tree are safe to write to any file system.

The rules are git's own (``fsck``, ``core.protectHFS``, ``core.protectNTFS``), always all of them: a source fetched on
one machine may be unpacked on another.
"""

from __future__ import annotations

__all__ = ["collision_key", "escaping_links", "unsafe_name"]

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Code points that HFS+ ignores when it compares names, so that ".g\u200cit" opens ".git".
_HFS_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])
# NTFS gives ".git" the short name GIT~1, GIT~2 ...
_NTFS_SHORT = re.compile(r"git~\d+")
_NAME_MAX = 255
_LINK_HOPS = 40


def unsafe_name(name: bytes) -> str | None:  # noqa: PLR0911 - one return for each rule
    """Say why one name of a tree must not be written, or None."""
    if name in (b"", b".", b".."):
        return "is empty, '.' or '..'"
    if b"/" in name or b"\\" in name:
        return "holds a path separator"
    if any(byte < 0x20 or byte == 0x7F for byte in name):  # noqa: PLR2004 - the ASCII control characters
        return "holds a control character"
    if len(name) > _NAME_MAX:
        return "is longer than 255 bytes"
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8"
    # NTFS drops trailing dots and spaces and opens "name:stream" as name.
    plain = text.translate(_HFS_IGNORED).split(":", 1)[0].rstrip(". ").casefold()
    if plain == ".git" or _NTFS_SHORT.fullmatch(plain):
        return "stands for .git on some file system"
    return None


def collision_key(name: bytes) -> str:
    """Give the form under which a file system that ignores case and composition would store ``name``."""
    text = name.decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def escaping_links(links: Mapping[bytes, bytes]) -> list[tuple[bytes, str]]:
    """List the links (path to target) that are absolute, leave the tree or never end, each with its reason.

    Targets are walked as a kernel would walk them, through other links, because ``a/b/..`` is not ``a`` when ``b``
    is a link. Components that do not exist count as plain names.
    """
    bad: list[tuple[bytes, str]] = []
    for path, target in links.items():
        reason = _walk(path, target, links)
        if reason is not None:
            bad.append((path, reason))
    return bad


def _walk(path: bytes, target: bytes, links: Mapping[bytes, bytes]) -> str | None:
    at = path.split(b"/")[:-1]
    todo = [*reversed(target.split(b"/"))]
    if problem := _bad_target(target):
        return problem
    hops = 1
    while todo:
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not at:
                return "leaves the tree"
            at.pop()
            continue
        here = b"/".join((*at, part))
        if here in links:
            hops += 1
            if hops > _LINK_HOPS:
                return "never ends"
            if problem := _bad_target(links[here]):
                return f"goes through a link that {problem}"
            todo.extend(reversed(links[here].split(b"/")))
            continue
        at.append(part)
    return None


def _bad_target(target: bytes) -> str | None:
    if not target or b"\0" in target:
        return "has an empty or unreadable target"
    if target.startswith((b"/", b"\\")) or b"\\" in target:
        return "is absolute or not portable"
    return None
