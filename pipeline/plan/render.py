"""Shows a plan: a table for people, JSON for programs, a job matrix for GitHub Actions."""

from __future__ import annotations

__all__ = ["PLAN_SCHEMA", "github_matrix", "plan_json", "plan_table"]

import json

import msgspec

from pipeline.plan.records import Plan, PlannedCell

PLAN_SCHEMA = 1
_RUNNERS = {
    "linux-x86_64": "ubuntu-24.04",
    "linux-aarch64": "ubuntu-24.04",
    "darwin-arm64": "macos-15",
    "darwin-x86_64": "macos-15-intel",
}


def plan_json(plan: Plan) -> str:
    """Give the plan as JSON, in the shape that docs/plan-json.md describes."""
    tasks = {task.id: task for task in plan.tasks}
    document = {
        "schema": PLAN_SCHEMA,
        "version": plan.version,
        "profile": plan.profile,
        "engine": plan.engine,
        "engine_reason": plan.engine_reason,
        "machine": plan.machine,
        "assets": list(plan.assets),
        "cells": [
            {
                "id": planned.cell.id,
                "project": planned.cell.project,
                "platform": planned.cell.platform,
                "variant": planned.cell.variant,
                "engine": planned.engine,
                "runnable": planned.runnable,
                "reason": planned.reason,
                "asset": planned.asset,
                "deadline_s": planned.deadline,
                "tasks": [
                    {
                        "id": name,
                        "kind": tasks[name].kind,
                        "key": tasks[name].key,
                        "needs": list(tasks[name].needs),
                    }
                    for name in planned.tasks
                ],
            }
            for planned in plan.cells
        ],
        "left_out": [{"id": left.id, "reason": left.reason, "where": left.where} for left in plan.left_out],
    }
    # msgspec rather than json: with an indent, json falls back to Python code that is ten times slower.
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def github_matrix(plan: Plan) -> str:
    """Give the runnable cells as a job matrix, on one line, as ``$GITHUB_OUTPUT`` wants it.

    Cells that share a core go to one job: on two jobs the core would be compiled twice.
    """
    groups: dict[str, list[PlannedCell]] = {}
    for planned in plan.cells:
        if planned.runnable:
            groups.setdefault(f"{planned.cell.project}/{planned.cell.platform}", []).append(planned)
    include = [
        {
            "name": name,
            "only": " ".join(f"--only {planned.cell.id}" for planned in cells),
            "runs-on": _RUNNERS.get(cells[0].cell.platform, "ubuntu-24.04"),
            "timeout-minutes": int(max(planned.deadline for planned in cells) // 60) + 10,
            "assets": [planned.asset for planned in cells],
        }
        for name, cells in groups.items()
    ]
    return json.dumps({"include": include}, separators=(",", ":")) + "\n"


def plan_table(plan: Plan, *, left_out: bool = True) -> str:
    """Give the plan as text: what is built and where, what is not and why."""
    lines = [
        f"llamatrix {plan.version}, {plan.profile} profile, on {plan.machine}",
        plan.engine_reason,
        "",
    ]
    width = max([len(planned.cell.id) for planned in plan.cells], default=4)
    for planned in plan.cells:
        if planned.runnable:
            note = f"{planned.engine}  within {_span(planned.deadline)}  {planned.asset}"
        else:
            note = f"not here: {planned.reason}"
        lines.append(f"  {planned.cell.id:<{width}}  {note}")
    if not plan.cells:
        lines.append("  no cells")
    if left_out and plan.left_out:
        reasons: dict[str, list[str]] = {}
        for left in plan.left_out:
            reasons.setdefault(f"{left.reason} ({left.where})", []).append(left.id)
        lines += ["", f"left out by matrix.yaml: {len(plan.left_out)}"]
        lines += [f"  {reason}: {', '.join(ids)}" for reason, ids in reasons.items()]
    runnable = len(plan.assets)
    lines += ["", f"{runnable} to build in {len(plan.tasks)} tasks, {len(plan.cells) - runnable} not here"]
    return "\n".join(lines) + "\n"


def _span(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m"  # noqa: PLR2004  minutes an hour
