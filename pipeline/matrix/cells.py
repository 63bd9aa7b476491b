"""A cell with everything resolved, and a cell left out with its reason."""

from __future__ import annotations

__all__ = ["Cell", "Expansion", "LeftOut"]

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.matrix.spec import Gates, Waiver


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One project x platform x variant; ``id`` is ``project/platform/variant``.

    ``backends`` are the names of the backend components composed with the core; ``needs`` says what is still
    missing before the cell can be built at all (None: it can); ``pending`` names backends that are not in it yet.
    """

    id: str
    project: str
    platform: str
    variant: str
    backends: tuple[str, ...] = ()
    pending: Mapping[str, str] = field(default_factory=dict)
    needs: str | None = None
    gates: Gates = field(default_factory=Gates)
    waivers: tuple[Waiver, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A cell of the axes' product that does not exist; ``where`` is the exclude's ``file:line:column``."""

    id: str
    reason: str
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expansion:
    """Every cell in matrix order, and every cell left out."""

    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...]
