"""A whole run on the fake engine, small enough for a unit test."""

from __future__ import annotations

__all__ = ["FORGED_MATRIX", "Recorder", "Rig"]

import datetime
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.engines.base import Cancel, Ending
from pipeline.engines.fake import FakeEngine
from pipeline.matrix.expand import expand
from pipeline.model import EngineName
from pipeline.plan.here import Here
from pipeline.plan.planner import Planner
from pipeline.plan.records import Plan
from pipeline.report.record import RunReport, TaskRecord
from pipeline.run.context import RunContext
from pipeline.run.runner import Runner, RunOptions
from pipeline.run.store import Store
from tests.matrix.builders import MATRIX, load_text

FORGED_MATRIX = MATRIX
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Recorder:
    """A board that remembers."""

    lines: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    done: list[TaskRecord] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def started(self, task: str, *, deadline: float | None) -> None:
        self.begun.append(task)

    def line(self, task: str, line: str) -> None:
        self.lines.append(f"{task}: {line}")

    def ended(self, record: TaskRecord) -> None:
        self.done.append(record)

    def close(self, report: RunReport | None) -> None:
        """Nothing to restore."""


@dataclass(kw_only=True)
class Rig:
    """A store, a dist folder and a matrix; ``run`` is one run of all its cells."""

    folder: Path
    text: str = FORGED_MATRIX
    script: dict[str, Ending] = field(default_factory=dict)
    today: datetime.date = datetime.date(2026, 11, 21)
    cancel: Cancel = field(default_factory=Cancel)
    board: Recorder = field(default_factory=Recorder)

    def planner(self) -> Planner:
        matrix = load_text(self.text)
        here = Here(
            platform="linux-x86_64", engine=EngineName.FAKE, engine_reason="fake: a test", engines=(EngineName.FAKE,)
        )
        return Planner(matrix=matrix.file, expansion=expand(matrix), here=here, root=ROOT, today=self.today)

    def plan(self) -> Plan:
        return self.planner().plan(None)

    def runner(self, *, fresh: bool = False, fail_fast: bool = False) -> Runner:
        plan = self.plan()
        self.engine = FakeEngine(self.script)
        self.board = Recorder()
        context = RunContext(
            root=ROOT,
            store=Store(self.folder / "store"),
            dist=self.folder / "dist",
            tasks={task.id: task for task in plan.tasks},
            engines={EngineName.FAKE: self.engine},
            line=self.board.line,
            cancel=self.cancel,
            jobs=2,
            today=self.today,
        )
        return Runner(
            plan=plan,
            context=context,
            options=RunOptions(jobs=2, memory=2**34, fresh=fresh, fail_fast=fail_fast),
            board=self.board,
            tool="llamatrix test",
        )

    def run(self, *, fresh: bool = False, fail_fast: bool = False) -> RunReport:
        return self.runner(fresh=fresh, fail_fast=fail_fast).run()
