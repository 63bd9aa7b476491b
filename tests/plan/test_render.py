from __future__ import annotations

import json

from pipeline.model import EngineName
from pipeline.plan.render import github_matrix, plan_json, plan_table
from tests.plan.test_planner import CPU, VULKAN, _here, _plan


def test_the_json_has_the_documented_shape() -> None:
    document = json.loads(plan_json(_plan()))

    assert document["schema"] == 1
    assert set(document) == {
        "schema", "version", "profile", "engine", "engine_reason", "machine", "assets", "cells", "left_out",
    }  # fmt: skip
    cell = document["cells"][0]
    assert set(cell) == {
        "id", "project", "platform", "variant", "engine", "runnable", "reason", "asset", "deadline_s", "tasks",
    }  # fmt: skip
    assert all(set(task) == {"id", "kind", "key", "needs"} for task in cell["tasks"])


def test_each_cell_lists_all_its_tasks_in_an_order_that_runs() -> None:
    for cell in json.loads(plan_json(_plan()))["cells"]:
        seen: set[str] = set()
        for task in cell["tasks"]:
            assert set(task["needs"]) <= seen
            seen.add(task["id"])
        assert f"gate:{cell['id']}" in seen


def test_the_table_says_what_is_built_and_why_the_rest_is_not() -> None:
    table = plan_table(_plan(here=_here(EngineName.HOST)))

    assert f"{CPU}     host" in table
    assert f"{VULKAN}  not here: needs Docker" in table
    assert "1 to build in 6 tasks" not in table
    assert "1 not here" in table


def test_the_github_matrix_keeps_cells_of_one_core_in_one_job() -> None:
    jobs = json.loads(github_matrix(_plan()))["include"]

    assert len(jobs) == 1
    assert jobs[0]["name"] == "llama.cpp/linux-x86_64"
    assert jobs[0]["only"] == f"--only {CPU} --only {VULKAN}"
    assert jobs[0]["timeout-minutes"] > 60
    assert github_matrix(_plan()).count("\n") == 1
