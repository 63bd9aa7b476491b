"""Composes a cell from its components, packs it, and puts the archive into dist/."""

from __future__ import annotations

__all__ = ["BundleFacts", "is_placed", "make_bundle", "place", "restore_bundle"]

import contextlib
import os
import shutil
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec

from pipeline.bundle.archive import pack
from pipeline.bundle.compose import compose
from pipeline.bundle.info import BuildInfo, ComponentInfo, ProfileInfo, ToolchainInfo
from pipeline.bundle.reading import measure
from pipeline.errors import BundleError, InternalError, StoreError
from pipeline.model import Bundle, TaskState
from pipeline.plan.records import BundleWork, CompileWork, Task
from pipeline.report.record import Material
from pipeline.run.compiling import CompileFacts
from pipeline.run.context import RunContext
from pipeline.run.materials import complete, kept_materials, unique
from pipeline.run.store import Entry, Stamp


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleFacts:
    """A packed cell: the archive in the store, and what the components inside were made with.

    Kept with the archive and not looked up: a component may have been compiled again since.
    """

    bundle: Bundle
    materials: tuple[Material, ...]

    @classmethod
    def read(cls, entry: Entry, asset: str) -> BundleFacts:
        """Read what packing measured back from the store."""
        facts = entry.facts
        return cls(
            bundle=Bundle(
                path=entry.folder / asset,
                top=str(facts["top"]),
                size=int(str(facts["size"])),
                unpacked_size=int(str(facts["unpacked_size"])),
                sha256=str(facts["sha256"]),
                tar_sha256=str(facts["tar_sha256"]),
                files=int(str(facts["files"])),
            ),
            materials=kept_materials(facts),
        )


def make_bundle(context: RunContext, task: Task, work: BundleWork) -> TaskState:
    """Compose, pack and keep one cell."""
    core = context.result(work.core, CompileFacts)
    backends = {name: context.result(ident, CompileFacts) for name, ident in work.backends}
    info = _build_info(context, work, core)
    with context.store.scratch("bundle") as scratch:
        staging, made = scratch / "staging", scratch / "made"
        staging.mkdir()
        made.mkdir()
        folders = {name: facts.folder for name, facts in backends.items()}
        compose(core=core.folder, backends=folders, licences={}, info=info, staging=staging)
        bundle = pack(
            staging,
            made / work.asset,
            top=work.asset.removesuffix(".tar.zst"),
            level=work.profile_spec.compression,
            mtime=core.source.epoch,
        )
        materials = unique(used for facts in (core, *backends.values()) for used in facts.materials)
        facts = _facts(bundle, materials)
        entry = context.store.commit(task.kind, task.key, made, facts)
    if not restore_bundle(context, task, work, entry):
        msg = f"{work.asset} changed while it was being kept"
        raise BundleError(msg, hint="is something else writing to the store?")
    return TaskState.DONE


def restore_bundle(context: RunContext, task: Task, work: BundleWork, entry: Entry) -> bool:
    """Give a bundle from the store, reading it again only if it has been touched. False: it must be made again."""
    path = entry.folder / work.asset
    materials, stamp = kept_materials(entry.facts), Stamp.of(path)
    if stamp is None or not complete(work.engine, materials):
        return False
    if asdict(stamp) != entry.facts.get("stamp"):
        try:
            found = measure(path)
        except BundleError:
            return False
        if found.sha256 != entry.facts.get("sha256"):
            return False
        entry = context.store.amend(task.kind, task.key, _facts(found, materials))
    context.results[task.id] = BundleFacts.read(entry, work.asset)
    return True


def place(bundle: Bundle, dist: Path) -> Path:
    """Put the archive into dist/ in one step: a link where the file system can, else a copy."""
    target = dist / bundle.path.name
    if is_placed(bundle, dist):
        return target
    fresh = dist / f".{target.name}.{uuid.uuid4().hex[:8]}"
    try:
        dist.mkdir(parents=True, exist_ok=True)
        try:
            os.link(bundle.path, fresh)
        except OSError:
            shutil.copy2(bundle.path, fresh)
        fresh.replace(target)
    except OSError as error:
        msg = f"the archive cannot be put there: {error.strerror or error}"
        raise StoreError(msg, where=str(target), hint="make room, or choose another place with --dist DIR") from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
    return target


def is_placed(bundle: Bundle, dist: Path) -> bool:
    """Tell whether dist/ holds this very archive, and not one that an earlier run left under the same name."""
    target = dist / bundle.path.name
    if not target.is_file() or not bundle.path.is_file():
        return False
    return target.samefile(bundle.path) or _is_copy(bundle.path, target)


def _is_copy(kept: Path, target: Path) -> bool:
    """A copy on another file system carries the kept file's size and time; anything else is replaced."""
    ours, theirs = Stamp.of(kept), Stamp.of(target)
    crosses = kept.stat().st_dev != target.stat().st_dev
    return crosses and ours is not None and theirs is not None and replace(ours, inode=theirs.inode) == theirs


def _facts(bundle: Bundle, materials: tuple[Material, ...]) -> dict[str, object]:
    stamp = Stamp.of(bundle.path)
    if stamp is None:
        msg = f"{bundle.path.name} is gone right after it was packed"
        raise InternalError(msg)
    # A rename keeps size, time and inode, so this stamp is still true once the entry is in its place.
    kept = {key: value for key, value in asdict(bundle).items() if key != "path"}
    return kept | {"stamp": asdict(stamp), "materials": msgspec.to_builtins(materials)}


def _build_info(context: RunContext, work: BundleWork, core: CompileFacts) -> BuildInfo:
    compiles = [context.tasks[ident].work for ident in (work.core, *(ident for _, ident in work.backends))]
    components = []
    for compiled in compiles:
        if not isinstance(compiled, CompileWork):
            msg = f"{work.cell.id} is composed of something that is not compiled"
            raise InternalError(msg)
        spec = compiled.component
        components.append(
            ComponentInfo(
                id=compiled.id,
                recipe_key=compiled.recipe_key,
                options=dict(spec.options),
                libraries=spec.libraries,
                programs=spec.programs,
                cpu_variants=compiled.cpu_variants,
                licences=tuple(PurePosixPath(path).name for path in spec.licences),
            )
        )
    first = compiles[0]
    assert isinstance(first, CompileWork)
    return BuildInfo(
        project=work.cell.project,
        platform=work.cell.platform,
        variant=work.cell.variant,
        version=work.version,
        profile=ProfileInfo(name=work.profile, description=work.profile_spec.description),
        build_id=core.build_id,
        # The store may have the component from when matrix.yaml called the same commit otherwise.
        source=msgspec.structs.replace(core.source, version=first.source_spec.version),
        components=tuple(components),
        backends=tuple(name for name, _ in work.backends),
        pending=dict(work.cell.pending),
        toolchain=ToolchainInfo(name=first.component.toolchain, lock_sha256=first.lock),
    )
