"""Runs a DAG in parallel, by weight.

It knows nothing of compilers or bundles: nodes have ids, needs and weights, and ``execute`` does the work.
"""

from __future__ import annotations

__all__ = ["Node", "Outcome", "Scheduler", "closure", "downstream"]

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.engines.base import Cancel
from pipeline.errors import InternalError, PipelineError
from pipeline.model import TaskState


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One piece of work, in cores and bytes.

    ``cpus`` None means all there are. 0 is work so light that it runs beside anything: a compile that takes every core
    must not hold up the packing and judging of what is already there.
    """

    id: str
    needs: tuple[str, ...] = ()
    cpus: int | None = 1
    memory: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a node ended; times are seconds since the epoch, None for what never started."""

    id: str
    state: TaskState
    message: str | None = None
    error: BaseException | None = None
    started: float | None = None
    ended: float | None = None


@dataclass(kw_only=True)
class Scheduler:
    """Starts what is ready and fits, largest first, until nothing is left or a stop is asked for.

    ``execute`` returns DONE or CACHED; an exception fails the node, and everything downstream is blocked. With
    ``fail_fast`` the first failure cancels the rest. A node heavier than the whole machine runs alone.
    """

    execute: Callable[[str], TaskState]
    cpus: int
    memory: int
    cancel: Cancel = field(default_factory=Cancel)
    fail_fast: bool = False
    on_start: Callable[[str], None] = lambda _: None
    on_end: Callable[[Outcome], None] = lambda _: None
    clock: Callable[[], float] = time.time

    def run(self, nodes: Sequence[Node]) -> dict[str, Outcome]:
        """Run every node; the result holds exactly one outcome for each."""
        missing = sorted({need for node in nodes for need in node.needs} - {node.id for node in nodes})
        if missing:
            msg = f"the plan needs tasks it does not hold: {', '.join(missing)}"
            raise InternalError(msg)
        return _Run(self, nodes).outcomes()

    @property
    def slots(self) -> int:
        """Give how many nodes may run at once, however light they are."""
        return max(4, self.cpus * 2)

    def cores(self, node: Node) -> int:
        """Give the cores a node takes of this machine."""
        return self.cpus if node.cpus is None else min(node.cpus, self.cpus)


class _Run:
    """The state of one run. Only ``_work`` runs in worker threads, and it only appends to ``_finished``."""

    def __init__(self, scheduler: Scheduler, nodes: Sequence[Node]) -> None:
        self._scheduler = scheduler
        self._nodes = {node.id: node for node in nodes}
        self._waiting = {node.id: {*node.needs} for node in nodes}
        self._users = downstream(nodes)
        self._running: dict[str, Node] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._finished: list[Outcome] = []
        self._wake = threading.Condition()

    def outcomes(self) -> dict[str, Outcome]:
        """Run everything that can run, and settle the rest."""
        scheduler = self._scheduler
        with ThreadPoolExecutor(max_workers=scheduler.slots, thread_name_prefix="task") as pool:
            try:
                self._loop(pool)
            except BaseException:
                # The pool waits for its threads: without this a bug in a callback would show an hour later.
                scheduler.cancel.set()
                raise
        for name in list(self._waiting):
            self._settle(Outcome(id=name, state=TaskState.NOT_RUN, message="the run was stopped before its turn"))
        return self._outcomes

    def _loop(self, pool: ThreadPoolExecutor) -> None:
        scheduler = self._scheduler
        while self._waiting or self._running:
            if not scheduler.cancel.is_set():
                for node in self._startable():
                    self._running[node.id] = node
                    self._waiting.pop(node.id)
                    scheduler.on_start(node.id)
                    pool.submit(self._work, node)
            if not self._running:
                break
            for outcome in self._ended():
                self._running.pop(outcome.id)
                self._settle(outcome)

    def _startable(self) -> list[Node]:
        """Choose what to start now: ready, and within the cores and memory that are free."""
        scheduler = self._scheduler
        cores = scheduler.cpus - sum(scheduler.cores(node) for node in self._running.values())
        memory = scheduler.memory - sum(node.memory for node in self._running.values())
        ready = [self._nodes[name] for name, needs in self._waiting.items() if not needs]
        chosen: list[Node] = []
        for node in sorted(ready, key=scheduler.cores, reverse=True):
            if len(self._running) + len(chosen) >= scheduler.slots:
                break
            alone = not self._running and not chosen
            if alone or (scheduler.cores(node) <= cores and node.memory <= memory):
                chosen.append(node)
                cores -= scheduler.cores(node)
                memory -= node.memory
        return chosen

    def _work(self, node: Node) -> None:
        """Execute one node in a worker thread."""
        scheduler, started = self._scheduler, self._scheduler.clock()
        state, message, error = TaskState.FAILED, None, None
        try:
            state = scheduler.execute(node.id)
        except BaseException as caught:  # noqa: BLE001  a crashed task is a failed task, not a lost one
            error, message = caught, str(caught) or type(caught).__name__
            if not isinstance(caught, PipelineError):
                message = f"{type(caught).__name__}: {message}"
            if scheduler.cancel.is_set():
                state = TaskState.CANCELLED
        outcome = Outcome(
            id=node.id, state=state, message=message, error=error, started=started, ended=scheduler.clock()
        )
        with self._wake:
            self._finished.append(outcome)
            self._wake.notify()

    def _ended(self) -> list[Outcome]:
        """Wait a moment for nodes to end. The wait is short so that signal handlers run and a stop is seen."""
        with self._wake:
            self._wake.wait_for(lambda: bool(self._finished), timeout=0.2)
            ended, self._finished = self._finished, []
        return ended

    def _settle(self, outcome: Outcome) -> None:
        """Note how a node ended, and what that means for those that need it."""
        self._outcomes[outcome.id] = outcome
        self._waiting.pop(outcome.id, None)
        if outcome.state in {TaskState.DONE, TaskState.CACHED}:
            for user in self._users.get(outcome.id, ()):
                if user in self._waiting:
                    self._waiting[user].discard(outcome.id)
        elif outcome.state is TaskState.FAILED:
            behind = closure([outcome.id], self._users) & self._waiting.keys()
            for user in sorted(behind):
                self._settle(Outcome(id=user, state=TaskState.BLOCKED, message=f"{outcome.id} failed"))
            if self._scheduler.fail_fast:
                self._scheduler.cancel.set()
        self._scheduler.on_end(outcome)


def downstream(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """Map each node to those that need it."""
    users: dict[str, list[str]] = {}
    for node in nodes:
        for need in node.needs:
            users.setdefault(need, []).append(node.id)
    return users


def closure(goals: Iterable[str], needs: Mapping[str, Iterable[str]]) -> set[str]:
    """Give the goals and everything they need."""
    found, stack = set(), list(goals)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(needs.get(name, ()))
    return found
