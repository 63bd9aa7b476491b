"""Puts a packed bundle before its gates."""

from __future__ import annotations

__all__ = ["archives", "judge_bundle", "verdicts_from"]

import json
from collections.abc import Mapping

import msgspec

from pipeline.bundle.info import INFO_NAME
from pipeline.bundle.reading import unpack
from pipeline.errors import CancelledError, GateFailedError
from pipeline.gates.base import Subject, Timing
from pipeline.model import EngineName, Status, TaskKind, TaskState, Verdict
from pipeline.plan.records import CompileWork, GateWork, Task
from pipeline.run.bundling import BundleFacts
from pipeline.run.compiling import CompileFacts
from pipeline.run.context import RunContext
from pipeline.run.supply import ImageReference


def judge_bundle(context: RunContext, task: Task, work: GateWork) -> TaskState:
    """Unpack the archive once, run every gate, and keep the verdicts; a failed gate fails the task."""
    # Loading the gates loads LIEF, a third of a second that a run with nothing to judge must not pay.
    from pipeline.gates.suite import judge  # noqa: PLC0415

    bundle = context.result(work.bundle, BundleFacts).bundle
    core = context.result(work.core, CompileFacts)
    engine = context.engines[_engine_of(context, work)]
    tests = core.folder / "tests"
    with context.store.scratch("gate") as scratch:
        root = unpack(bundle.path, scratch / "bundle")
        (scratch / "work").mkdir()
        subject = Subject(
            cell=work.cell,
            bundle=bundle,
            root=root,
            info=json.loads((root / INFO_NAME).read_bytes()),
            work=scratch / "work",
            engine=engine,
            cancel=context.cancel,
            images={name: context.result(ident, ImageReference).reference for name, ident in work.images},
            emulators=context.emulators,
            timings=tuple(_timing(context, ident) for ident in work.compiles),
            tests=tests if tests.is_dir() else None,
            twin=context.result(work.twin, BundleFacts).bundle if work.twin else None,
            twin_reason=work.twin_reason,
            previous_size=work.previous_size,
        )
        verdicts = judge(subject, context.today)
        if context.cancel.is_set():
            # What a gate says of programs that were just being killed is worth nothing.
            msg = "its gates were stopped"
            raise CancelledError(msg, where=work.cell.id)
        made = scratch / "made"
        made.mkdir()
        bad = [verdict for verdict in verdicts if verdict.status is Status.FAILED]
        facts = {
            "verdicts": msgspec.to_builtins(verdicts),
            "failed": [verdict.gate for verdict in bad],
            "archives": archives(context, work),
        }
        context.entries[task.id] = context.store.commit(TaskKind.GATE, task.key, made, facts)
    for verdict in verdicts:
        context.line(task.id, f"{verdict.gate}: {verdict.status}: {verdict.summary}")
    if bad:
        what = "; ".join(f"gate {verdict.gate} failed: {verdict.summary}" for verdict in bad)
        hint = f"report.html shows every gate with its numbers; the archive is kept out of dist, as {bundle.path}"
        raise GateFailedError(what, where=work.cell.id, hint=hint)
    return TaskState.DONE


def archives(context: RunContext, work: GateWork) -> list[str | None]:
    """Give the SHA-256 of what a gate task judges: verdicts hold for these bytes and no others."""
    found = [context.results.get(name) if name else None for name in (work.bundle, work.twin)]
    return [facts.bundle.sha256 if isinstance(facts, BundleFacts) else None for facts in found]


def verdicts_from(facts: Mapping[str, object]) -> tuple[Verdict, ...]:
    """Read verdicts back from the store."""
    return msgspec.convert(facts.get("verdicts", ()), tuple[Verdict, ...])


def _engine_of(context: RunContext, work: GateWork) -> EngineName:
    compiled = context.tasks[work.core].work
    assert isinstance(compiled, CompileWork)
    return compiled.engine


def _timing(context: RunContext, ident: str) -> Timing:
    facts = context.result(ident, CompileFacts)
    work = context.tasks[ident].work
    assert isinstance(work, CompileWork)
    # The deadline of today's matrix: the component may have been built under another.
    deadline = context.tasks[ident].deadline or facts.deadline
    return Timing(component=work.id, seconds=facts.seconds, deadline=deadline)
