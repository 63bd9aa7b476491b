"""The axes' product, minus excludes, plus includes; defaults and overrides applied in order.

Globs are matched once for each name on an axis, never for each cell, and cells that the same overrides match share
their settings, so the time is linear in the number of cells.
"""

from __future__ import annotations

__all__ = ["Settings", "expand", "settings_of"]

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

from pipeline.matrix.cells import Cell, Expansion, LeftOut
from pipeline.matrix.globs import compile_parts
from pipeline.matrix.spec import Gates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline.matrix.loaded import LoadedMatrix
    from pipeline.matrix.nodes import Path
    from pipeline.matrix.spec import Cells, Waiver


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the defaults and a row of overrides make of a cell.

    ``origins`` tells which part of the file set a key (``needs``, ``gates.size``) last.
    """

    backends: tuple[str, ...] | None = None
    pending: Mapping[str, str] = field(default_factory=dict)
    needs: str | None = None
    gates: Gates = field(default_factory=Gates)
    waivers: tuple[Waiver, ...] = ()
    origins: Mapping[str, Path] = field(default_factory=dict)


class GlobTable:
    """Answers which of many globs match a cell, as the bits of one number."""

    def __init__(self, globs: Iterable[str]) -> None:
        """Compile every glob once."""
        self._globs = [compile_parts(glob) for glob in globs]
        self._bits: tuple[dict[str, int], dict[str, int], dict[str, int]] = ({}, {}, {})

    def _of(self, axis: int, name: str) -> int:
        bits = self._bits[axis].get(name)
        if bits is None:
            bits = sum(1 << index for index, parts in enumerate(self._globs) if parts[axis].match(name))
            self._bits[axis][name] = bits
        return bits

    def bits(self, project: str, platform: str, variant: str) -> int:
        """Give a number whose bit ``n`` is set when glob ``n`` matches the cell."""
        return self._of(0, project) & self._of(1, platform) & self._of(2, variant)


def indexes(bits: int) -> tuple[int, ...]:
    """Give the positions of the set bits, lowest first."""
    return tuple(index for index in range(bits.bit_length()) if bits >> index & 1)


def included(matrix: LoadedMatrix) -> Iterator[tuple[str, str, str]]:
    """Give the parts of each included cell id."""
    for cell in matrix.file.include:
        project, platform, variant = cell.split("/")
        yield project, platform, variant


def expand(matrix: LoadedMatrix) -> Expansion:
    """Give every cell in matrix order, and every cell left out with its reason."""
    return Expansion(
        cells=tuple(cell for cell, _ in settings_of(matrix)),
        left_out=tuple(_left_out(matrix)),
    )


def _left_out(matrix: LoadedMatrix) -> Iterator[LeftOut]:
    axes, excludes = matrix.file.axes, matrix.file.exclude
    table = GlobTable(exclude.cells for exclude in excludes)
    places = [matrix.where("exclude", index, "cells") for index in range(len(excludes))]
    for project, platform, variant in product(axes.project, axes.platform, axes.variant):
        bits = table.bits(project, platform, variant)
        if bits:
            first = (bits & -bits).bit_length() - 1
            yield LeftOut(id=f"{project}/{platform}/{variant}", reason=excludes[first].reason, where=places[first])


def settings_of(matrix: LoadedMatrix) -> Iterator[tuple[Cell, Settings]]:
    """Give every cell with its settings, which say where each of them comes from."""
    file = matrix.file
    excludes = GlobTable(exclude.cells for exclude in file.exclude)
    overrides = GlobTable(override.cells for override in file.overrides)
    merge = lru_cache(maxsize=None)(lambda bits: _merge(matrix, bits))
    in_product = (
        parts
        for parts in product(file.axes.project, file.axes.platform, file.axes.variant)
        if not excludes.bits(*parts)
    )
    for parts in (*in_product, *included(matrix)):
        settings = merge(overrides.bits(*parts))
        project, platform, variant = parts
        cell = Cell(
            id=f"{project}/{platform}/{variant}",
            project=project,
            platform=platform,
            variant=variant,
            backends=settings.backends or (),
            pending=settings.pending,
            needs=settings.needs,
            gates=settings.gates,
            waivers=settings.waivers,
        )
        yield cell, settings


def _merge(matrix: LoadedMatrix, bits: int) -> Settings:
    """Apply the defaults, then the overrides of ``bits``: gates replace one another singly, other keys as a whole."""
    layers: list[tuple[Path, Cells]] = [(("defaults",), matrix.file.defaults)]
    layers += [(("overrides", index, "set"), matrix.file.overrides[index].set) for index in indexes(bits)]
    values: dict[str, object] = {}
    gates: dict[str, object] = {}
    origins: dict[str, Path] = {}
    for path, cells in layers:
        # The records cannot tell ``needs: null`` from no ``needs`` at all; the file can.
        for key in matrix.keys(path):
            if key == "gates":
                for gate in matrix.keys((*path, key)):
                    gates[gate] = getattr(cells.gates, gate)
                    origins[f"gates.{gate}"] = (*path, key, gate)
            else:
                values[key] = getattr(cells, key)
                origins[key] = (*path, key)
    merged = Gates(**gates)  # type: ignore[arg-type]  # each value comes from the attribute of the same name
    return Settings(**values, gates=merged, origins=origins)  # type: ignore[arg-type]  # likewise
