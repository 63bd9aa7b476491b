"""From cells to tasks: the whole DAG with its content keys, computed before anything runs."""

from __future__ import annotations

__all__ = ["Planner"]

import dataclasses
import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pipeline import __version__
from pipeline.engines.image_keys import image_key
from pipeline.errors import PlanError
from pipeline.matrix.cells import Cell, Expansion
from pipeline.matrix.spec import MatrixFile, Profile, parse_duration, parse_size
from pipeline.model import EngineName, ProfileName, TaskKind
from pipeline.plan import components
from pipeline.plan.here import Here
from pipeline.plan.keys import code_digest, content_key, file_digest, folder_digest
from pipeline.plan.names import asset_name
from pipeline.plan.records import (
    BundleWork,
    CompileWork,
    GateWork,
    ImageWork,
    Plan,
    PlannedCell,
    SourceWork,
    Task,
    ToolchainWork,
)
from pipeline.sources.keys import source_key
from pipeline.toolchain import toolchain_key

_PACK_MEMORY = 512 * 2**20
_GATE_MEMORY = 2 * 2**30
_CONTAINERS = "containers"


@dataclass(kw_only=True)
class Planner:
    """Makes plans for one matrix on one machine.

    ``root`` is the folder of matrix.yaml; ``local`` maps a source's name to its ``--source`` path. ``today`` decides
    which waivers have run out: from that day on the cell is judged again. ``previous`` maps a cell to its size in the
    previous release, in bytes.
    """

    matrix: MatrixFile
    expansion: Expansion
    here: Here
    root: Path
    profile: ProfileName = ProfileName.LOCAL
    local: Mapping[str, Path] = field(default_factory=dict)
    today: datetime.date = datetime.date.min
    previous: Mapping[str, int] = field(default_factory=dict)
    _tasks: dict[str, Task] = field(default_factory=dict, init=False)
    _turns: dict[str, int] = field(default_factory=dict, init=False)

    def plan(self, selected: Collection[str] | None = None) -> Plan:
        """Plan the cells with these ids (None: all), in matrix order."""
        self._tasks, self._turns = {}, {}
        cells = tuple(self._cell(cell) for cell in self.expansion.cells if selected is None or cell.id in selected)
        users: dict[str, list[str]] = {name: [] for name in self._tasks}
        for planned in cells:
            for name in planned.tasks:
                users[name].append(planned.cell.id)
        return Plan(
            version=self.version,
            profile=self.profile,
            engine=self.here.engine,
            engine_reason=self.here.engine_reason,
            machine=self.here.platform,
            cells=cells,
            left_out=self.expansion.left_out,
            tasks=tuple(dataclasses.replace(task, cells=tuple(users[name])) for name, task in self._tasks.items()),
        )

    @property
    def version(self) -> str:
        """The version in asset names; a profile's suffix keeps local builds apart from releases."""
        return self.matrix.version + self._profile.suffix

    @property
    def _profile(self) -> Profile:
        return next(spec for name, spec in self.matrix.profiles.items() if name == self.profile.value)

    def _cell(self, cell: Cell) -> PlannedCell:
        asset = asset_name(cell, self.version)
        reason = self._why_not(cell)
        tasks: tuple[str, ...] = ()
        if reason is None:
            gate = self._gate(cell, asset)
            tasks = self._closure(gate.id)
        return PlannedCell(
            cell=cell,
            engine=self.here.engine,
            runnable=reason is None,
            reason=reason,
            asset=asset,
            deadline=sum(self._tasks[name].deadline or 0 for name in tasks),
            tasks=tasks,
        )

    def _why_not(self, cell: Cell) -> str | None:
        """Say why a cell cannot be built here, or None."""
        if cell.needs is not None:
            return f"needs {cell.needs}"
        if self.here.engine is EngineName.FAKE:
            return None
        for name in ("core", *cell.backends):
            component = self.matrix.components[components.component_id(cell.project, cell.platform, name)]
            if self.here.engine.value not in set[str](component.engines):
                wanted = "Docker" if "docker" in component.engines else "an engine that runs on this machine"
                return f"needs {wanted}: its {name} component is not built on the {self.here.engine} engine"
            hosts = self.matrix.toolchains[component.toolchain].hosts
            if self.here.platform not in hosts:
                return f"needs a machine that runs the {component.toolchain} toolchain: {', '.join(hosts)}"
        return None

    def _add(self, task: Task) -> Task:
        """Keep one task for each id; two different tasks under one id would be a bug of ours."""
        known = self._tasks.setdefault(task.id, task)
        self._turns.setdefault(task.id, len(self._turns))
        if known.key != task.key:
            msg = f"two different tasks are called {task.id}"
            raise PlanError(msg, hint="this is a bug in llamatrix, please report it")
        return known

    def _closure(self, name: str) -> tuple[str, ...]:
        """List a task and everything it needs, in an order that can run."""
        wanted, stack = set(), [name]
        while stack:
            current = stack.pop()
            if current not in wanted:
                wanted.add(current)
                stack.extend(self._tasks[current].needs)
        # A task is added after what it needs. Walking all tasks here would cost the square of the number of cells.
        return tuple(sorted(wanted, key=self._turns.__getitem__))

    def _source(self, project: str) -> Task:
        name = self.matrix.projects[project].source
        source, local = self.matrix.sources[name], self.local.get(name)
        work = SourceWork(name=name, source=source, local=str(local) if local else None)
        key = source_key(name, source, local)
        return Task(id=f"source:{name}", kind=TaskKind.SOURCE, key=key, work=work)

    def _toolchain(self, name: str) -> Task:
        toolchain = self.matrix.toolchains[name]
        work = ToolchainWork(name=name, toolchain=toolchain)
        key = toolchain_key(toolchain, self.root)
        return Task(id=f"toolchain:{name}", kind=TaskKind.TOOLCHAIN, key=key, work=work)

    def _image(self, name: str) -> Task:
        image = self.matrix.images[name]
        work = ImageWork(name=name, image=image)
        return Task(id=f"image:{name}", kind=TaskKind.IMAGE, key=image_key(image), work=work)

    def _compile(self, cell: Cell, name: str, engine: EngineName) -> Task:
        """Plan one component on one engine."""
        ident = components.component_id(cell.project, cell.platform, name)
        task_id = f"{'core' if name == 'core' else 'backend'}:{ident}@{engine}"
        if task_id in self._tasks:
            return self._tasks[task_id]
        component, platform = self.matrix.components[ident], self.matrix.platforms[cell.platform]
        source, toolchain = self._source(cell.project), self._toolchain(component.toolchain)
        image = self._image(component.image) if engine is EngineName.DOCKER else None
        profile = self._profile
        variants = components.kept_variants(component, profile, cell.platform)
        source_name = self.matrix.projects[cell.project].source
        scripts = folder_digest((self.root / _CONTAINERS / component.script).parent)
        settings = components.settings(name, component, platform, self.matrix.sources[source_name], variants)
        recipe = content_key(
            tool=__version__,
            source=source.key,
            toolchain=toolchain.key,
            script=component.script,
            scripts=scripts,
            settings=settings,
            # A component that only containers can build takes headers and compilers from its image; one that any
            # engine can build takes nothing from it, and must not differ by it.
            image=image_key(self.matrix.images[component.image])
            if component.engines == (EngineName.DOCKER.value,)
            else None,
        )
        work = CompileWork(
            id=ident,
            name=name,
            component=component,
            engine=engine,
            source=source.id,
            source_spec=self.matrix.sources[source_name],
            toolchain=toolchain.id,
            lock=file_digest(self.root / self.matrix.toolchains[component.toolchain].lock),
            scripts=scripts,
            image=image.id if image else None,
            recipe_key=recipe,
            settings=settings,
            outputs=components.promised_outputs(component, platform, variants),
            cpu_variants=variants,
        )
        # The fake engine forges its files: it needs no source, compiler or image.
        inputs = [] if engine is EngineName.FAKE else [source, toolchain, *([image] if image else [])]
        return self._add(
            Task(
                id=task_id,
                kind=TaskKind.CORE if name == "core" else TaskKind.BACKEND,
                key=content_key(recipe=recipe, engine=engine, image=image.key if image else None),
                work=work,
                needs=tuple(self._add(task).id for task in inputs),
                deadline=parse_duration(component.deadline),
                cpus=None,
                memory=parse_size(component.memory),
            )
        )

    def _bundle(self, cell: Cell, asset: str, engine: EngineName) -> tuple[Task, tuple[Task, ...]]:
        """Plan the bundle of a cell on one engine; also give its compile tasks, core first."""
        compiles = tuple(self._compile(cell, name, engine) for name in ("core", *cell.backends))
        profile = self._profile
        source = self.matrix.projects[cell.project].source
        work = BundleWork(
            cell=cell,
            engine=engine,
            version=self.version,
            profile=self.profile,
            profile_spec=profile,
            asset=asset,
            source=source,
            core=compiles[0].id,
            backends=tuple(zip(cell.backends, (task.id for task in compiles[1:]), strict=True)),
            target=self.matrix.platforms[cell.platform].target,
        )
        key = content_key(
            tool=__version__,
            code=code_digest("bundle"),
            compiles=[task.key for task in compiles],
            source_version=self.matrix.sources[source].version,
            profile=msgspec.to_builtins(profile),
            version=self.version,
            cell=cell.id,
            pending=dict(cell.pending),
        )
        task = Task(
            id=f"bundle:{cell.id}@{engine}",
            kind=TaskKind.BUNDLE,
            key=key,
            work=work,
            needs=tuple(task.id for task in compiles),
            memory=_PACK_MEMORY,
        )
        return self._add(task), compiles

    def _twin(self, cell: Cell, asset: str) -> tuple[Task | None, str | None]:
        """Plan the second build for the repro gate, or say why there is none."""
        if cell.gates.repro is None:
            return None, None
        if not self._profile.repro:
            return None, f"the {self.profile} profile makes no second build; --profile release does"
        other = self.here.second_engine()
        if other is None:
            return None, f"a second build needs a second engine, and only {self.here.engine} answers here"
        return self._bundle(cell, asset, other)[0], None

    def _gate(self, cell: Cell, asset: str) -> Task:
        bundle, compiles = self._bundle(cell, asset, self.here.engine)
        twin, twin_reason = self._twin(cell, asset)
        images: tuple[tuple[str, str], ...] = ()
        smoke = cell.gates.smoke
        if smoke is not None and self.here.engine is EngineName.DOCKER:
            images = ((smoke.image, self._add(self._image(smoke.image)).id),)
        work = GateWork(
            cell=cell,
            bundle=bundle.id,
            core=compiles[0].id,
            compiles=tuple(task.id for task in compiles),
            images=images,
            twin=twin.id if twin else None,
            twin_reason=twin_reason,
            previous_size=self.previous.get(cell.id),
        )
        key = content_key(
            bundle=bundle.key,
            twin=twin.key if twin else twin_reason,
            gates=msgspec.to_builtins(cell.gates),
            previous_size=work.previous_size,
            waivers=msgspec.to_builtins(cell.waivers),
            expired=[waiver.gate for waiver in cell.waivers if self.today.isoformat() > waiver.until],
            deadlines=[task.deadline for task in compiles],
            code=code_digest("gates"),
            images=[self._tasks[task].key for _, task in images],
            emulators=dict(self.here.emulators),
            sysroots=self.here.sysroots,
        )
        limits = [spec.deadline for spec in (cell.gates.smoke, cell.gates.tests) if spec is not None]
        return self._add(
            Task(
                id=f"gate:{cell.id}",
                kind=TaskKind.GATE,
                key=key,
                work=work,
                needs=(bundle.id, *((twin.id,) if twin else ()), *(task for _, task in images)),
                deadline=sum(parse_duration(text) for text in limits) or None,
                memory=_GATE_MEMORY,
            )
        )
