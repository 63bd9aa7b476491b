from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines.base import Cancel
from pipeline.errors import InternalError, TaskFailedError
from pipeline.model import TaskState
from pipeline.run.scheduler import Node, Outcome, Scheduler, closure


def _scheduler(execute: Callable[[str], TaskState], **options: object) -> Scheduler:
    defaults: dict[str, object] = {"cpus": 2, "memory": 100}
    return Scheduler(execute=execute, **(defaults | options))  # type: ignore[arg-type]


def _done(_: str) -> TaskState:
    return TaskState.DONE


def _failing(*names: str) -> Callable[[str], TaskState]:
    def execute(name: str) -> TaskState:
        if name in names:
            msg = f"{name} broke"
            raise TaskFailedError(msg)
        return TaskState.DONE

    return execute


def _states(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcome.state for name, outcome in outcomes.items()}


def test_everything_runs_after_what_it_needs() -> None:
    order: list[str] = []

    def execute(name: str) -> TaskState:
        order.append(name)
        return TaskState.DONE

    outcomes = _scheduler(execute).run(
        [Node(id="c", needs=("a", "b")), Node(id="b", needs=("a",)), Node(id="a")],
    )

    assert order == ["a", "b", "c"]
    assert set(_states(outcomes).values()) == {"done"}


def test_a_failure_blocks_what_needs_it_and_nothing_else() -> None:
    nodes = [Node(id="core"), Node(id="bundle", needs=("core",)), Node(id="gate", needs=("bundle",)), Node(id="other")]

    outcomes = _scheduler(_failing("core")).run(nodes)

    assert _states(outcomes) == {"core": "failed", "bundle": "blocked", "gate": "blocked", "other": "done"}
    assert outcomes["core"].message == "core broke"
    assert outcomes["gate"].message == "core failed"


def test_fail_fast_starts_nothing_after_the_first_failure() -> None:
    nodes = [Node(id="bad", cpus=None), *(Node(id=f"later-{number}", cpus=None) for number in range(5))]

    outcomes = _scheduler(_failing("bad"), fail_fast=True).run(nodes)

    assert outcomes["bad"].state is TaskState.FAILED
    assert {outcomes[f"later-{number}"].state for number in range(5)} == {TaskState.NOT_RUN}


def test_a_crash_is_a_failure_that_names_the_exception() -> None:
    def execute(name: str) -> TaskState:
        raise ZeroDivisionError(name)

    outcomes = _scheduler(execute).run([Node(id="a")])

    assert outcomes["a"].state is TaskState.FAILED
    assert outcomes["a"].message == "ZeroDivisionError: a"


def test_a_cancelled_run_reports_every_task() -> None:
    cancel = Cancel()

    def execute(name: str) -> TaskState:
        cancel.set()
        msg = "stopped"
        raise TaskFailedError(msg)

    outcomes = _scheduler(execute, cancel=cancel, cpus=1).run([Node(id="a"), Node(id="b", needs=("a",)), Node(id="c")])

    assert _states(outcomes) == {"a": "cancelled", "b": "not run", "c": "not run"}


def test_heavy_tasks_do_not_share_the_machine() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def execute(_: str) -> TaskState:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.02)
        with lock:
            running -= 1
        return TaskState.DONE

    _scheduler(execute, cpus=8).run([Node(id=str(number), cpus=1, memory=60) for number in range(4)])

    assert most == 1


def test_a_task_heavier_than_the_machine_runs_alone_rather_than_never() -> None:
    outcomes = _scheduler(_done).run([Node(id="huge", memory=10**9, cpus=64), Node(id="small")])

    assert set(_states(outcomes).values()) == {"done"}


def test_independent_tasks_do_run_at_the_same_time() -> None:
    barrier = threading.Barrier(2, timeout=30)

    def execute(_: str) -> TaskState:
        barrier.wait()
        return TaskState.DONE

    outcomes = _scheduler(execute).run([Node(id="a"), Node(id="b")])

    assert set(_states(outcomes).values()) == {"done"}


def test_light_work_runs_beside_work_that_takes_every_core() -> None:
    barrier = threading.Barrier(2, timeout=30)

    def execute(_: str) -> TaskState:
        barrier.wait()
        return TaskState.DONE

    outcomes = _scheduler(execute).run([Node(id="compile", cpus=None), Node(id="pack", cpus=0)])

    assert set(_states(outcomes).values()) == {"done"}


def test_no_more_run_than_have_a_place_and_none_is_called_started_before() -> None:
    lock, started, ended, most = threading.Lock(), 0, 0, 0

    def begin(_: str) -> None:
        nonlocal started, most
        with lock:
            started += 1
            most = max(most, started - ended)

    def execute(_: str) -> TaskState:
        threading.Event().wait(0.01)
        return TaskState.DONE

    def end(_: Outcome) -> None:
        nonlocal ended
        with lock:
            ended += 1

    scheduler = _scheduler(execute, on_start=begin, on_end=end)
    outcomes = scheduler.run([Node(id=str(number), cpus=0) for number in range(12)])

    assert len(outcomes) == 12
    assert most == scheduler.slots == 4


def test_a_need_outside_the_plan_is_a_bug_with_a_name() -> None:
    with pytest.raises(InternalError, match="tasks it does not hold: ghost"):
        _scheduler(_done).run([Node(id="a", needs=("ghost",))])


def test_closure_gives_the_goals_and_all_they_need() -> None:
    assert closure(["c"], {"c": ["b"], "b": ["a"], "d": ["a"]}) == {"a", "b", "c"}


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[list[Node], set[str]]:
    size = draw(st.integers(1, 12))
    nodes = []
    for number in range(size):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        nodes.append(
            Node(
                id=str(number),
                needs=tuple(str(need) for need in sorted(needs)),
                cpus=draw(st.none() | st.integers(0, 3)),
                memory=draw(st.integers(0, 200)),
            )
        )
    bad = {str(number) for number in draw(st.sets(st.integers(0, size - 1), max_size=3))}
    return draw(st.permutations(nodes)), bad


@settings(max_examples=60, deadline=None)
@given(_graphs())
def test_every_task_has_one_outcome_and_failures_block_exactly_what_is_behind_them(
    graph: tuple[list[Node], set[str]],
) -> None:
    nodes, bad = graph
    needs = {node.id: node.needs for node in nodes}

    outcomes = _scheduler(_failing(*bad)).run(nodes)

    assert outcomes.keys() == needs.keys()
    for name, outcome in outcomes.items():
        behind = closure(needs[name], needs) & bad
        expected = TaskState.BLOCKED if behind else TaskState.FAILED if name in bad else TaskState.DONE
        assert outcome.state is expected


def test_a_callback_that_breaks_stops_what_is_running_instead_of_waiting_for_it() -> None:
    cancel = Cancel()
    stopped = threading.Event()

    def execute(name: str) -> TaskState:
        if name == "long" and cancel.wait(10):
            stopped.set()
        return TaskState.DONE

    def broken(_: Outcome) -> None:
        msg = "the board broke"
        raise RuntimeError(msg)

    scheduler = _scheduler(execute, cancel=cancel, on_end=broken)

    with pytest.raises(RuntimeError, match="the board broke"):
        scheduler.run([Node(id="long"), Node(id="short")])

    assert stopped.is_set()
