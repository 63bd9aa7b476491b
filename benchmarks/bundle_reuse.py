"""What sharing components saves: cpu, vulkan and all from one core, against one whole build for each bundle."""

from __future__ import annotations

__all__ = ["Shares", "measure", "shared_share"]

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.finished import COMPILED, FinishedCell, finished_cells
from benchmarks.plainbuild import UPSTREAM, plain_build
from benchmarks.rows import Goal, NotRunError, Row, not_run, row
from benchmarks.setting import Setting

_CELL = "llama.cpp/linux-x86_64/all"
_GOAL = Goal(limit=0.45)
_UPSTREAM_GOAL = Goal(limit=0.38)
_DERIVED = (
    "component times of the store, true if its compiler cache was empty; a whole build is derived as core + Vulkan"
)
_HEADERS = ("vulkan/vulkan.h", "spirv/unified1/spirv.hpp")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Seconds of the shared way and of a whole build for each of the three bundles."""

    shared: float
    whole: float

    @property
    def ratio(self) -> float:
        """The shared way's share of the work."""
        return self.shared / self.whole


def shared_share(*, core: float, vulkan: float, with_vulkan: float | None = None) -> Shares:
    """Compare: core and Vulkan once each, against the cpu build and the vulkan and all builds with Vulkan on.

    ``with_vulkan`` is the time of a whole build with Vulkan on; without one it is the sum of both components.
    """
    return Shares(shared=core + vulkan, whole=core + 2 * (with_vulkan or core + vulkan))


def measure(setting: Setting) -> list[Row]:
    """Derive from the store's own times, and with ``--full`` make the whole builds for real."""
    what = "shared components / whole builds of cpu, vulkan and all"
    try:
        rows = _derived(what, _finished(setting))
    except NotRunError as error:
        rows = [not_run(f"{what}, derived", str(error), " x", goal=_GOAL)]
    try:
        return [*rows, *_built(setting, what)]
    except NotRunError as error:
        return [*rows, not_run(f"{what}, really built", str(error), " x", goal=_GOAL)]


def _finished(setting: Setting) -> FinishedCell:
    cells = [cell for cell in finished_cells(setting, "docker", kinds=COMPILED) if cell.id == _CELL]
    if not cells:
        msg = f"the store holds no finished {_CELL} of the {setting.profile} profile by the docker engine"
        raise NotRunError(msg)
    return cells[0]


def _derived(what: str, cell: FinishedCell) -> list[Row]:
    core, vulkan = cell.seconds("core:"), cell.seconds("backend:")
    shares = shared_share(core=core, vulkan=vulkan)
    return [
        row("core component, wall time", [core], " s"),
        row("Vulkan component, wall time", [vulkan], " s"),
        row(f"{what}, derived", [shares.ratio], " x", goal=_GOAL, note=_DERIVED),
    ]


def _built(setting: Setting, what: str) -> list[Row]:
    if not setting.full:
        msg = "three whole builds take an hour; --full makes them"
        raise NotRunError(msg)
    if shutil.which("glslc") is None or not all((Path("/usr/include") / name).is_file() for name in _HEADERS):
        msg = "Vulkan needs glslc, libvulkan-dev and spirv-headers on this machine"
        raise NotRunError(msg)
    core = plain_build(setting, "cpu", options=UPSTREAM, targets=("all",)).seconds
    whole = plain_build(setting, "cpu-vulkan", options=(*UPSTREAM, "-DGGML_VULKAN=ON"), targets=("all",)).seconds
    alone = (*UPSTREAM[:3], "-DGGML_CPU=OFF", "-DGGML_VULKAN=ON")
    vulkan = plain_build(setting, "vulkan", options=alone, targets=("ggml-vulkan",)).seconds
    shares = shared_share(core=core, vulkan=vulkan, with_vulkan=whole)
    return [
        row("plain core, upstream's options", [core], " s"),
        row("plain core with Vulkan on", [whole], " s"),
        row("plain Vulkan library alone", [vulkan], " s"),
        row(f"{what}, really built", [shares.ratio], " x", goal=_UPSTREAM_GOAL, note="with upstream's options"),
    ]
