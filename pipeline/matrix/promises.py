"""Checks the settings that defaults and overrides hold, one by one: above all, that each gate can fail."""

from __future__ import annotations

__all__ = ["GFX", "check_promises"]

import re
import warnings
from datetime import date
from typing import TYPE_CHECKING

from pipeline.matrix.problems import listing, unknown
from pipeline.matrix.quantities import check_duration, check_size
from pipeline.model import Backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.matrix.loaded import LoadedMatrix
    from pipeline.matrix.nodes import Path
    from pipeline.matrix.problems import Problems
    from pipeline.matrix.spec import (
        AbiGate,
        BackendGate,
        Cells,
        Gates,
        SizeGate,
        SmokeGate,
        TestsGate,
        Waiver,
    )

_GITHUB_LIMIT = 2 * 2**30
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
_VERSION = re.compile(r"\d+(?:\.\d+){1,2}", re.ASCII)
GFX = re.compile(r"gfx[0-9a-f]+", re.ASCII)
"""The name of an AMD GPU target."""
_DEVICE_NAMES = {
    "sass": (re.compile(r"sm_\d+[a-z]?", re.ASCII), "sm_86 or sm_120a"),
    "ptx": (re.compile(r"sm_\d+[a-z]?", re.ASCII), "sm_80"),
    "gfx": (GFX, "gfx1100"),
}


def check_promises(matrix: LoadedMatrix, problems: Problems) -> None:
    """Add a problem for each setting that is wrong whatever cell it applies to."""
    checks = _Promises(matrix, problems)
    checks.cells(("defaults",), matrix.file.defaults)
    for index, override in enumerate(matrix.file.overrides):
        path: Path = ("overrides", index, "set")
        checks.cells(path, override.set)
        if not matrix.keys(path):
            problems.add(path, "this override sets nothing")


