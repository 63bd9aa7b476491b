"""The parts of single benchmarks that decide what a number means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bundle_reuse import shared_share
from benchmarks.finished import COMPILED, read_cells
from benchmarks.inference import read_speed, unsteady
from benchmarks.plainbuild import plain_build
from benchmarks.plan_process import heavy_imports
from benchmarks.plan_scale import matrix_text
from benchmarks.rows import NotRunError
from benchmarks.setting import Setting
from benchmarks.witness import Seen
from pipeline.matrix.expand import expand
from tests.matrix.builders import load_text

PLAN: dict[str, Any] = {
    "cells": [
        {
            "id": "llama.cpp/linux-x86_64/all",
            "asset": "a.tar.zst",
            "runnable": True,
            "tasks": [
                {"id": "source:llama.cpp", "kind": "source", "key": "s"},
                {"id": "core:llama.cpp/linux-x86_64/core@host", "kind": "core", "key": "c"},
                {"id": "gate:llama.cpp/linux-x86_64/all", "kind": "gate", "key": "g"},
            ],
        },
        {"id": "llama.cpp/linux-x86_64/cuda12", "asset": "b.tar.zst", "runnable": False, "tasks": []},
    ]
}


def keep(store: Path, kind: str, key: str, facts: dict[str, object]) -> None:
    folder = store / "tasks" / kind / key
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(facts), encoding="utf-8")


def test_a_cell_is_finished_when_every_task_is_in_the_store(tmp_path: Path) -> None:
    keep(tmp_path, "core", "c", {"seconds": 120.0})
    assert read_cells(PLAN, tmp_path) == ()

    keep(tmp_path, "gate", "g", {"failed": []})
    (cell,) = read_cells(PLAN, tmp_path)

    assert cell.seconds("core:") == 120
    assert cell.folder("gate:") == tmp_path / "tasks" / "gate" / "g"
    with pytest.raises(NotRunError, match="0 components backend:"):
        cell.seconds("backend:")


def test_a_cell_whose_gate_failed_is_not_finished(tmp_path: Path) -> None:
    keep(tmp_path, "core", "c", {"seconds": 120.0})
    keep(tmp_path, "gate", "g", {"failed": ["abi"]})

    assert read_cells(PLAN, tmp_path) == ()
    assert len(read_cells(PLAN, tmp_path, kinds=COMPILED)) == 1


def test_without_a_store_nothing_real_is_measured(tmp_path: Path) -> None:
    setting = Setting(work=tmp_path, say=lambda _: None)
    with pytest.raises(NotRunError, match="no store was given"):
        setting.real_store()
    with pytest.raises(NotRunError, match="holds no finished work"):
        Setting(work=tmp_path, say=lambda _: None, store=tmp_path).real_store()


def test_a_plain_build_is_not_made_to_be_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(NotRunError, match="--work DIR makes it and keeps it"):
        plain_build(Setting(work=tmp_path, say=lambda _: None, source=tmp_path), "x", options=(), targets=())


def test_sharing_is_compared_with_three_whole_builds() -> None:
    derived = shared_share(core=10, vulkan=5)
    assert (derived.shared, derived.whole) == (15, 40)
    assert derived.ratio == 0.375
    assert shared_share(core=10, vulkan=5, with_vulkan=14).whole == 38


def test_heavy_packages_are_found_below_their_names() -> None:
    assert heavy_imports(["pipeline.cli", "docker.api.client", "lief._lief", "dockerfile"]) == ["docker", "lief"]
    assert heavy_imports(["pipeline.cli", "yaml"]) == []


def test_the_generated_matrix_is_valid_and_has_as_many_cells_as_it_says() -> None:
    expansion = expand(load_text(matrix_text(100)))

    assert len(expansion.cells) == 100
    assert all(cell.needs is None for cell in expansion.cells)


def test_the_witness_counts_archives_programs_and_requests() -> None:
    seen = Seen()
    seen.hook("open", (Path("/store/a.tar.zst"), "rb", 0))
    seen.hook("open", (b"/store/.a.tar.zst.partial", "rb", 0))
    seen.hook("open", ("/store/result.json", "rb", 0))
    seen.hook("open", (3, "rb", 0))
    seen.hook("subprocess.Popen", ("/bin/sh", ["sh"], None, None))
    seen.hook("os.system", (b"true",))
    seen.hook("http.client.send", (None, b"POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\n"))
    seen.hook("http.client.send", (None, b"GET /version HTTP/1.1\r\n"))

    assert seen.archives == ["/store/a.tar.zst", "/store/.a.tar.zst.partial"]
    assert seen.programs == ["/bin/sh", "true"]
    assert seen.requests == ["POST /v1.41/containers/create HTTP/1.1"]


def test_the_speed_and_the_variant_are_read_from_what_llama_bench_prints() -> None:
    output = json.dumps(
        [
            {"n_prompt": 128, "n_gen": 0, "avg_ts": 90.5},
            {"n_prompt": 0, "n_gen": 32, "avg_ts": 12.25},
        ]
    )
    loaded = "load_backend: loaded CPU backend from /opt/x/libggml-cpu-zen4.so\n"

    speed = read_speed(output, f"load_backend: loaded RPC backend from /opt/x/libggml-rpc.so\n{loaded}")
    assert (speed.prompt, speed.generation, speed.variant) == (90.5, 12.25, "zen4")

    with pytest.raises(NotRunError, match="which CPU variant"):
        read_speed(output, "")


def test_a_busy_machine_gives_no_verdict_on_speed() -> None:
    assert unsteady([100, 140]) is None
    assert unsteady([15.4, 295]) == "the machine is busy: one program gave 15.40 to 295 tokens a second"
