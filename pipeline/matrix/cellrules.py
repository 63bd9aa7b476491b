"""Checks every resolved cell: one that can be built must have all its parts, and gates that prove them."""

from __future__ import annotations

__all__ = ["REQUIRED_GATES", "check_cells"]

from typing import TYPE_CHECKING

from pipeline.matrix.expand import settings_of
from pipeline.matrix.problems import listing, unknown
from pipeline.matrix.references import CORE

if TYPE_CHECKING:
    from pipeline.matrix.cells import Cell
    from pipeline.matrix.expand import Settings
    from pipeline.matrix.loaded import LoadedMatrix
    from pipeline.matrix.nodes import Path
    from pipeline.matrix.problems import Problems
    from pipeline.matrix.spec import Component

REQUIRED_GATES = ("size", "backend", "abi", "closure", "licences", "smoke")
"""Without all of these a bundle is not worth building."""

_LIMITS = {
    "vulkan": ("spirv_min",),
    "cuda": ("sass", "ptx"),
    "rocm": ("gfx",),
    "metal": ("metal",),
}
"""The keys of the backend gate that look into the libraries of a family; one of them is needed."""

_PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}


def check_cells(matrix: LoadedMatrix, problems: Problems) -> None:
    """Add a problem for each cell whose parts and promises do not fit together."""
    for cell, settings in settings_of(matrix):
        rules = _Rules(matrix, problems, cell, settings)
        rules.every_cell()
        if cell.needs is None:
            rules.runnable_cell()


