"""Checks the release section of matrix.yaml: what the published manifest says besides what is measured.

Clients act on it without asking anybody: a default that needs a GPU, or a variable that names a path of this machine,
would break machines we never see.
"""

from __future__ import annotations

__all__ = ["check_release", "check_release_cells", "names_a_path"]

import re
from itertools import product
from typing import TYPE_CHECKING

from pipeline.matrix.expand import GlobTable, included, indexes
from pipeline.matrix.globs import PARTS
from pipeline.matrix.problems import listing, unknown
from pipeline.matrix.promises import GFX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipeline.matrix.loaded import LoadedMatrix
    from pipeline.matrix.nodes import Path
    from pipeline.matrix.problems import Problems
    from pipeline.matrix.spec import EnvironmentRule, Release, VariantRequires

_VERSION = re.compile(r"\d+(?:\.\d+)*(?:[-+.][0-9A-Za-z.]+)?", re.ASCII)
# What a program loads code or data from is a path, and a path in a manifest names a place on somebody else's machine.
_NAMES_A_PATH = re.compile(r".*_(?:PATHS?|FILES?|FILENAMES|LIBS?|LIBRARY|DIRS?)", re.ASCII)
_FAMILIES = {"nvidia": "cuda", "amd_driver": "rocm", "vulkan": "vulkan"}
_RUN_EVERYWHERE = ("cpu", "metal")
"""Backends that ask for no GPU of their own: every Mac that a Metal bundle starts on has one."""


def names_a_path(variable: str) -> bool:
    """Tell whether a variable's value is a path by its name: one that code could be loaded from, or of one machine."""
    return _NAMES_A_PATH.fullmatch(variable) is not None


def check_release(matrix: LoadedMatrix, problems: Problems) -> None:
    """Add a problem for each part of the release section that names something unknown or cannot be meant."""
    release = matrix.file.release
    if release is None:
        return
    checks = _Release(matrix, release, problems)
    checks.order()
    checks.defaults()
    checks.requires()
    for index, rule in enumerate(release.environment):
        checks.rule(("release", "environment", index), rule)
    checks.revoked()


def check_release_cells(matrix: LoadedMatrix, problems: Problems) -> None:
    """Do the same for what can only be told once the globs are known to be right and every cell is known."""
    release = matrix.file.release
    if release is None:
        return
    checks = _Release(matrix, release, problems)
    cells = tuple(_cells(matrix))
    checks.default_cells(cells)
    checks.rules_apart(cells)


def _cells(matrix: LoadedMatrix) -> Iterator[tuple[str, str, str]]:
    axes = matrix.file.axes
    excludes = GlobTable(exclude.cells for exclude in matrix.file.exclude)
    for parts in product(axes.project, axes.platform, axes.variant):
        if not excludes.bits(*parts):
            yield parts
    yield from included(matrix)


