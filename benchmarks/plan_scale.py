"""How planning grows: a generated matrix of 10,000 cells, from its text to the plan as JSON."""

from __future__ import annotations

__all__ = ["exponent", "matrix_text", "measure"]

import math
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.rows import Goal, NotRunError, Row, paired, row
from benchmarks.setting import ROOT, Setting
from benchmarks.timing import alternating, process, stopwatch
from pipeline.cli import parser
from pipeline.plan.render import plan_json
from pipeline.session import Session

_PLATFORMS = {"linux-x86_64": "x86_64", "linux-aarch64": "aarch64"}
_VARIANTS = 50
_SMALL, _LARGE = 1_000, 10_000
_GPU = "variant1"  # a backend component is named after a variant


def measure(setting: Setting) -> list[Row]:
    """Plan 1,000 and 10,000 cells in turns: components, cells and text all grow by ten."""
    files = {count: _write(setting, count) for count in (_SMALL, _LARGE)}
    runs = setting.repeat(5)
    command = (sys.executable, "-m", "pipeline", "plan", "--all", "--engine", "host", "--format", "json")
    whole = alternating({"plan": process((*command, "--matrix", str(files[_LARGE])), cwd=ROOT)}, runs=runs)
    times = alternating({str(count): stopwatch(_planning(file, count)) for count, file in files.items()}, runs=runs)
    small, large = times[str(_SMALL)], times[str(_LARGE)]
    growth = paired(large, small)
    kilobytes = files[_LARGE].stat().st_size // 1000
    return [
        row(f"plan of {_LARGE:,} cells, whole process", whole["plan"], " s", goal=Goal(limit=2.0),
            note=f"{kilobytes} kB of YAML, read strictly; load, expand, plan, JSON"),
        row(f"{_LARGE:,} cells, without starting Python", large, " s"),
        row(f"{_SMALL:,} cells, without starting Python", small, " s"),
        row(f"time({_LARGE:,}) / time({_SMALL:,})", growth, " x", note="ten times the cells"),
        row("exponent of the growth (1: linear)", [exponent(ratio, _LARGE / _SMALL) for ratio in growth],
            goal=Goal(limit=1.1)),
    ]  # fmt: skip


def exponent(growth: float, factor: float) -> float:
    """Give ``e`` such that ``factor`` times the input takes ``factor ** e`` times as long."""
    return math.log(growth) / math.log(factor)


def _write(setting: Setting, cells: int) -> Path:
    folder = setting.folder(f"plan_scale/{cells}")
    if not (folder / "containers").exists():
        (folder / "containers").symlink_to(ROOT / "containers")
    path = folder / "matrix.yaml"
    path.write_text(matrix_text(cells), encoding="utf-8")
    return path


def _planning(matrix: Path, cells: int) -> Callable[[], str]:
    arguments = parser().parse_args(["plan", "--all", "--engine", "host", "--matrix", str(matrix)])

    def plan() -> str:
        session = Session.open(arguments)
        runnable = sum(cell.runnable for cell in session.plan.cells)
        if runnable != cells:
            msg = f"the generated matrix has {runnable} cells that can be built, not {cells}"
            raise NotRunError(msg)
        return plan_json(session.plan)

    return plan


def matrix_text(cells: int) -> str:
    """Write a matrix of so many cells: every platform of every project has a core and a backend of its own."""
    projects = [f"project{number}" for number in range(cells // (len(_PLATFORMS) * _VARIANTS))]
    variants = [f"variant{number}" for number in range(_VARIANTS)]
    lines = [
        "schema: 1",
        "version: 0.1.0",
        "axes:",
        f"  project: [{', '.join(projects)}]",
        f"  platform: [{', '.join(_PLATFORMS)}]",
        f"  variant: [{', '.join(variants)}]",
        "platforms:",
        *(f"  {name}: {{os: linux, arch: {arch}, target: {arch}-linux-gnu}}" for name, arch in _PLATFORMS.items()),
        "variants:",
        *(f"  {name}: {{backend: {_family(name)}, description: generated}}" for name in variants),
        "projects:",
        *(f"  {name}: {{source: source, description: generated}}" for name in projects),
        "sources:",
        f"  source: {{version: 1.0.0, commit: {'ab' * 20}, epoch: 1, mirrors: [{{git: 'https://git.invalid/x.git'}}]}}",
        "toolchains:",
        "  zig: {lock: containers/toolchain/zig.txt, wrappers: containers/toolchain,",
        "        hosts: [linux-x86_64, linux-aarch64]}",
        "images:",
        "  x86_64: {suite: trixie}",
        "  aarch64: {suite: trixie, architecture: arm64}",
        "components:",
        *(_component(f"{project}/{platform}") for project in projects for platform in _PLATFORMS),
        "profiles:",
        "  local: {description: generated, suffix: -local, compression: 3, repro: false}",
        "  release: {description: generated, suffix: '', compression: 19, repro: true}",
        "defaults:",
        "  backends: []",
        "  gates:",
        "    abi: {glibc: '2.28'}",
        "    licences: {require: [LICENSE]}",
        "    closure: {allow: [libc.so.6]}",
        "overrides:",
        *(_override(variant) for variant in variants),
    ]
    return "\n".join(lines) + "\n"


def _component(place: str) -> str:
    shared = "script: build/llama_cpp.sh, toolchain: zig, image: x86_64, engines: [docker, host], deadline: 60m"
    return (
        f"  {place}/core: {{{shared}, memory: 8GiB, libraries: [libggml-base.so, libggml.so, libllama.so],\n"
        f"    programs: [llama-cli], cpu_variants: [x64, haswell], licences: [LICENSE]}}\n"
        f"  {place}/{_GPU}: {{{shared}, memory: 8GiB, libraries: [libggml-vulkan.so], licences: [LICENSE]}}"
    )


def _family(variant: str) -> str:
    return "vulkan" if int(variant.removeprefix("variant")) % 2 else "cpu"


def _override(variant: str) -> str:
    gpu = _family(variant) == "vulkan"
    size = 20 + int(variant.removeprefix("variant"))
    return (
        f"  - cells: '*/*/{variant}'\n"
        f"    set:\n"
        f"      backends: [{_GPU if gpu else ''}]\n"
        f"      gates:\n"
        f"        size: {{max: {size}MB, max_unpacked: {size * 4}MB}}\n"
        f"        backend: {{{'spirv_min: 500' if gpu else ''}}}\n"
        + "\n".join(_smoke(variant, arch, gpu=gpu) for arch in _PLATFORMS.values())
    )


def _smoke(variant: str, arch: str, *, gpu: bool) -> str:
    device = "device: lavapipe, devices: {vulkan: any}" if gpu else "device: cpu"
    return (
        f"  - cells: '*/linux-{arch}/{variant}'\n"
        f"    set: {{gates: {{smoke: {{image: {arch}, {device}, startup: 100ms, deadline: 5m}}}}}}"
    )
