"""What components were made with stays with them: through the store, packing again, and later images."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.build import _whole
from pipeline.engines.fake import FakeEngine
from pipeline.engines.images import ImageRef
from pipeline.errors import ImageError
from pipeline.gates.base import Subject, passed
from pipeline.model import EngineName, TaskState, Verdict
from pipeline.plan.here import Here
from pipeline.plan.planner import Planner
from pipeline.plan.records import CompileWork, Task
from pipeline.report.document import from_json, to_json
from pipeline.report.record import CellState, Material, RunReport
from pipeline.run.context import RunContext
from pipeline.run.earlier import earlier_cells
from pipeline.run.materials import complete, kept_materials, material_of_image, material_of_toolchain, unique
from pipeline.run.runner import Runner
from pipeline.run.supply import ImageReference, LocalToolchain, SourceTree
from pipeline.toolchain import Lock
from tests.run.builders import Rig

CPU = "llama.cpp/linux-x86_64/cpu"
VULKAN = "llama.cpp/linux-x86_64/vulkan"
CORE = "core:llama.cpp/linux-x86_64/core@docker"
LOCK = Lock(sha256="ab" * 32, wheels=(("cmake", "4.4.4"), ("ziglang", "0.17.0")))
ZIG = material_of_toolchain("zig", LOCK, origin="containers/toolchain/zig.txt")


def _image(name: str, digit: str, version: str = "1") -> Material:
    return material_of_image(
        ImageRef(
            name=name,
            key="key",
            reference=f"sha256:{digit * 64}",
            origin="Debian trixie",
            packages={"make": version, "bash": "5"},
        )
    )


class _Docker(FakeEngine):
    """Forges what a Docker engine would compile."""

    name = EngineName.DOCKER


class _Host(FakeEngine):
    name = EngineName.HOST


@dataclass(kw_only=True)
class _Workshop:
    """Runs whose supplies are made up: ``images`` is what the engine has of each name today."""

    rig: Rig
    engine: type[FakeEngine] = _Docker
    images: dict[str, Material] = field(default_factory=dict)
    supplied: list[str] = field(default_factory=list)
    compiled: list[str] = field(default_factory=list)

    def supply(self, context: RunContext, task: Task, log: Path) -> TaskState:
        self.supplied.append(task.id)
        name = task.id.partition(":")[2]
        made: dict[str, Callable[[], object]] = {
            "source": lambda: SourceTree(path=log.parent, commit="c" * 40, digest="d" * 64, proven=True, epoch=1),
            "toolchain": lambda: LocalToolchain(path=log.parent, material=ZIG),
            "image": lambda: ImageReference(reference=f"sha256:{self.images[name].digest}", material=self.images[name]),
        }
        context.results[task.id] = made[task.kind.value]()
        return TaskState.DONE

    def planner(self) -> Planner:
        planner = Rig.planner(self.rig)
        planner.here = Here(
            platform="linux-x86_64", engine=self.engine.name, engine_reason="a test", engines=(self.engine.name,)
        )
        return planner

    def runner(self, *selected: str) -> Runner:
        runner = self.rig.runner()
        runner.plan = self.planner().plan(selected or None)
        runner.context.tasks = {task.id: task for task in runner.plan.tasks}
        engine = self.engine()
        runner.context.engines = {engine.name: engine}
        return runner

    def run(self, *selected: str) -> RunReport:
        self.supplied.clear()
        report = self.runner(*selected).run()
        self.compiled = [
            task.id for task in report.tasks if task.kind in {"core", "backend"} and task.state is TaskState.DONE
        ]
        return report

    def entry(self, name: str) -> Path:
        task = next(task for task in self.runner().plan.tasks if task.id == name)
        return self.rig.folder / "store" / "tasks" / task.kind / task.key


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Workshop:
    images = {name: _image(name, digit) for name, digit in (("build", "1"), ("floor", "2"), ("lavapipe", "3"))}
    shop = _Workshop(rig=Rig(folder=tmp_path), images=images)

    def judge(subject: Subject, today: object) -> tuple[Verdict, ...]:
        return (passed("size", "small"),)

    monkeypatch.setattr("pipeline.run.runner.supply", shop.supply)
    monkeypatch.setattr("pipeline.gates.suite.judge", judge)
    return shop


def _materials(report: RunReport) -> dict[str, tuple[str, ...]]:
    return {cell.id: cell.materials for cell in report.cells}


def test_an_image_is_named_by_what_is_in_it() -> None:
    assert _image("build", "1") == Material(
        id="image:build@111111111111",
        kind="image",
        name="build",
        digest="1" * 64,
        origin="Debian trixie",
        packages=(("bash", "5"), ("make", "1")),
    )


@pytest.mark.parametrize("reference", ["", "llamatrix/build:1", "sha256:" + "0" * 64, "sha256:" + "1" * 63, "1" * 64])
def test_an_image_whose_id_pins_nothing_is_refused(reference: str) -> None:
    image = ImageRef(name="build", key="key", reference=reference, origin="Debian trixie")

    with pytest.raises(ImageError, match="which is no SHA-256 of its contents") as caught:
        material_of_image(image)

    assert caught.value.where == "image build"


def test_a_toolchain_is_named_by_its_lock() -> None:
    assert (ZIG.id, ZIG.kind, ZIG.digest) == ("toolchain:zig@abababababab", "toolchain", "ab" * 32)
    assert (ZIG.origin, ZIG.packages) == ("containers/toolchain/zig.txt", LOCK.wheels)


def test_each_material_is_told_once_in_the_order_of_ids() -> None:
    one, two = _image("a", "1"), _image("a", "2")

    assert unique((ZIG, two, one, two, ZIG)) == (one, two, ZIG)


@pytest.mark.parametrize(
    ("engine", "materials", "right"),
    [
        (EngineName.DOCKER, (_image("a", "1"), ZIG), True),
        (EngineName.DOCKER, (ZIG,), False),
        (EngineName.DOCKER, (), False),
        (EngineName.DOCKER, (_image("a", "1"), _image("b", "2"), ZIG), True),
        (EngineName.DOCKER, (_image("a", "1"),), False),
        (EngineName.HOST, (ZIG,), True),
        (EngineName.HOST, (), False),
        (EngineName.HOST, (_image("a", "1"), ZIG), False),
        (EngineName.FAKE, (), True),
        (EngineName.FAKE, (ZIG,), False),
    ],
)
def test_no_kind_of_material_is_missing(engine: EngineName, materials: tuple[Material, ...], right: bool) -> None:
    assert complete(engine, materials) is right


def test_an_older_entry_has_no_materials() -> None:
    with pytest.raises(KeyError):
        kept_materials({"build_id": "x"})


def test_cells_carry_the_materials_of_all_their_compiles_and_none_of_gates(shop: _Workshop) -> None:
    shop.rig.text = shop.rig.text.replace(
        "  floor: {suite", "  vulkan: {suite: trixie, packages: [glslc]}\n  floor: {suite"
    )
    shop.rig.text = shop.rig.text.replace(
        "image: build\n    engines: [docker]\n", "image: vulkan\n    engines: [docker]\n"
    )
    shop.images["vulkan"] = _image("vulkan", "4")

    report = shop.run()

    assert {cell.state for cell in report.cells} == {CellState.PASSED}
    assert _materials(report) == {
        CPU: ("image:build@111111111111", "toolchain:zig@abababababab"),
        VULKAN: ("image:build@111111111111", "image:vulkan@444444444444", "toolchain:zig@abababababab"),
    }
    assert report.materials == (_image("build", "1"), _image("vulkan", "4"), ZIG)
    assert {"image:floor", "image:lavapipe"} <= set(shop.supplied)
    assert from_json(to_json(report)) == report


def test_the_host_has_no_image(shop: _Workshop) -> None:
    shop.engine = _Host

    report = shop.run()

    assert _materials(report) == {CPU: (ZIG.id,), VULKAN: ()}
    assert report.materials == (ZIG,)


def test_what_is_forged_is_made_with_nothing(tmp_path: Path) -> None:
    report = Rig(folder=tmp_path).run()

    assert _materials(report) == {CPU: (), VULKAN: ()}
    assert report.materials == ()


def test_a_cached_component_keeps_what_it_was_really_made_with(shop: _Workshop) -> None:
    first = shop.run()
    shop.images["build"] = _image("build", "9", version="2")

    second = shop.run()
    for path in (shop.rig.folder / "store" / "tasks" / "bundle").iterdir():
        shutil.rmtree(path)
    third = shop.run()

    assert shop.compiled == []
    assert first.materials == second.materials == third.materials == (_image("build", "1"), ZIG)
    assert _materials(third) == _materials(first)


def test_an_archive_that_is_read_again_keeps_its_materials(shop: _Workshop) -> None:
    first = shop.run()
    for path in (shop.rig.folder / "dist").glob("*.tar.zst"):
        path.touch()

    assert shop.run().materials == first.materials
    assert shop.run().materials == first.materials


def test_a_bundle_keeps_its_materials_when_its_core_is_compiled_again_for_a_gate(shop: _Workshop) -> None:
    first = shop.run()
    shutil.rmtree(shop.entry(CORE))
    shutil.rmtree(shop.entry(f"gate:{CPU}"))
    shop.images["build"] = _image("build", "9")

    second = shop.run()

    assert shop.compiled == [CORE]
    assert second.materials == first.materials


@pytest.mark.parametrize("kept", [None, [], ["x"], "toolchain"])
@pytest.mark.parametrize("bundles", [True, False])
def test_an_entry_that_cannot_say_what_it_was_made_with_is_made_again(
    shop: _Workshop, kept: object, bundles: bool
) -> None:
    shop.run()
    names = [CORE, f"bundle:{CPU}@docker", f"bundle:{VULKAN}@docker"] if bundles else [CORE]
    for name in names:
        place = shop.entry(name) / "result.json"
        facts = json.loads(place.read_text())
        if kept is None:
            del facts["materials"]
        else:
            facts["materials"] = [found for found in facts["materials"] if found["kind"] == kept] or kept
        place.write_text(json.dumps(facts))
    for name in (CPU, VULKAN):
        shutil.rmtree(shop.entry(f"gate:{name}"))
    shop.images["build"] = _image("build", "9")

    report = shop.run()

    assert shop.compiled == [CORE]
    assert {cell.state for cell in report.cells} == {CellState.PASSED}
    digit = "9" if bundles else "1"
    assert _materials(report)[CPU] == (f"image:build@{digit * 12}", ZIG.id)


def test_earlier_cells_carry_their_materials(shop: _Workshop) -> None:
    first = shop.run()
    shop.images["build"] = _image("build", "9")
    whole = shop.runner().plan

    runner = shop.runner(VULKAN)
    report = runner.run()
    earlier = earlier_cells(runner.context, whole, [VULKAN])
    both = _whole(report, whole, runner.context)

    assert [(cell.id, cell.materials) for cell in earlier.cells] == [(CPU, ("image:build@111111111111", ZIG.id))]
    assert earlier.materials == first.materials
    assert (both.cells, both.materials) == (first.cells, first.materials)


def test_earlier_cells_without_verdicts_bring_no_materials(shop: _Workshop) -> None:
    shop.run()
    shutil.rmtree(shop.entry(f"gate:{CPU}"))

    earlier = earlier_cells(shop.runner(VULKAN).context, shop.runner().plan, [VULKAN])

    assert [(cell.state, cell.materials) for cell in earlier.cells] == [(CellState.NOT_RUN, ())]
    assert earlier.materials == ()


def test_a_cell_whose_compile_failed_has_no_materials(shop: _Workshop) -> None:
    runner = shop.runner()
    task = next(task for task in runner.plan.tasks if task.id == CORE)
    assert isinstance(task.work, CompileWork)
    broken = dataclasses.replace(task.work, scripts="edited")
    runner.context.tasks = {**runner.context.tasks, CORE: dataclasses.replace(task, work=broken)}

    report = runner.run()

    assert _materials(report) == {CPU: (), VULKAN: ()}
    assert report.materials == ()