class _Release:
    def __init__(self, matrix: LoadedMatrix, release: Release, problems: Problems) -> None:
        self._matrix = matrix
        self._file = matrix.file
        self._release = release
        self._problems = problems
        # Ids that are none are told of elsewhere.
        extra = [parts for parts in (cell.split("/") for cell in self._file.include) if len(parts) == len(PARTS)]
        self._platforms = tuple(dict.fromkeys((*self._file.axes.platform, *(parts[1] for parts in extra))))
        self._variants = tuple(dict.fromkeys((*self._file.axes.variant, *(parts[2] for parts in extra))))

    def _known(self, path: Path, kind: str, name: str, known: Collection[str], *, key: bool = False) -> bool:
        if name not in known:
            self._problems.add(path, unknown(kind, name, known), key=key)
        return name in known

    def _once(self, path: Path, name: str, seen: set[str]) -> None:
        if name in seen:
            self._problems.add(path, f"{name!r} stands here twice", hint="keep one of them")
        seen.add(name)

    def order(self) -> None:
        seen: set[str] = set()
        for index, variant in enumerate(self._release.order):
            path: Path = ("release", "order", index)
            self._known(path, "variant", variant, self._variants)
            self._once(path, variant, seen)
        missing = [variant for variant in self._variants if variant not in seen]
        if missing:
            hint = "every variant stands in it once, those that a client tries first at the front"
            self._problems.add(("release", "order"), f"the order lacks {listing(missing)}", hint=hint)

    def _everywhere(self) -> list[str]:
        """List the variants that can be a default: they ask nothing of a GPU."""
        lines = self._file.variants
        return [
            variant
            for variant in self._variants
            if variant in lines and lines[variant].backend in _RUN_EVERYWHERE and variant not in self._release.requires
        ]

    def defaults(self) -> None:
        for platform, variant in self._release.defaults.items():
            path: Path = ("release", "defaults", platform)
            self._known(path, "platform", platform, self._platforms, key=True)
            if self._known(path, "variant", variant, self._variants) and variant not in self._everywhere():
                what = f"the default of {platform!r} must run on every machine of it, and {variant!r} does not"
                self._problems.add(path, f"{what}; allowed: {listing(self._everywhere())}")
        missing = [platform for platform in self._platforms if platform not in self._release.defaults]
        if missing:
            hint = "each platform names the variant that runs on every machine of it"
            self._problems.add(("release", "defaults"), f"there is no default for {listing(missing)}", hint=hint)

    def default_cells(self, cells: Collection[tuple[str, str, str]]) -> None:
        there = {(platform, variant) for _, platform, variant in cells}
        for platform, variant in self._release.defaults.items():
            if (platform, variant) not in there:
                known = [name for name in self._everywhere() if (platform, name) in there]
                what = f"the default of {platform!r} is {variant!r}, and no project has that cell"
                self._problems.add(("release", "defaults", platform), f"{what}; allowed: {listing(known)}")

    def requires(self) -> None:
        for variant, needs in self._release.requires.items():
            path: Path = ("release", "requires", variant)
            if self._known(path, "variant", variant, self._variants, key=True):
                self._needs(path, variant, needs)

    def _needs(self, path: Path, variant: str, needs: VariantRequires) -> None:
        given = [key for key in _FAMILIES if getattr(needs, key) is not None]
        if not given:
            hint = f"remove it, or set {', '.join(_FAMILIES)}"
            self._problems.add(path, f"{variant!r} is said to require nothing", hint=hint, key=True)
        line = self._file.variants.get(variant)
        family = line.backend if line is not None else None
        for key in given:
            if family not in {None, _FAMILIES[key]}:
                fitting = [name for name, asked in _FAMILIES.items() if asked == family]
                what = f"{key} is asked of {variant!r}, whose backend is {family}; allowed: {listing(fitting)}"
                self._problems.add((*path, key), what, key=True)
        floor = needs.nvidia
        if floor is not None and floor.ptx_min is not None and _numbers(floor.ptx_min) < _numbers(floor.min):
            what = f"ptx_min ({floor.ptx_min}) is older than min ({floor.min}), the oldest driver there may be"
            self._problems.add((*path, "nvidia", "ptx_min"), what)

    def rule(self, path: Path, rule: EnvironmentRule) -> None:
        if names_a_path(rule.name):
            hint = (
                "a path belongs to one machine, and code could be loaded from it; leave it to whoever runs the bundle"
            )
            self._problems.add((*path, "name"), f"{rule.name!r} holds a path", hint=hint)
        for key, text in (("name", rule.name), ("value", rule.value)):
            # A pattern's $ lets a line feed at the end through.
            if not text.isprintable():
                self._problems.add((*path, key), f"{key} holds a character that cannot be printed")
        seen: set[str] = set()
        for index, name in enumerate(rule.gfx):
            if not GFX.fullmatch(name):
                self._problems.add((*path, "gfx", index), f"{name!r} is not a name such as gfx1100")
            self._once((*path, "gfx", index), name, seen)
        below = rule.engine_below
        if below is not None and not _VERSION.fullmatch(below):
            self._problems.add((*path, "engine_below"), f"{below!r} is not a version such as 0.30.0")

    def rules_apart(self, cells: Collection[tuple[str, str, str]]) -> None:
        """One machine must never be told two values of a variable: no client could know which one is meant."""
        table = GlobTable(rule.cells for rule in self._release.environment)
        seen: set[int] = set()
        for parts in cells:
            bits = table.bits(*parts)
            if bits not in seen:
                seen.add(bits)
                self._apart(indexes(bits), "/".join(parts))

    def _apart(self, rules: tuple[int, ...], cell: str) -> None:
        first: dict[str, int] = {}
        anywhere: dict[str, int] = {}
        on: dict[tuple[str, str], int] = {}
        for index in rules:
            rule = self._release.environment[index]
            others = [anywhere.get(rule.name) if rule.gfx else first.get(rule.name)]
            others += [on.get((rule.name, name)) for name in rule.gfx]
            other = next((found for found in others if found is not None), None)
            if other is not None:
                where = self._matrix.where("release", "environment", other)
                what = f"{cell}: {rule.name} is set by two rules that can hold on the same machine"
                hint = f"the other one is {where}; narrow cells or gfx, or keep one of them"
                self._problems.add(("release", "environment", index), what, hint=hint)
            first.setdefault(rule.name, index)
            for name in rule.gfx:
                on.setdefault((rule.name, name), index)
            if not rule.gfx:
                anywhere.setdefault(rule.name, index)

    def revoked(self) -> None:
        seen: set[str] = set()
        for index, revoked in enumerate(self._release.revoked):
            path: Path = ("release", "revoked", index, "sha256")
            if not revoked.sha256.isprintable():
                self._problems.add(path, "sha256 holds a character that cannot be printed")
            if not revoked.sha256.strip("0"):
                what = "a digest of zeros only is a placeholder, no archive has it"
                self._problems.add(path, what, hint="write the SHA-256 of the archive that was published")
            self._once(path, revoked.sha256, seen)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip().split("."))
