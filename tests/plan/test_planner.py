from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from pipeline.matrix.expand import expand
from pipeline.model import EngineName, ProfileName, TaskKind
from pipeline.plan.here import Here
from pipeline.plan.planner import Planner
from pipeline.plan.records import CompileWork, GateWork, Plan
from tests.matrix.builders import MATRIX, load_text, matrix_text

ROOT = Path(__file__).resolve().parents[2]
CPU = "llama.cpp/linux-x86_64/cpu"
VULKAN = "llama.cpp/linux-x86_64/vulkan"
BOTH = (EngineName.DOCKER, EngineName.HOST)


def _here(engine: EngineName = EngineName.DOCKER, engines: tuple[EngineName, ...] = BOTH, **facts: object) -> Here:
    defaults: dict[str, object] = {"platform": "linux-x86_64", "engine_reason": "a test"}
    return Here(engine=engine, engines=engines, **(defaults | facts))  # type: ignore[arg-type]


def _plan(
    text: str = MATRIX, *, here: Here | None = None, profile: ProfileName = ProfileName.LOCAL, **options: object
) -> Plan:
    matrix = load_text(text)
    planner = Planner(
        matrix=matrix.file,
        expansion=expand(matrix),
        here=here or _here(),
        root=ROOT,
        profile=profile,
        **options,  # type: ignore[arg-type]
    )
    return planner.plan(None)


def _keys(plan: Plan) -> dict[str, str]:
    return {task.id: task.key for task in plan.tasks}


def _changed(before: Plan, after: Plan) -> set[str]:
    old, new = _keys(before), _keys(after)
    return {name.split(":")[0] for name in old if new.get(name) != old[name]}


def test_a_plan_names_every_asset_and_task_before_anything_runs() -> None:
    plan = _plan()

    assert plan.assets == (
        "llama.cpp-0.1.0-local-linux-x86_64-cpu.tar.zst",
        "llama.cpp-0.1.0-local-linux-x86_64-vulkan.tar.zst",
    )
    assert [task.id for task in plan.tasks if task.kind is TaskKind.CORE] == ["core:llama.cpp/linux-x86_64/core@docker"]


def test_tasks_come_after_what_they_need_and_know_their_cells() -> None:
    plan = _plan(profile=ProfileName.RELEASE)
    seen: set[str] = set()

    for task in plan.tasks:
        assert set(task.needs) <= seen
        assert task.cells
        seen.add(task.id)
    core = next(task for task in plan.tasks if task.kind is TaskKind.CORE)
    assert core.cells == (CPU, VULKAN)


def test_the_same_inputs_give_the_same_keys() -> None:
    assert _keys(_plan()) == _keys(_plan())


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (("commit: 0c1e", "commit: 0c1f"), {"source", "core", "backend", "bundle", "gate"}),
        (("build: {suite: trixie}", "build: {suite: sid}"), {"image", "core", "backend", "bundle", "gate"}),
        (('GGML_VULKAN: "ON"', 'GGML_VULKAN: "1"'), {"backend", "bundle", "gate"}),
        (("max: 30MB", "max: 31MB"), {"gate"}),
        (("compression: 3", "compression: 4"), {"bundle", "gate"}),
        (("version: 0.1.0", "version: 0.1.1"), {"bundle", "gate"}),
        (("target: x86_64-linux-gnu.2.28", "target: x86_64-linux-gnu.2.31"), {"core", "backend", "bundle", "gate"}),
    ],
)
def test_a_key_changes_with_what_it_stands_for_and_with_nothing_else(edit: tuple[str, str], changed: set[str]) -> None:
    assert _changed(_plan(), _plan(matrix_text(edit))) == changed


def test_a_core_that_any_engine_can_build_has_one_recipe_whatever_the_image() -> None:
    def recipe(text: str) -> str:
        work = next(task.work for task in _plan(text).tasks if task.kind is TaskKind.CORE)
        assert isinstance(work, CompileWork)
        return work.recipe_key

    assert recipe(MATRIX) == recipe(matrix_text(("build: {suite: trixie}", "build: {suite: sid}")))