class _Rules:
    """The rules for one cell; problems are put where the cell got the setting from."""

    def __init__(self, matrix: LoadedMatrix, problems: Problems, cell: Cell, settings: Settings) -> None:
        self._file = matrix.file
        self._problems = problems
        self._cell = cell
        self._settings = settings
        self._prefix = f"{cell.project}/{cell.platform}/"

    def _origin(self, key: str) -> Path:
        """Give the place that set ``key``, else the one that makes the cell buildable."""
        origins = self._settings.origins
        return origins.get(key) or origins.get("needs") or ("defaults",)

    def _add(self, path: Path, what: str, hint: str | None = None) -> None:
        self._problems.add(path, f"{self._cell.id}: {what}", hint=hint)

    def _component(self, name: str) -> Component | None:
        return self._file.components.get(self._prefix + name)

    def _family(self, name: str) -> str | None:
        line = self._file.variants.get(name)
        return line.backend if line is not None else None

    def every_cell(self) -> None:
        cell, abi = self._cell, self._cell.gates.abi
        system = self._file.platforms[cell.platform].os
        if abi is not None and (abi.macos is not None) != (system == "darwin"):
            wrong, right = ("glibc", "macos") if system == "darwin" else ("macos", "glibc")
            self._add(self._origin("gates.abi"), f"a {system} bundle has no {wrong} floor", f"set {right}")
        for name in cell.backends:
            if name in cell.pending:
                what = f"{name!r} is in backends and in pending"
                self._add((*self._origin("pending"), name), what, "a backend is either in the bundle or still to come")

    def runnable_cell(self) -> None:
        self._source()
        core = self._component(CORE)
        if core is None:
            what = f"the cell can be built (its needs is null), but there is no component {self._prefix + CORE!r}"
            self._add(self._origin("needs"), what, "declare it, or say what the cell needs")
        self._backends()
        self._images()
        missing = [gate for gate in REQUIRED_GATES if getattr(self._cell.gates, gate) is None]
        if missing:
            what = f"the cell can be built (its needs is null), but nothing proves it: missing gates {listing(missing)}"
            hint = f"a cell that can be built declares {', '.join(REQUIRED_GATES)}"
            self._add(self._origin("needs"), what, hint)
        self._backend_gate()
        self._smoke()
        self._tests(core)
        self._repro()

    def _source(self) -> None:
        source = self._file.projects[self._cell.project].source
        if self._file.sources[source].commit is None:
            what = f"the cell can be built (its needs is null), but the source {source!r} has no commit"
            self._add(self._origin("needs"), what, "pin the source, or say what the cell needs")

    def _backends(self) -> None:
        cell, settings = self._cell, self._settings
        path = self._origin("backends")
        if settings.backends is None:
            what = "the cell can be built (its needs is null), but backends is not set"
            self._add(path, what, "write backends: [] for the core alone")
            return
        for index, name in enumerate(cell.backends):
            if name == CORE or self._prefix + name not in self._file.components:
                known = [self._prefix + one for one in self._known()]
                self._add((*path, index), unknown("component", self._prefix + name, known))
        family = self._family(cell.variant)
        families = {self._family(name) for name in cell.backends}
        if family == "cpu" and cell.backends:
            self._add(path, f"a cpu bundle is the core alone, found {listing(cell.backends)}", "write backends: []")
        elif family not in {None, "cpu"} and family not in families:
            what = f"the bundle would not hold the {family} backend it is named after"
            self._add(path, what, f"backends has {listing(cell.backends)}")
        elif family is None:
            if not cell.backends:
                self._add(path, "a bundle of every backend needs at least one")
            left = [name for name in self._known() if name not in cell.backends and name not in cell.pending]
            if left:
                what = f"a bundle of every backend of its platform lacks {listing(left)}"
                self._add(path, what, "add it to backends, or say under pending what it still needs")

    def _known(self) -> list[str]:
        """List the platform's backend components; a walk over all components, so only where it is needed."""
        names = [name.removeprefix(self._prefix) for name in self._file.components if name.startswith(self._prefix)]
        return [name for name in names if name != CORE]

    def _images(self) -> None:
        for name in (CORE, *self._cell.backends):
            component = self._component(name)
            image = self._file.images[component.image] if component is not None else None
            if component is not None and image is not None and image.needs is not None:
                what = f"the cell can be built (its needs is null), but the image {component.image!r} cannot"
                self._add(self._origin("needs"), what, f"that image needs: {image.needs}")

    def _backend_gate(self) -> None:
        gate = self._cell.gates.backend
        if gate is None:
            return
        path = self._origin("gates.backend")
        present = {self._family(name) for name in self._cell.backends}
        for family, keys in _LIMITS.items():
            given = [key for key in keys if getattr(gate, key) is not None]
            if family in present and not given:
                what = f"the backend gate does not look into the {family} library: missing {' or '.join(keys)}"
                self._add(path, what, "without it the gate could not fail")
            elif given and family not in present:
                self._add((*path, given[0]), f"{given[0]} is asked of a bundle without a {family} backend")

    def _smoke(self) -> None:
        gate = self._cell.gates.smoke
        if gate is None:
            return
        path = self._origin("gates.smoke")
        image = self._file.images[gate.image]
        processor = _PROCESSORS.get(self._file.platforms[self._cell.platform].arch)
        if processor is not None and image.architecture != processor:
            what = f"the smoke image {gate.image!r} is for {image.architecture}, the bundle for {processor}"
            self._add((*path, "image"), what)
        if image.needs is not None:
            self._add((*path, "image"), f"the smoke image {gate.image!r} still needs {image.needs!r}")
        present = {family for name in self._cell.backends if (family := self._family(name)) is not None}
        for family in gate.devices:
            if family not in present:
                self._add((*path, "devices", family), f"a {family} device is asked of a bundle without that backend")
        if present and not gate.devices:
            what = f"the smoke gate looks for no device: missing devices for {' or '.join(sorted(present))}"
            self._add(path, what, 'for example devices: {vulkan: "Vulkan\\\\d+: llvmpipe"}')

    def _tests(self, core: Component | None) -> None:
        gate = self._cell.gates.tests
        if gate is None or core is None:
            return
        for index, program in enumerate(gate.programs):
            if program.run not in core.tests:
                path = (*self._origin("gates.tests"), "programs", index, "run")
                self._add(path, unknown("test program", program.run, core.tests))

    def _repro(self) -> None:
        gate = self._cell.gates.repro
        if gate is None:
            return
        for name in (CORE, *self._cell.backends):
            component = self._component(name)
            if component is not None and gate.engine not in component.engines:
                what = f"the repro gate's engine {gate.engine!r} cannot build {self._prefix + name!r}"
                self._add((*self._origin("gates.repro"), "engine"), what, f"allowed: {listing(component.engines)}")
