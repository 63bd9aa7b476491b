"""Compiles one component on an engine and checks what it left, file by file."""

from __future__ import annotations

__all__ = ["CompileFacts", "compile_component", "refuse_unknown_files", "restore_compile"]

import hashlib
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pipeline.bundle.compose import write_component
from pipeline.bundle.info import SourceInfo
from pipeline.engines.base import Ending, Folder, Job, JobResult
from pipeline.errors import BundleError, CancelledError, DeadlineError, TaskFailedError
from pipeline.model import EngineName, TaskState
from pipeline.plan.keys import content_key, folder_digest_now
from pipeline.plan.records import CompileWork, Task
from pipeline.report.record import Material
from pipeline.run.context import RunContext
from pipeline.run.materials import complete, kept_materials
from pipeline.run.store import Entry
from pipeline.run.supply import ImageReference, LocalToolchain, SourceTree

_TAIL = 12
_COMMIT_DIGITS = 9  # what upstream's own build information shows
_VERSIONED = re.compile(r"\.\d+(\.\d+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class CompileFacts:
    """What a finished component leaves besides its files; seconds are the job's own wall time."""

    folder: Path
    build_id: str
    seconds: float
    deadline: float
    log: str
    source: SourceInfo
    materials: tuple[Material, ...]


def compile_component(context: RunContext, task: Task, work: CompileWork, log: Path) -> TaskState:
    """Run the build script, check its outputs against the plan, and keep them in the store."""
    engine = context.engines[work.engine]
    # The same place every time: the host engine's compiler cache depends on the paths it was given.
    build = context.store.root / "build" / work.engine / work.id.replace("/", "-")
    cache = context.store.root / "cache" / work.engine
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    cache.mkdir(parents=True, exist_ok=True)
    with context.store.scratch("compile") as scratch:
        out = scratch / "out"
        out.mkdir()
        result = engine.run(
            _job(context, task, work, build=build, cache=cache, out=out, log=log),
            on_line=lambda line: context.line(task.id, line),
            cancel=context.cancel,
        )
        _check_ending(result, work, log)
        _check_recipe(context, work)
        refuse_unknown_files(out, {output.path for output in work.outputs})
        source = _source_info(context, work)
        build_id = content_key(source=source.commit or source.digest, name=source.name)[:16]
        write_component(out, build_id)
        facts = {
            "build_id": build_id,
            "seconds": result.seconds,
            "deadline": task.deadline,
            "log": log.name,
            "source": msgspec.to_builtins(source),
            "materials": msgspec.to_builtins(_materials(context, work)),
        }
        entry = context.store.commit(task.kind, task.key, out, facts)
    shutil.rmtree(build, ignore_errors=True)
    if not restore_compile(context, task, work, entry):
        msg = f"what {work.id} left changed while it was being kept"
        raise BundleError(msg, hint="is something else writing to the store?")
    return TaskState.DONE


def restore_compile(context: RunContext, task: Task, work: CompileWork, entry: Entry) -> bool:
    """Make a component from the store available to the tasks that need it. False: it must be compiled again."""
    facts = dict(entry.facts)
    materials = kept_materials(facts)
    if not complete(work.engine, materials):
        return False
    # A loss of power can leave a finished entry with files that are empty or not there.
    for output in work.outputs:
        try:
            if (entry.folder / output.path).stat().st_size == 0:
                return False
        except OSError:
            return False
    context.results[task.id] = CompileFacts(
        folder=entry.folder,
        build_id=str(facts["build_id"]),
        seconds=float(str(facts["seconds"])),
        deadline=float(str(facts["deadline"])),
        log=str(facts["log"]),
        source=msgspec.convert(facts["source"], SourceInfo),
        materials=materials,
    )
    return True


def _source_info(context: RunContext, work: CompileWork) -> SourceInfo:
    """Describe the source for BUILD_INFO.json; the fake engine compiles nothing, so nothing of it is proven."""
    spec, name = work.source_spec, work.source.removeprefix("source:")
    if work.engine is EngineName.FAKE:
        digest = hashlib.sha256(f"forged {name}".encode()).hexdigest()
        return SourceInfo(
            name=name, version=spec.version, commit=spec.commit, epoch=spec.epoch or 0, proven=False, digest=digest
        )
    tree = context.result(work.source, SourceTree)
    return SourceInfo(
        name=name,
        version=spec.version,
        commit=tree.commit,
        epoch=tree.epoch,
        proven=tree.proven,
        digest=tree.digest,
    )


def _materials(context: RunContext, work: CompileWork) -> tuple[Material, ...]:
    """Say what the engine just compiled with; the fake one compiles with nothing."""
    if work.engine is EngineName.FAKE:
        return ()
    toolchain = context.result(work.toolchain, LocalToolchain).material
    if work.image is None:
        return (toolchain,)
    return (context.result(work.image, ImageReference).material, toolchain)


def _job(  # noqa: PLR0913  one argument for each folder
    context: RunContext, task: Task, work: CompileWork, *, build: Path, cache: Path, out: Path, log: Path
) -> Job:
    environment = {**dict(work.settings), "LLAMATRIX_JOBS": str(context.jobs)}
    folders = [
        Folder(name="RECIPES", path=context.root / "containers"),
        Folder(name="CACHE", path=cache, writable=True),
        Folder(name="BUILD", path=build, writable=True),
        Folder(name="OUT", path=out, writable=True),
    ]
    image = None
    if work.engine is not EngineName.FAKE:
        source = context.result(work.source, SourceTree)
        environment["LLAMATRIX_COMMIT"] = source.commit[:_COMMIT_DIGITS] if source.commit else "local"
        folders.append(Folder(name="SRC", path=source.path))
        folders.append(Folder(name="TOOLS", path=context.result(work.toolchain, LocalToolchain).path))
        if work.image is not None:
            image = context.result(work.image, ImageReference).reference
    return Job(
        title=task.id,
        argv=("sh", f"{{RECIPES}}/{work.component.script}"),
        folders=tuple(folders),
        log=log,
        deadline=task.deadline or 0.0,
        memory=task.memory,
        cpus=context.jobs,
        image=image,
        environment=environment,
        outputs=work.outputs,
    )


def _check_recipe(context: RunContext, work: CompileWork) -> None:
    """What was built by an edited script must not be kept under the key of the script that was planned."""
    folder = (context.root / "containers" / work.component.script).parent
    if folder_digest_now(folder) != work.scripts:
        msg = f"{folder} changed while {work.id} was being built"
        raise TaskFailedError(msg, where=work.id, hint="run it again; edit build scripts between runs")


def _check_ending(result: JobResult, work: CompileWork, log: Path) -> None:
    """Turn anything but success into an error that shows the end of the log."""
    if result.ending is Ending.OK:
        return
    if result.ending is Ending.CANCELLED:
        msg = f"{work.id} was stopped"
        raise CancelledError(msg)
    tail = "\n".join(f"    {line}" for line in result.tail[-_TAIL:])
    what = f"{result.message}\n{tail}" if tail else result.message
    if result.ending is Ending.TIMED_OUT:
        hint = "raise its deadline in matrix.yaml if it was still making progress"
        raise DeadlineError(what, where=work.id, hint=f"{hint}; the whole log is logs/{log.name}")
    raise TaskFailedError(what, where=work.id, hint=f"the whole log is logs/{log.name}")


def refuse_unknown_files(out: Path, promised: Collection[str]) -> None:
    """A file nobody asked for must not slip into a bundle: refuse it, naming all of them."""
    unknown = []
    for path in sorted(out.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(out).as_posix()
        base = _VERSIONED.sub("", name.split(".so")[1]) if ".so" in name else None
        plain = f"{name.split('.so')[0]}.so" if base == "" else name
        if plain not in promised:
            unknown.append(name)
    if unknown:
        msg = f"the build left files that matrix.yaml does not name: {', '.join(unknown)}"
        raise BundleError(msg, hint="list them under the component, or stop the build script from collecting them")