def test_a_cell_another_engine_is_needed_for_says_so() -> None:
    plan = _plan(here=_here(EngineName.HOST))

    cells = {planned.cell.id: planned for planned in plan.cells}
    assert cells[CPU].runnable
    assert not cells[VULKAN].runnable
    assert cells[VULKAN].reason == "needs Docker: its vulkan component is not built on the host engine"
    assert cells[VULKAN].tasks == ()


def test_a_machine_the_toolchain_does_not_run_on_says_so() -> None:
    plan = _plan(here=_here(platform="darwin-arm64"))

    assert {planned.reason for planned in plan.cells} == {"needs a machine that runs the zig toolchain: linux-x86_64"}


def test_a_cell_that_still_needs_something_says_what() -> None:
    text = matrix_text(("      backends: [vulkan]\n", '      backends: [vulkan]\n      needs: "a moon"\n'))

    cells = {planned.cell.id: planned for planned in _plan(text).cells}

    assert cells[VULKAN].reason == "needs a moon"


def test_only_the_release_profile_makes_a_second_build() -> None:
    def twins(profile: ProfileName, here: Here | None = None) -> list[tuple[str | None, str | None]]:
        plan = _plan(profile=profile, here=here)
        return [(task.work.twin, task.work.twin_reason) for task in plan.tasks if isinstance(task.work, GateWork)][:1]

    assert twins(ProfileName.RELEASE) == [(f"bundle:{CPU}@host", None)]
    assert twins(ProfileName.LOCAL) == [(None, "the local profile makes no second build; --profile release does")]
    alone = _here(EngineName.HOST, (EngineName.HOST,))
    assert twins(ProfileName.RELEASE, alone) == [
        (None, "a second build needs a second engine, and only host answers here")
    ]


def test_a_profile_decides_which_cpu_variants_are_built() -> None:
    local = next(task.work for task in _plan().tasks if task.kind is TaskKind.CORE)

    assert isinstance(local, CompileWork)
    assert local.cpu_variants == ("x64", "haswell")
    release = next(task.work for task in _plan(profile=ProfileName.RELEASE).tasks if task.kind is TaskKind.CORE)
    assert isinstance(release, CompileWork)
    assert release.cpu_variants == ("x64", "haswell", "zen4")


def test_the_fake_engine_needs_no_source_toolchain_or_image() -> None:
    plan = _plan(here=_here(EngineName.FAKE, (EngineName.FAKE,)))

    assert {task.kind for task in plan.tasks} == {TaskKind.CORE, TaskKind.BACKEND, TaskKind.BUNDLE, TaskKind.GATE}


def test_a_machine_that_learns_to_emulate_judges_again_and_compiles_nothing() -> None:
    assert _changed(_plan(), _plan(here=_here(emulators={"aarch64": "qemu-aarch64-static"}))) == {"gate"}


def test_a_new_waiver_judges_again_and_compiles_nothing() -> None:
    text = matrix_text(("defaults:\n", 'defaults:\n  waivers: [{gate: smoke, reason: "known", until: "2026-12-01"}]\n'))

    assert _changed(_plan(), _plan(text)) == {"gate"}
    assert _changed(_plan(text), _plan(text.replace("known", "known better"))) == {"gate"}


def test_an_expired_waiver_judges_again() -> None:
    text = matrix_text(("defaults:\n", 'defaults:\n  waivers: [{gate: size, reason: "known", until: "2026-12-01"}]\n'))
    before, on, after = (
        _plan(text, today=datetime.date(2026, month, day)) for month, day in ((11, 1), (12, 1), (12, 2))
    )

    assert _changed(before, on) == set()
    assert _changed(on, after) == {"gate"}


def test_a_local_source_changes_what_is_built_from_it(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text("project(x)")
    pinned = _plan()
    local = _plan(local={"llama.cpp": tmp_path})

    assert _changed(pinned, local) == {"source", "core", "backend", "bundle", "gate"}
    (tmp_path / "CMakeLists.txt").write_text("project(y)")
    assert _keys(local) != _keys(_plan(local={"llama.cpp": tmp_path}))
