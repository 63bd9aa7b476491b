"""The build-matrix command: run the plan, show it, report on it, and say with the exit code how it went."""

from __future__ import annotations

__all__ = ["build_matrix"]

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

from pipeline import __version__
from pipeline.engines.base import Cancel, Engine
from pipeline.engines.select import open_engine
from pipeline.errors import CancelledError, GateFailedError, InternalError, StoreError
from pipeline.model import EngineName
from pipeline.plan.records import BundleWork, CompileWork, Plan
from pipeline.report.board import Board
from pipeline.report.choose import choose_board
from pipeline.report.document import HTML_NAME, JSON_NAME, write
from pipeline.report.record import CellState, RunReport
from pipeline.run.context import RunContext
from pipeline.run.earlier import earlier_cells
from pipeline.run.materials import unique
from pipeline.run.runner import Runner, RunOptions
from pipeline.run.store import Store
from pipeline.session import Session

# What is left for the system and for ourselves when tasks share the machine's memory.
_RESERVE = 1 * 2**30


def build_matrix(arguments: argparse.Namespace) -> int:
    """Build and gate what was asked for; 0 only if nothing that ran has failed."""
    session = Session.open(arguments)
    # Planned now, so that a mistake in a cell nobody asked for cannot cost the report of hours of work.
    whole = session.whole_plan()
    store = Store(session.store)
    cancel = Cancel()
    with store.locked(), _signals(cancel) as received, contextlib.ExitStack() as stack:
        board = choose_board(os.environ, sys.stdout, total=len(session.plan.tasks))
        report: RunReport | None = None
        # The board closes last, with the report: until then it owns the terminal.
        stack.callback(lambda: board.close(report))
        board.say(session.choice.reason)
        _clear(session.dist)
        engines = _engines(session, store, stack)
        for thing in _sweep(store, engines):
            board.say(f"removed what a killed run left: {thing}")
        context = _context(session, store, engines, cancel=cancel, jobs=arguments.jobs, board=board)
        runner = Runner(
            plan=session.plan,
            context=context,
            options=RunOptions(
                jobs=context.jobs, memory=_memory(), fail_fast=arguments.fail_fast, fresh=arguments.fresh
            ),
            board=board,
            tool=f"llamatrix {__version__}",
        )
        report = runner.run()
        report = _whole(report, whole, context)
        write(report, session.dist)
        board.say(f"the report, report.html, and what was built are in {session.dist}")
    return _exit_code(report, runner, interrupted=bool(received))


def _clear(dist: Path) -> None:
    """A report of an earlier run must not stand beside what this one makes, should this one be killed."""
    try:
        dist.mkdir(parents=True, exist_ok=True)
        for pattern in (JSON_NAME, HTML_NAME, f".{JSON_NAME}.*", f".{HTML_NAME}.*", ".*.tar.zst.*"):
            for path in dist.glob(pattern):
                path.unlink()
    except OSError as error:
        msg = f"the folder for bundles cannot be used: {error.strerror or error}"
        raise StoreError(msg, where=str(dist), hint="choose another place with --dist DIR") from error


def _engines(session: Session, store: Store, stack: contextlib.ExitStack) -> dict[EngineName, Engine]:
    """Open the engine taken, and the second one if the plan makes a second build on it."""
    wanted = {session.choice.name}
    wanted |= {task.work.engine for task in session.plan.tasks if isinstance(task.work, CompileWork | BundleWork)}
    engines = {name: open_engine(name, store.root) for name in sorted(wanted)}
    for engine in engines.values():
        stack.callback(engine.close)
    return engines


def _sweep(store: Store, engines: dict[EngineName, Engine]) -> Iterator[str]:
    """Remove what killed runs left. The host engine's scratch also serves making images, so it is swept always."""
    yield from store.sweep()
    sweepers = {EngineName.HOST: open_engine(EngineName.HOST, store.root), **engines}
    for engine in sweepers.values():
        yield from engine.sweep()


def _context(  # noqa: PLR0913  what a run is made of
    session: Session,
    store: Store,
    engines: dict[EngineName, Engine],
    *,
    cancel: Cancel,
    jobs: int | None,
    board: Board,
) -> RunContext:
    return RunContext(
        root=session.root,
        store=store,
        dist=session.dist,
        tasks={task.id: task for task in session.plan.tasks},
        engines=engines,
        line=board.line,
        cancel=cancel,
        jobs=jobs or os.cpu_count() or 1,
        today=session.today,
        emulators={processor: Path(path) for processor, path in session.here.emulators.items()},
    )


def _whole(report: RunReport, whole: Plan, context: RunContext) -> RunReport:
    """Add the cells this run was not asked for, in the matrix's order."""
    asked = {cell.id: cell for cell in report.cells}
    earlier = earlier_cells(context, whole, asked.keys())
    cells = asked | {cell.id: cell for cell in earlier.cells}
    return replace(
        report,
        cells=tuple(cells[planned.cell.id] for planned in whole.cells),
        materials=unique((*report.materials, *earlier.materials)),
    )


def _exit_code(report: RunReport, runner: Runner, *, interrupted: bool) -> int:
    """Give 0, or raise what the run's end means: a failed gate is exit code 1, whatever else happened."""
    asked = {planned.cell.id for planned in runner.plan.cells}
    bad = [cell.id for cell in report.cells if cell.state is CellState.FAILED and cell.id in asked]
    gate = next((error for error in runner.errors if isinstance(error, GateFailedError)), None)
    if gate is not None:
        raise gate
    if interrupted:
        msg = "the run was stopped"
        raise CancelledError(msg, hint="run it again: finished work is kept and not done twice")
    if runner.errors:
        raise runner.errors[0]
    if bad:
        msg = f"{len(bad)} cells failed: {', '.join(bad)}"
        raise GateFailedError(msg, hint="report.html says why")
    runnable = {planned.cell.id for planned in runner.plan.cells if planned.runnable}
    lost = [cell.id for cell in report.cells if cell.state is CellState.NOT_RUN and cell.id in runnable]
    if lost:
        msg = f"the run ended without a verdict for {', '.join(lost)}"
        raise InternalError(msg, hint="this is a bug in llamatrix; report.json shows how far it came")
    return 0


@contextlib.contextmanager
def _signals(cancel: Cancel) -> Iterator[list[int]]:
    """Ctrl-C and a polite kill stop the run in order: engines kill what they started, the report is written."""
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature is Python's
        received.append(number)
        cancel.set()

    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # What is ignored stays ignored: that is how nohup keeps a run going.
    before = {name: signal.signal(name, stop) for name in names if signal.getsignal(name) is not signal.SIG_IGN}
    try:
        yield received
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(total - _RESERVE, total // 2)
