"""Has what compiling needs: sources, toolchains and images. Each keeps its own cache, so a second call is quick."""

from __future__ import annotations

__all__ = ["ImageReference", "LocalToolchain", "SourceTree", "supply"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.engines.docker import DockerEngine
from pipeline.engines.images import ensure_image
from pipeline.errors import CancelledError, InternalError, SourceError, ToolchainError
from pipeline.model import EngineName, TaskState
from pipeline.plan.records import ImageWork, SourceWork, Task, ToolchainWork
from pipeline.report.record import Material
from pipeline.run.context import RunContext
from pipeline.run.materials import material_of_image, material_of_toolchain
from pipeline.sources.fetch import fetch
from pipeline.sources.keys import source_key
from pipeline.toolchain import install, read_lock, toolchain_key


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceTree:
    """A source on this machine; ``commit`` is None for a local folder nobody can prove."""

    path: Path
    commit: str | None
    digest: str
    proven: bool
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalToolchain:
    """A toolchain on this machine."""

    path: Path
    material: Material


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageReference:
    """An image the Docker engine has."""

    reference: str
    material: Material


def supply(context: RunContext, task: Task, log: Path) -> TaskState:
    """Fetch, install or bootstrap what the task names."""
    lines: list[str] = []

    def say(line: str) -> None:
        # Fetching and installing have no cancel of their own: they stop at the next thing they have to say.
        if context.cancel.is_set():
            msg = f"{task.id} was stopped"
            raise CancelledError(msg)
        lines.append(line)
        context.line(task.id, line)

    try:
        context.results[task.id] = _supply(context, task, say)
    finally:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return TaskState.DONE


def _supply(context: RunContext, task: Task, say: Callable[[str], None]) -> object:
    work = task.work
    if isinstance(work, SourceWork):
        local = Path(work.local) if work.local else None
        found = fetch(work.name, work.source, context.store.root, local=local, say=say)
        if local and not found.proven and source_key(work.name, work.source, found.path) != task.key:
            msg = f"{local} changed since the plan was made"
            raise SourceError(msg, where=task.id, hint="run it again, or give a copy that nobody is editing")
        return SourceTree(
            path=found.path, commit=found.commit, digest=found.digest, proven=found.proven, epoch=found.epoch
        )
    if isinstance(work, ToolchainWork):
        lock = read_lock(work.toolchain, context.root)
        path = install(work.name, work.toolchain, context.root, context.store.root, say=say)
        if toolchain_key(work.toolchain, context.root) != task.key:
            msg = f"{work.toolchain.lock} or a compiler wrapper changed since the plan was made"
            raise ToolchainError(msg, where=task.id, hint="run it again; edit the toolchain between runs")
        material = material_of_toolchain(work.name, lock, origin=work.toolchain.lock)
        return LocalToolchain(path=path, material=material)
    if isinstance(work, ImageWork):
        engine = context.engines[EngineName.DOCKER]
        assert isinstance(engine, DockerEngine)
        image = ensure_image(work.image, work.name, engine.client, context.store.root, say, context.cancel)
        return ImageReference(reference=image.reference, material=material_of_image(image))
    msg = f"{task.id} is not something to supply"
    raise InternalError(msg)
