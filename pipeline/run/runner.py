"""One run of a plan: decide what is left to do, do it, and say what became of every cell."""

from __future__ import annotations

__all__ = ["RunOptions", "Runner"]

import time
from dataclasses import dataclass, field

import msgspec

from pipeline.errors import DeadlineError, StoreError
from pipeline.gates.base import failed
from pipeline.model import TaskKind, TaskState, Verdict
from pipeline.plan.records import BundleWork, CompileWork, GateWork, Plan, Task
from pipeline.report.board import Board
from pipeline.report.record import CellRecord, RunReport, TaskRecord
from pipeline.run.bundling import BundleFacts, make_bundle, place, restore_bundle
from pipeline.run.compiling import compile_component, restore_compile
from pipeline.run.context import RunContext
from pipeline.run.judging import archives, judge_bundle, verdicts_from
from pipeline.run.materials import unique
from pipeline.run.outcome import cell_record
from pipeline.run.scheduler import Node, Outcome, Scheduler
from pipeline.run.store import Entry
from pipeline.run.supply import supply

_JUDGED = {TaskState.DONE, TaskState.CACHED, TaskState.FAILED}
_KEPT = {TaskKind.CORE, TaskKind.BACKEND, TaskKind.BUNDLE, TaskKind.GATE}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How to run; ``memory`` is bytes the tasks may use together."""

    jobs: int
    memory: int
    fail_fast: bool = False
    fresh: bool = False


@dataclass(kw_only=True)
class Runner:
    """Runs one plan in one context, showing it on one board."""

    plan: Plan
    context: RunContext
    options: RunOptions
    board: Board
    tool: str
    _records: dict[str, TaskRecord] = field(default_factory=dict, init=False)
    _errors: dict[str, BaseException] = field(default_factory=dict, init=False)
    _settled: set[str] = field(default_factory=set, init=False)

    def run(self) -> RunReport:
        """Do what is not done yet and report on all of it."""
        started = time.time()
        todo = self._todo()
        for task in self.plan.tasks:
            if task.id not in todo:
                self._record(task, Outcome(id=task.id, state=self._idle_state(task)))
        self._tidy_dist()
        scheduler = Scheduler(
            execute=self._execute,
            cpus=self.options.jobs,
            memory=self.options.memory,
            cancel=self.context.cancel,
            fail_fast=self.options.fail_fast,
            on_start=lambda name: self.board.started(name, deadline=self.context.tasks[name].deadline),
            on_end=lambda outcome: self._record(self.context.tasks[outcome.id], outcome),
        )
        scheduler.run(
            [
                Node(
                    id=task.id,
                    needs=tuple(need for need in _needs(task) if need in todo),
                    cpus=task.cpus,
                    memory=task.memory,
                )
                for task in self.plan.tasks
                if task.id in todo
            ]
        )
        return self._report(started)

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """What went wrong, in the plan's order."""
        # What was only stopped because something else went wrong is not what went wrong.
        return tuple(
            self._errors[task.id]
            for task in self.plan.tasks
            if task.id in self._errors and self._records[task.id].state is not TaskState.CANCELLED
        )

    def _todo(self) -> set[str]:
        """Walk back from the bundles and gates; what is in the store needs nothing before it."""
        todo: set[str] = set()
        # Bundles first: whether a gate's verdicts still hold depends on the archive there is now.
        for kind in (TaskKind.BUNDLE, TaskKind.GATE):
            for task in self.plan.tasks:
                if task.kind is kind:
                    self._add_with_needs(task.id, todo)
        self._restore_inputs(todo)
        return todo

    def _restore_inputs(self, todo: set[str]) -> None:
        """A gate also reads its components' facts, which its bundle alone would not bring back."""
        for name in sorted(todo):
            work = self.context.tasks[name].work
            if isinstance(work, GateWork):
                for ident in work.compiles:
                    self._add_with_needs(ident, todo)

    def _add_with_needs(self, name: str, todo: set[str]) -> None:
        stack = [name]
        while stack:
            current = stack.pop()
            if current in todo or current in self._settled:
                continue
            task = self.context.tasks[current]
            if not self.options.fresh and self._restore(task):
                self._settled.add(current)
                continue
            todo.add(current)
            stack.extend(task.needs)

    def _restore(self, task: Task) -> bool:
        """Take a finished task from the store; False if it must be done, also because its entry is damaged."""
        entry = self.context.store.find(task.kind, task.key) if task.kind in _KEPT else None
        if entry is None:
            return False
        try:
            restored = self._restore_entry(task, entry)
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError):
            restored = False
        if restored:
            self.context.entries[task.id] = entry
        return restored

    def _restore_entry(self, task: Task, entry: Entry) -> bool:
        match task.work:
            case BundleWork() as work:
                return restore_bundle(self.context, task, work, entry)
            case CompileWork() as work:
                return restore_compile(self.context, task, work, entry)
            case GateWork() as work:
                # A failed gate is judged again: the next run may be on a quieter machine, or the user has mended
                # something. So is an archive that was packed anew: verdicts hold for bytes, not for intentions.
                if entry.facts.get("failed") or not verdicts_from(entry.facts):
                    return False
                settled = {name for name in (work.bundle, work.twin) if name} <= self._settled
                return settled and entry.facts.get("archives") == archives(self.context, work)
        return False

    def _tidy_dist(self) -> None:
        """Let dist/ hold, of the cells asked for, the archives whose gates are done already, and no older ones."""
        for planned in self.plan.cells:
            if not planned.runnable:
                continue
            if f"gate:{planned.cell.id}" in self._settled:
                self._place(planned.cell.id)
                continue
            old = self.context.dist / planned.asset
            try:
                old.unlink(missing_ok=True)
            except OSError as error:
                msg = f"the archive of an earlier run cannot be removed: {error.strerror or error}"
                raise StoreError(msg, where=str(old), hint="choose another place with --dist DIR") from error

    def _place(self, cell: str) -> None:
        """Put a judged archive into dist/; that of a failed gate, or of a second build, stays in the store."""
        place(self.context.result(f"bundle:{cell}@{self.plan.engine}", BundleFacts).bundle, self.context.dist)

    def _idle_state(self, task: Task) -> TaskState:
        return TaskState.CACHED if task.id in self._settled else TaskState.NOT_RUN

    def _execute(self, name: str) -> TaskState:
        task = self.context.tasks[name]
        log = self.context.dist / "logs" / f"{log_name(name)}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        match task.work:
            case CompileWork() as work:
                # Should it fail before it has a log, the one of an earlier run would look like its own.
                log.unlink(missing_ok=True)
                return compile_component(self.context, task, work, log)
            case BundleWork() as work:
                return make_bundle(self.context, task, work)
            case GateWork() as work:
                state = judge_bundle(self.context, task, work)
                self._place(work.cell.id)
                return state
            case _:
                return supply(self.context, task, log)

    def _record(self, task: Task, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._errors[task.id] = outcome.error
        message = outcome.message
        if outcome.state is TaskState.NOT_RUN and message is None:
            message = "not needed: what it feeds is already there"
        log = f"logs/{log_name(task.id)}.log"
        has_log = outcome.started is not None or outcome.state is TaskState.CACHED
        record = TaskRecord(
            id=task.id,
            kind=task.kind,
            key=task.key,
            state=outcome.state,
            cells=task.cells,
            started=outcome.started,
            ended=outcome.ended,
            deadline=task.deadline,
            message=message,
            log=log if has_log and (self.context.dist / log).is_file() else None,
        )
        self._records[task.id] = record
        if outcome.started is not None or outcome.state is TaskState.BLOCKED:
            self.board.ended(record)

    def _report(self, started: float) -> RunReport:
        return RunReport(
            version=self.plan.version,
            profile=self.plan.profile,
            engine=self.plan.engine,
            engine_reason=self.plan.engine_reason,
            machine=self.plan.machine,
            tool=self.tool,
            started=started,
            ended=time.time(),
            tasks=tuple(self._records[task.id] for task in self.plan.tasks),
            cells=self._cells(),
            left_out=tuple((left.id, left.reason) for left in self.plan.left_out),
            materials=unique(
                material
                for planned in self.plan.cells
                if (bundle := self._bundle(planned.cell.id)) is not None
                for material in bundle.materials
            ),
        )

    def _cells(self) -> tuple[CellRecord, ...]:
        return tuple(
            cell_record(
                planned,
                bundle=self._bundle(planned.cell.id),
                verdicts=self._verdicts(planned.cell.id),
                tasks=[self._records[name] for name in planned.tasks],
            )
            for planned in self.plan.cells
        )

    def _bundle(self, cell: str) -> BundleFacts | None:
        found = self.context.results.get(f"bundle:{cell}@{self.plan.engine}")
        return found if isinstance(found, BundleFacts) else None

    def _verdicts(self, cell: str) -> tuple[Verdict, ...]:
        """The verdicts of this run or of the store; a component killed at its deadline is the timeout gate's."""
        gate = f"gate:{cell}"
        record = self._records.get(gate)
        entry = self.context.entries.get(gate)
        if entry is not None and record is not None and record.state in _JUDGED:
            return verdicts_from(entry.facts)
        late = [
            error
            for name, error in self._errors.items()
            if isinstance(error, DeadlineError) and cell in self.context.tasks[name].cells
        ]
        return tuple(failed("timeout", str(error.what).splitlines()[0]) for error in late[:1])


def _needs(task: Task) -> tuple[str, ...]:
    """A gate also reads what its components left, should one of them have to be compiled again."""
    return (*task.needs, *task.work.compiles) if isinstance(task.work, GateWork) else task.needs


def log_name(task: str) -> str:
    """Turn a task's id into a file name."""
    return task.replace("/", "-").replace(":", "-").replace("@", "-")
