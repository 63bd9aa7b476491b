"""Checks that every glob and every included id of matrix.yaml does something."""

from __future__ import annotations

__all__ = ["check_globs", "check_matches"]

from itertools import product
from typing import TYPE_CHECKING

from pipeline.matrix.expand import GlobTable, indexes
from pipeline.matrix.globs import PARTS, compile_parts
from pipeline.matrix.problems import did_you_mean, listing, unknown

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.matrix.loaded import LoadedMatrix
    from pipeline.matrix.nodes import Path
    from pipeline.matrix.problems import Problems


def _excludes(matrix: LoadedMatrix) -> list[tuple[Path, str]]:
    return [(("exclude", index, "cells"), exclude.cells) for index, exclude in enumerate(matrix.file.exclude)]


def _settings(matrix: LoadedMatrix) -> list[tuple[Path, str]]:
    """List the globs that say something of cells there are: of overrides, and of the release's environment."""
    release = matrix.file.release
    rules = release.environment if release is not None else ()
    overrides: list[tuple[Path, str]] = [
        (("overrides", index, "cells"), override.cells) for index, override in enumerate(matrix.file.overrides)
    ]
    return [*overrides, *((("release", "environment", index, "cells"), rule.cells) for index, rule in enumerate(rules))]


def check_globs(matrix: LoadedMatrix, problems: Problems) -> None:
    """Add a problem for each glob that no id can match, and each included id that is none or is no news."""
    for path, glob in (*_excludes(matrix), *_settings(matrix)):
        try:
            compile_parts(glob)
        except ValueError as error:
            hint = "for example 'llama.cpp/linux-*/{cpu,vulkan}'"
            problems.add(path, f"{glob[:80]!r} is not a glob over cell ids: {error}", hint=hint)
    seen: set[str] = set()
    for index, cell in enumerate(matrix.file.include):
        _check_include(matrix, problems, ("include", index), cell)
        if cell in seen:
            problems.add(("include", index), f"{cell!r} stands here twice", hint="keep one of them")
        seen.add(cell)


def _check_include(matrix: LoadedMatrix, problems: Problems, path: Path, cell: str) -> None:
    file = matrix.file
    parts = cell.split("/")
    if len(parts) != len(PARTS):
        hint = "include takes ids, not globs"
        problems.add(path, f"{cell!r} is not a cell id: write project/platform/variant", hint=hint)
        return
    known: tuple[Collection[str], ...] = (file.projects, file.platforms, file.variants)
    for kind, name, names in zip(PARTS, parts, known, strict=True):
        if name not in names:
            problems.add(path, unknown(kind, name, names))
    project, platform, variant = parts
    if project in file.axes.project and platform in file.axes.platform and variant in file.axes.variant:
        hint = "remove it here; if an exclude leaves it out, narrow the exclude"
        problems.add(path, f"{cell!r} is in the product of the axes already", hint=hint)


def check_matches(matrix: LoadedMatrix, problems: Problems) -> None:
    """Add a problem for each glob that matches nothing."""
    axes = matrix.file.axes
    columns = (axes.project, axes.platform, axes.variant)
    excluded, settings = _excludes(matrix), _settings(matrix)
    excludes = GlobTable(glob for _, glob in excluded)
    overrides = GlobTable(glob for _, glob in settings)
    excluding = overriding = shadowed = 0
    for parts in product(*columns):
        project, platform, variant = parts
        bits = excludes.bits(project, platform, variant)
        excluding |= bits
        if bits:
            shadowed |= overrides.bits(project, platform, variant)
        else:
            overriding |= overrides.bits(project, platform, variant)
    for cell in matrix.file.include:
        project, platform, variant = cell.split("/")
        overriding |= overrides.bits(project, platform, variant)
    for index in indexes(((1 << len(excluded)) - 1) & ~excluding):
        _matches_nothing(problems, *excluded[index], columns)
    for index in indexes(((1 << len(settings)) - 1) & ~overriding):
        path, glob = settings[index]
        if shadowed >> index & 1:
            problems.add(path, f"{glob!r} matches only cells that an exclude leaves out")
        else:
            included = [cell.split("/") for cell in matrix.file.include]
            known = tuple((*axis, *(parts[place] for parts in included)) for place, axis in enumerate(columns))
            _matches_nothing(problems, path, glob, known)


def _matches_nothing(problems: Problems, path: Path, glob: str, columns: tuple[tuple[str, ...], ...]) -> None:
    """Say which part of a glob is to blame."""
    for kind, text, expression, names in zip(PARTS, glob.split("/"), compile_parts(glob), columns, strict=True):
        if not any(expression.match(name) for name in names):
            what = f"{glob!r} matches no cell: no {kind} is {text!r}{did_you_mean(text, names) or ';'}"
            problems.add(path, f"{what} allowed: {listing(names)}")
            return
    problems.add(path, f"{glob!r} matches no cell")
