"""How much a source may ask of this machine before it is refused."""

from __future__ import annotations

__all__ = ["DEFAULT_LIMITS", "Limits", "TooLargeError", "UnprovenError"]

from dataclasses import dataclass


class UnprovenError(Exception):
    """One mirror's material is not the pinned commit, or is not safe to use; the message is one sentence."""


class TooLargeError(UnprovenError):
    """The material goes beyond a limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Sizes are bytes. The defaults hold several times llama.cpp (180 MB, 3700 files) and stop a bomb."""

    download: int = 2 * 2**30
    """What one mirror may send or pack."""
    object: int = 256 * 2**20
    """One object after inflation: objects are held in memory one at a time."""
    inflated: int = 16 * 2**30
    """All objects of a pack after inflation."""
    objects: int = 2_000_000
    tree: int = 4 * 2**30
    """All files of the tree."""
    entries: int = 200_000
    depth: int = 64
    path: int = 1024
    link: int = 1024
    """The target of a symbolic link."""


DEFAULT_LIMITS = Limits()
