"""What every command starts with: the matrix, this machine, and the plan for what was asked."""

from __future__ import annotations

__all__ = ["Session"]

import argparse
import datetime
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli import local_sources, store_folder
from pipeline.engines.select import Choice, choose
from pipeline.errors import CellUnavailableError, UsageError
from pipeline.matrix.expand import expand
from pipeline.matrix.load import LoadedMatrix, load
from pipeline.matrix.select import normalise_platform, select
from pipeline.model import machine_platform
from pipeline.plan.here import Here
from pipeline.plan.planner import Planner
from pipeline.plan.records import Plan

_EMULATORS = {"aarch64": ("qemu-aarch64-static", "qemu-aarch64")}
_SYSROOTS = {"aarch64": "/usr/aarch64-linux-gnu"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One command's view: the matrix as loaded, the engine taken, and the plan."""

    matrix: LoadedMatrix
    root: Path
    store: Path
    dist: Path
    choice: Choice
    here: Here
    plan: Plan
    planner: Planner
    today: datetime.date

    @classmethod
    def open(cls, arguments: argparse.Namespace) -> Session:
        """Load, look around, choose an engine and plan."""
        matrix = load(arguments.matrix)
        local = local_sources(arguments.source)
        unknown = sorted(local.keys() - matrix.file.sources.keys())
        if unknown:
            msg = f"--source names {unknown[0]!r}, which matrix.yaml does not have"
            raise UsageError(msg, hint=f"its sources are {', '.join(sorted(matrix.file.sources))}")
        expansion = expand(matrix)
        store = store_folder(arguments)
        choice = choose(arguments.engine)
        here = look_around(choice)
        ids = [cell.id for cell in expansion.cells]
        if arguments.only:
            selected = set(select(arguments.only, ids, left_out=expansion.left_out))
        elif arguments.all:
            selected = set(ids)
        else:
            selected = {cell.id for cell in expansion.cells if cell.platform == here.platform}
        today = datetime.datetime.now(tz=datetime.UTC).date()
        planner = Planner(
            matrix=matrix.file,
            expansion=expansion,
            here=here,
            root=arguments.matrix.resolve().parent,
            profile=arguments.profile,
            local=local,
            today=today,
            previous=previous_sizes(arguments.previous),
        )
        plan = planner.plan(selected)
        if arguments.command != "plan":
            _refuse_unavailable(plan, arguments.only)
        return cls(
            matrix=matrix,
            root=planner.root,
            store=store,
            dist=Path(arguments.dist) / plan.version,
            choice=choice,
            here=here,
            plan=plan,
            planner=planner,
            today=today,
        )

    def whole_plan(self) -> Plan:
        """Plan every cell of the matrix, for the report."""
        return self.planner.plan(None)


def previous_sizes(path: Path | None) -> dict[str, int]:
    """Read the size of every cell that passed its gates from an earlier report.json."""
    if path is None:
        return {}
    from pipeline.report.document import from_json  # noqa: PLC0415  it loads the template engine
    from pipeline.report.record import CellState  # noqa: PLC0415

    try:
        report = from_json(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"it cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(
            msg, where=str(path), hint="--previous takes the report.json of the previous release"
        ) from error
    return {cell.id: cell.size for cell in report.cells if cell.size and cell.state is not CellState.FAILED}


def look_around(choice: Choice) -> Here:
    """Find what this machine offers besides its engines."""
    emulators = {}
    for processor, programs in _EMULATORS.items():
        found = next((path for path in map(shutil.which, programs) if path), None)
        if found:
            emulators[processor] = found
    return Here(
        platform=machine_platform(),
        engine=choice.name,
        engine_reason=choice.reason,
        engines=choice.available,
        emulators=emulators,
        sysroots=tuple(path for path in _SYSROOTS.values() if Path(path).is_dir()),
    )


def _refuse_unavailable(plan: Plan, patterns: list[str]) -> None:
    """A cell asked for by its full name must be built or the run must fail; a glob may match what is not here."""
    named = {"/".join(map(normalise_platform, pattern.split("/"))) for pattern in patterns}
    for planned in plan.cells:
        if planned.cell.id in named and not planned.runnable:
            msg = f"it cannot be built here: {planned.reason}"
            raise CellUnavailableError(msg, where=planned.cell.id, hint="the plan command lists what can")
    if not plan.assets:
        what = f"that --only {' --only '.join(patterns)} selects" if patterns else f"for {plan.machine}"
        msg = f"nothing {what} can be built here"
        reasons = sorted({planned.reason or "" for planned in plan.cells}) or ["--all takes every platform"]
        raise CellUnavailableError(msg, hint="; ".join(reasons))