class _Promises:
    def __init__(self, matrix: LoadedMatrix, problems: Problems) -> None:
        self._file = matrix.file
        self._problems = problems
        self._gpus = [name for name, line in self._file.variants.items() if line.backend not in {None, "cpu"}]

    def cells(self, path: Path, cells: Cells) -> None:
        backends = cells.backends or ()
        for index, name in enumerate(backends):
            if name not in self._gpus:
                self._problems.add((*path, "backends", index), unknown("backend", name, self._gpus))
            if name in backends[:index]:
                self._problems.add((*path, "backends", index), f"{name!r} stands here twice")
        for name in cells.pending:
            if name not in self._gpus:
                self._problems.add((*path, "pending", name), unknown("backend", name, self._gpus), key=True)
        for index, waiver in enumerate(cells.waivers):
            self._waiver((*path, "waivers", index), waiver, cells.waivers[:index])
        self._gates((*path, "gates"), cells.gates)

    def _waiver(self, path: Path, waiver: Waiver, earlier: Sequence[Waiver]) -> None:
        try:
            date.fromisoformat(waiver.until)
        except ValueError:
            what = f"{waiver.until!r} is not a day of the calendar"
            self._problems.add((*path, "until"), what, hint="write YYYY-MM-DD, for example 2026-12-31")
        if waiver.gate in {other.gate for other in earlier}:
            self._problems.add((*path, "gate"), f"the gate {waiver.gate!r} is waived twice", hint="keep one of them")

    def _gates(self, path: Path, gates: Gates) -> None:
        if gates.size is not None:
            self._size((*path, "size"), gates.size)
        if gates.backend is not None:
            self._backend((*path, "backend"), gates.backend)
        if gates.abi is not None:
            self._abi((*path, "abi"), gates.abi)
        if gates.closure is not None:
            for index, name in enumerate(gates.closure.allow):
                self._file_name((*path, "closure", "allow", index), name)
        if gates.smoke is not None:
            self._smoke((*path, "smoke"), gates.smoke)
        if gates.tests is not None:
            self._tests((*path, "tests"), gates.tests)
        if gates.licences is not None and not gates.licences.require:
            self._cannot_fail((*path, "licences", "require"), "name the licence files that must be inside")

    def _cannot_fail(self, path: Path, hint: str) -> None:
        self._problems.add(path, f"{str(path[-1])!r} asks for nothing here, so the gate could not fail", hint=hint)

    def _file_name(self, path: Path, name: str) -> None:
        if not _FILE.fullmatch(name):
            hint = "write a name without a folder, for example libvulkan.so.1"
            self._problems.add(path, f"{name!r} is not a file's name", hint=hint)

    def _size(self, path: Path, gate: SizeGate) -> None:
        most = check_size(self._problems, (*path, "max"), gate.max)
        check_size(self._problems, (*path, "max_unpacked"), gate.max_unpacked)
        if most is not None and most > _GITHUB_LIMIT:
            self._problems.add((*path, "max"), f"{gate.max} is more than 2GiB, GitHub's limit for one asset")
        if gate.warn is not None:
            warn = check_size(self._problems, (*path, "warn"), gate.warn)
            if most is not None and warn is not None and warn > most:
                what = f"warn ({gate.warn}) is more than max ({gate.max}), so it would never be heard"
                self._problems.add((*path, "warn"), what)

    def _backend(self, path: Path, gate: BackendGate) -> None:
        if gate.spirv_min is not None and gate.spirv_min <= 0:
            self._cannot_fail((*path, "spirv_min"), "give the number of SPIR-V modules that must be there, 1 or more")
        if gate.metal is False:
            self._cannot_fail((*path, "metal"), "write metal: true, or leave the key out")
        for key, (pattern, example) in _DEVICE_NAMES.items():
            names: tuple[str, ...] | None = getattr(gate, key)
            if names is not None and not names:
                self._cannot_fail((*path, key), f"name what the library must hold, for example {example}")
            for index, name in enumerate(names or ()):
                if not pattern.fullmatch(name):
                    self._problems.add((*path, key, index), f"{name!r} is not a name such as {example}")

    def _abi(self, path: Path, gate: AbiGate) -> None:
        if (gate.glibc is None) == (gate.macos is None):
            found = "neither" if gate.glibc is None else "both"
            hint = 'for example abi: {glibc: "2.28"}'
            self._problems.add(path, f"an abi gate has exactly one of glibc and macos, found {found}", hint=hint)
        if gate.glibcxx is not None and gate.glibc is None:
            self._problems.add((*path, "glibcxx"), "glibcxx goes with glibc only", key=True)
        for key in ("glibcxx", "macos"):
            text: str | None = getattr(gate, key)
            if text is not None and not _VERSION.fullmatch(text):
                self._problems.add((*path, key), f"{text!r} is not a version such as 13.3")

    def _smoke(self, path: Path, gate: SmokeGate) -> None:
        if gate.image not in self._file.images:
            self._problems.add((*path, "image"), unknown("image", gate.image, self._file.images))
        startup = check_duration(self._problems, (*path, "startup"), gate.startup)
        deadline = check_duration(self._problems, (*path, "deadline"), gate.deadline)
        if startup is not None and deadline is not None and startup > deadline:
            what = f"startup ({gate.startup}) is more than the deadline ({gate.deadline})"
            self._problems.add((*path, "startup"), what)
        families = [backend.value for backend in Backend]
        for family, pattern in gate.devices.items():
            if family not in families:
                self._problems.add((*path, "devices", family), unknown("backend", family, families), key=True)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")  # what Python only warns of today means something else tomorrow
                    matches_nothing = re.compile(pattern).search("") is not None
            except (re.error, OverflowError, RecursionError, Warning) as error:
                what = f"{pattern[:80]!r} is not a regular expression: {error}"
                self._problems.add((*path, "devices", family), what)
            else:
                if matches_nothing:
                    what = f"{pattern[:80]!r} matches even an empty line, so the gate could not fail"
                    self._problems.add((*path, "devices", family), what)

    def _tests(self, path: Path, gate: TestsGate) -> None:
        check_duration(self._problems, (*path, "deadline"), gate.deadline)
        if not gate.programs:
            known = sorted({name for component in self._file.components.values() for name in component.tests})
            self._cannot_fail((*path, "programs"), f"name test programs: {listing(known)}")
