"""Where benchmarks run and what they may use: from the command line and the environment."""

from __future__ import annotations

__all__ = ["ROOT", "Setting"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import NotRunError

ROOT = Path(__file__).resolve().parents[1]
"""The folder of matrix.yaml."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """``work`` is a folder to write to, which lasts if ``kept``; ``store``, ``source`` and ``tree`` are real things.

    ``runs`` replaces the number of repetitions each benchmark chooses itself; ``full`` allows what takes an hour.
    """

    work: Path
    say: Callable[[str], None]
    store: Path | None = None
    source: Path | None = None
    tree: Path | None = None
    shipped: Path | None = None
    profile: str = "local"
    runs: int | None = None
    full: bool = False
    kept: bool = False

    def repeat(self, usual: int) -> int:
        """Give the number of repetitions."""
        return self.runs or usual

    def folder(self, name: str) -> Path:
        """Give a folder of this benchmark's own below ``work``, made when missing."""
        place = self.work / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def real_store(self) -> Path:
        """Give the store of real builds, or say that there is none."""
        if self.store is None or not (self.store / "tasks").is_dir():
            where = f"{self.store} holds no finished work" if self.store else "no store was given"
            msg = f"{where}; build first and set LLAMATRIX_STORE or --store"
            raise NotRunError(msg)
        return self.store
