"""How fast the core we ship generates, against a plain gcc Release build of the same source."""

from __future__ import annotations

__all__ = ["Speed", "bench", "compare", "measure", "read_speed", "unsteady"]

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.finished import COMPILED, finished_cells
from benchmarks.model import parameters, write_model
from benchmarks.plainbuild import UPSTREAM, plain_build
from benchmarks.rows import Goal, NotRunError, Row, not_run, number, paired, row
from benchmarks.setting import Setting
from pipeline.model import machine_platform

_PROMPT, _GENERATE = 128, 32
_NOISE = 0.03
_STEADY = 1.5
"""The most one program's runs may differ; threads wait for each other by spinning, so a busy core costs tenfold."""
_VARIANT = re.compile(r"loaded CPU backend from \S*/libggml-cpu-(\S+)\.so")


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """One run of llama-bench: tokens a second, and the CPU variant it chose."""

    prompt: float
    generation: float
    variant: str


def measure(setting: Setting) -> list[Row]:
    """Run both llama-bench programs in turns on a made-up model, on the CPU variant that ours chooses here."""
    ours = _shipped(setting)
    work = setting.folder("inference")
    model = work / "model.gguf"
    if not model.is_file():
        write_model(model)
    variant = bench(ours, model).variant
    plain = plain_build(
        setting, f"inference-{variant}", options=UPSTREAM, targets=("llama-bench", f"ggml-cpu-{variant}")
    )
    return compare(ours, plain.programs, model, runs=setting.repeat(9))


def _shipped(setting: Setting) -> Path:
    if setting.shipped is not None:
        return setting.shipped
    wanted = f"llama.cpp/{machine_platform()}/cpu"
    for engine in ("docker", "host"):
        for cell in finished_cells(setting, engine, kinds=COMPILED):
            if cell.id == wanted:
                return cell.folder("core:") / "bundle"
    msg = f"the store holds no finished {wanted} of the {setting.profile} profile"
    raise NotRunError(msg)


def compare(ours: Path, plain: Path, model: Path, *, runs: int) -> list[Row]:
    """Take turns; both must run on the same CPU variant, or the numbers say nothing about the compiler."""
    found: dict[Path, list[Speed]] = {ours: [], plain: []}
    for turn in range(runs + 1):
        for programs in (ours, plain) if turn % 2 else (plain, ours):
            speed = bench(programs, model)
            if turn:
                found[programs].append(speed)
    variants = sorted({speed.variant for speeds in found.values() for speed in speeds})
    if len(variants) != 1:
        msg = f"the two builds run on different CPU variants: {', '.join(variants)}"
        raise NotRunError(msg)
    note = f"{parameters() / 1e6:.0f}M parameters, Q4_0, variant {variants[0]}, {os.cpu_count()} threads"
    rows = []
    for what, key in ((f"prompt of {_PROMPT} tokens", "prompt"), (f"{_GENERATE} tokens generated", "generation")):
        mine, theirs = ([getattr(speed, key) for speed in found[one]] for one in (ours, plain))
        goal, title = Goal(limit=1.0, at_least=True, slack=_NOISE), f"{what}: ours / plain"
        judged = row(title, paired(mine, theirs), " x", goal=goal)
        if busy := unsteady(mine) or unsteady(theirs):
            judged = not_run(title, busy, " x", goal=goal)
        rows += [
            row(f"{what}: ours", mine, " t/s", note=note),
            row(f"{what}: plain gcc Release", theirs, " t/s"),
            judged,
        ]
    return rows


def unsteady(values: Sequence[float]) -> str | None:
    """Say why numbers cannot be compared: one program alone varies more than what is looked for."""
    if max(values) <= _STEADY * min(values):
        return None
    return f"the machine is busy: one program gave {number(min(values))} to {number(max(values))} tokens a second"


def bench(programs: Path, model: Path) -> Speed:
    """Run one llama-bench once."""
    program = programs / "llama-bench"
    argv = (
        str(program), "-m", str(model), "-p", str(_PROMPT), "-n", str(_GENERATE), "-r", "1",
        "-t", str(os.cpu_count() or 1), "-o", "json",
    )  # fmt: skip
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, errors="replace")
    except OSError as error:
        msg = f"{program} cannot be started: {error.strerror}"
        raise NotRunError(msg) from error
    if done.returncode:
        msg = f"{program} ended with {done.returncode}: {done.stderr.strip()[-200:]}"
        raise NotRunError(msg)
    return read_speed(done.stdout, done.stderr)


def read_speed(output: str, errors: str) -> Speed:
    """Read what llama-bench prints: JSON, and on the side which backends it loaded."""
    tests = {(test["n_prompt"], test["n_gen"]): float(test["avg_ts"]) for test in json.loads(output)}
    match = _VARIANT.search(errors)
    if match is None:
        msg = "llama-bench does not say which CPU variant it loaded"
        raise NotRunError(msg)
    return Speed(prompt=tests[_PROMPT, 0], generation=tests[0, _GENERATE], variant=match[1])
