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
    """One piece of work. ``cpus`` 0 means all there are; ``memory`` is bytes."""

    id: str
    needs: tuple[str, ...] = ()
    cpus: int = 1
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
        by_id = {node.id: node for node in nodes}
        missing = sorted({need for node in nodes for need in node.needs} - by_id.keys())
        if missing:
            msg = f"the plan needs tasks it does not hold: {', '.join(missing)}"
            raise InternalError(msg)
        waiting = {node.id: {*node.needs} for node in nodes}
        users = downstream(nodes)
        running: dict[str, Node] = {}
        outcomes: dict[str, Outcome] = {}
        finished: list[Outcome] = []
        wake = threading.Condition()

        def work(node: Node) -> None:
            started = self.clock()
            state, message, error = TaskState.FAILED, None, None
            try:
                state = self.execute(node.id)
            except BaseException as caught:  # noqa: BLE001  a crashed task is a failed task, not a lost one
                error, message = caught, str(caught) or type(caught).__name__
                if not isinstance(caught, PipelineError):
                    message = f"{type(caught).__name__}: {message}"
                if self.cancel.is_set():
                    state = TaskState.CANCELLED
            outcome = Outcome(
                id=node.id, state=state, message=message, error=error, started=started, ended=self.clock()
            )
            with wake:
                finished.append(outcome)
                wake.notify()

        def settle(outcome: Outcome) -> None:
            outcomes[outcome.id] = outcome
            waiting.pop(outcome.id, None)
            if outcome.state in {TaskState.DONE, TaskState.CACHED}:
                for user in users.get(outcome.id, ()):
                    if user in waiting:
                        waiting[user].discard(outcome.id)
            elif outcome.state is TaskState.FAILED:
                for user in sorted(_all_users(outcome.id, users) & waiting.keys()):
                    settle(Outcome(id=user, state=TaskState.BLOCKED, message=f"{outcome.id} failed"))
                if self.fail_fast:
                    self.cancel.set()
            self.on_end(outcome)

        with ThreadPoolExecutor(max_workers=max(4, self.cpus * 2), thread_name_prefix="task") as pool:
            while waiting or running:
                if not self.cancel.is_set():
                    for node in self._startable(waiting, running, by_id):
                        running[node.id] = node
                        waiting.pop(node.id)
                        self.on_start(node.id)
                        pool.submit(work, node)
                if not running:
                    break
                with wake:
                    # The timeout lets signal handlers run and a cancel be seen: a bare wait would hold them up.
                    wake.wait_for(lambda: bool(finished), timeout=0.2)
                    batch, finished[:] = list(finished), []
                for outcome in batch:
                    running.pop(outcome.id)
                    settle(outcome)
        for name in list(waiting):
            settle(Outcome(id=name, state=TaskState.NOT_RUN, message="the run was stopped before its turn"))
        return outcomes

    def _startable(
        self, waiting: Mapping[str, set[str]], running: Mapping[str, Node], by_id: Mapping[str, Node]
    ) -> Iterable[Node]:
        """Choose what to start now: ready, and within the cores and memory that are free."""
        cores = self.cpus - sum(self._cores(node) for node in running.values())
        memory = self.memory - sum(node.memory for node in running.values())
        ready = [by_id[name] for name, needs in waiting.items() if not needs]
        chosen: list[Node] = []
        for node in sorted(ready, key=lambda node: -self._cores(node)):
            alone = not running and not chosen
            if alone or (self._cores(node) <= cores and node.memory <= memory):
                chosen.append(node)
                cores -= self._cores(node)
                memory -= node.memory
        return chosen

    def _cores(self, node: Node) -> int:
        return self.cpus if node.cpus == 0 else min(node.cpus, self.cpus)


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


def _all_users(name: str, users: Mapping[str, Sequence[str]]) -> set[str]:
    return closure([name], users) - {name}
