"""How long a second build takes when nothing has changed, and that it really does nothing."""

from __future__ import annotations

__all__ = ["measure"]

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.finished import finished_cells
from benchmarks.rows import Goal, NotRunError, Row, not_run, paired, row
from benchmarks.setting import ROOT, Setting
from benchmarks.timing import alternating, finish, process

_GOAL = Goal(limit=1.0)
_NONE = Goal(limit=0)


def measure(setting: Setting) -> list[Row]:
    """Measure on forged bundles always, and on the store's real ones when there are any."""
    work = setting.folder("second_run")
    rows = _second(
        setting, "forged", ("--all", "--engine", "fake", "--store", str(work / "store"), "--dist", str(work / "dist"))
    )
    for engine in ("docker", "host"):
        try:
            rows += _real(setting, engine, work)
        except NotRunError as error:
            rows.append(not_run(f"second build-matrix, {engine} bundles", str(error), " s", goal=_GOAL))
    return rows


def _real(setting: Setting, engine: str, work: Path) -> list[Row]:
    cells = finished_cells(setting, engine)
    if not cells:
        msg = f"the store holds no finished cell of the {setting.profile} profile by the {engine} engine"
        raise NotRunError(msg)
    asked = [part for cell in cells for part in ("--only", cell.id)]
    places = ("--store", str(setting.real_store()), "--dist", str(work / f"dist-{engine}"))
    return _second(
        setting, f"{len(cells)} {engine}", (*asked, "--engine", engine, "--profile", setting.profile, *places)
    )


def _second(setting: Setting, kind: str, options: Sequence[str]) -> list[Row]:
    command = ("build-matrix", *options)
    finish((sys.executable, "-m", "pipeline", *command), cwd=ROOT)
    times = alternating(
        {
            "again": process((sys.executable, "-m", "pipeline", *command), cwd=ROOT),
            "nothing": process((sys.executable, "-c", "pass"), cwd=ROOT),
        },
        runs=setting.repeat(9),
    )
    ran, archives, started = _witnessed(setting, command)
    return [
        row(f"second build-matrix, {kind} bundles, wall time", times["again"], " s", goal=_GOAL),
        row(f"the same / python -c pass, {kind} bundles", paired(times["again"], times["nothing"]), " x"),
        row(f"tasks it ran, {kind} bundles", [len(ran)], goal=_NONE, note=", ".join(ran[:4])),
        row(f"archives it opened, {kind} bundles", [len(archives)], goal=_NONE, note=", ".join(archives[:4])),
        row(
            f"programs and containers it started, {kind} bundles",
            [len(started)],
            goal=_NONE,
            note=", ".join(started[:4]) or "seen by an audit hook of the interpreter",
        ),
    ]


def _witnessed(setting: Setting, command: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Run once more under a witness: the tasks that were started, archives opened, programs and requests."""
    place = setting.folder("second_run") / "witness.json"
    place.unlink(missing_ok=True)
    finish((sys.executable, "-m", "benchmarks.witness", str(place), *command), cwd=ROOT)
    seen = json.loads(place.read_bytes())
    dist = Path(command[command.index("--dist") + 1])
    newest = max(dist.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    tasks = json.loads(newest.read_bytes())["tasks"]
    ran = [task["id"] for task in tasks if task.get("started") is not None]
    return ran, seen["archives"], seen["programs"] + seen["requests"]
