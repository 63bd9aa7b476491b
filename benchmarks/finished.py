"""What a store of real builds has finished, found the way a run finds it: by the content keys of the plan."""

from __future__ import annotations

__all__ = ["COMPILED", "JUDGED", "FinishedCell", "finished_cells", "read_cells"]

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import NotRunError
from benchmarks.setting import ROOT, Setting
from benchmarks.timing import finish

COMPILED = frozenset({"core", "backend"})
JUDGED = COMPILED | {"bundle", "gate"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedCell:
    """A cell of which the store holds the tasks asked for, and no failed gate; ``folders`` are theirs, by task id.

    ``facts`` are what each compile task left: its own seconds above all.
    """

    id: str
    asset: str
    folders: Mapping[str, Path]
    facts: Mapping[str, Mapping[str, Any]]

    def seconds(self, start: str) -> float:
        """Give the wall time of the component whose task id begins so."""
        found = [float(facts["seconds"]) for name, facts in self.facts.items() if name.startswith(start)]
        if len(found) != 1:
            msg = f"{self.id} has {len(found)} components {start}*"
            raise NotRunError(msg)
        return found[0]

    def folder(self, start: str) -> Path:
        """Give the folder of the task whose id begins so."""
        return next(folder for name, folder in self.folders.items() if name.startswith(start))


def finished_cells(setting: Setting, engine: str, *, kinds: frozenset[str] = JUDGED) -> tuple[FinishedCell, ...]:
    """Plan everything on ``engine`` and give the cells of which the store holds every task of these kinds."""
    store = setting.real_store()
    command = ("plan", "--all", "--format", "json", "--engine", engine, "--profile", setting.profile)
    plan = json.loads(finish((sys.executable, "-m", "pipeline", *command), cwd=ROOT))
    return read_cells(plan, store, kinds=kinds)


def read_cells(plan: Mapping[str, Any], store: Path, *, kinds: frozenset[str] = JUDGED) -> tuple[FinishedCell, ...]:
    """Look up every runnable cell of a plan in a store."""
    found = (_cell(cell, store, kinds) for cell in plan["cells"] if cell["runnable"])
    return tuple(cell for cell in found if cell is not None)


def _cell(cell: Mapping[str, Any], store: Path, kinds: frozenset[str]) -> FinishedCell | None:
    folders: dict[str, Path] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    for task in cell["tasks"]:
        kind = task["kind"]
        if kind not in kinds:
            continue
        folder = store / "tasks" / kind / task["key"]
        try:
            left = json.loads((folder / "result.json").read_bytes())
        except (OSError, ValueError):
            return None
        if kind == "gate" and left.get("failed"):
            return None
        folders[task["id"]] = folder
        if kind in COMPILED:
            facts[task["id"]] = left
    return FinishedCell(id=cell["id"], asset=cell["asset"], folders=folders, facts=facts)
