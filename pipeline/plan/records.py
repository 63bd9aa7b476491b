"""The plan: every task there will be, frozen before anything runs."""

from __future__ import annotations

__all__ = [
    "BundleWork",
    "CompileWork",
    "GateWork",
    "ImageWork",
    "Plan",
    "PlannedCell",
    "SourceWork",
    "Task",
    "ToolchainWork",
    "Work",
]

from dataclasses import dataclass

from pipeline.matrix.cells import Cell, LeftOut
from pipeline.matrix.spec import Component, Image, Profile, Source, Toolchain
from pipeline.model import EngineName, Output, TaskKind


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceWork:
    """Fetch one pinned source; ``local`` is a path given with ``--source``."""

    name: str
    source: Source
    local: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolchainWork:
    """Install one locked toolchain."""

    name: str
    toolchain: Toolchain


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageWork:
    """Have one container image."""

    name: str
    image: Image


@dataclass(frozen=True, kw_only=True, slots=True)
class CompileWork:
    """Compile one component: a core or a backend library.

    ``settings`` is the build script's environment as far as the plan knows it; ``recipe_key`` is the content key
    without the engine, and what BUILD_INFO.json carries, since engines must give the same bytes. ``scripts`` is the
    digest of the build script's folder, so that an edit during the build is noticed.
    """

    id: str
    name: str
    component: Component
    engine: EngineName
    source: str
    source_spec: Source
    toolchain: str
    lock: str
    scripts: str
    image: str | None
    recipe_key: str
    settings: tuple[tuple[str, str], ...]
    outputs: tuple[Output, ...]
    cpu_variants: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleWork:
    """Compose and pack one cell from its core and backends, given as task ids."""

    cell: Cell
    engine: EngineName
    version: str
    profile: str
    profile_spec: Profile
    asset: str
    source: str
    core: str
    backends: tuple[tuple[str, str], ...]
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GateWork:
    """Judge one packed cell. ``twin`` is the bundle task of a second build by another engine.

    ``previous_size`` is the size in bytes of the same cell in the release given with ``--previous``.
    """

    cell: Cell
    bundle: str
    core: str
    compiles: tuple[str, ...]
    images: tuple[tuple[str, str], ...]
    twin: str | None
    twin_reason: str | None
    previous_size: int | None


Work = SourceWork | ToolchainWork | ImageWork | CompileWork | BundleWork | GateWork


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One node. ``cpus`` None means all of them; ``deadline`` seconds, ``memory`` bytes; ``needs`` are task ids."""

    id: str
    kind: TaskKind
    key: str
    work: Work
    needs: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    deadline: float | None = None
    cpus: int | None = 0
    memory: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCell:
    """One cell of the plan; ``asset`` is the archive's name, known before anything is built."""

    cell: Cell
    engine: EngineName
    runnable: bool
    reason: str | None
    asset: str
    deadline: float
    tasks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Cells and tasks; tasks stand in an order in which each comes after what it needs."""

    version: str
    profile: str
    engine: EngineName
    engine_reason: str
    machine: str
    cells: tuple[PlannedCell, ...]
    left_out: tuple[LeftOut, ...]
    tasks: tuple[Task, ...]

    @property
    def assets(self) -> tuple[str, ...]:
        """The archives this plan makes, in order."""
        return tuple(cell.asset for cell in self.cells if cell.runnable)
