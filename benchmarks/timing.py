"""Takes times: of processes and of calls, in turns, so that a busy moment hits all of them alike."""

from __future__ import annotations

__all__ = ["alternating", "finish", "process", "stopwatch"]

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.rows import NotRunError

Timed = Callable[[], float]
"""Does the work once and gives what it measured, usually seconds."""


def alternating(works: Mapping[str, Timed], *, runs: int, warm: int = 1) -> dict[str, tuple[float, ...]]:
    """Measure each work ``runs`` times, in turns and in changing order; the first ``warm`` rounds do not count."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(warm + runs):
        names = list(works)[:: 1 if turn % 2 == 0 else -1]
        for name in names:
            value = works[name]()
            if turn >= warm:
                found[name].append(value)
    return {name: tuple(values) for name, values in found.items()}


def stopwatch(work: Callable[[], object]) -> Timed:
    """Turn a call into something to measure: its wall time in seconds."""

    def timed() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return timed


def process(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> Timed:
    """Turn a command into something to measure; one that fails cannot be measured."""
    return stopwatch(lambda: finish(argv, cwd=cwd, env=env))


def finish(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and give its output."""
    try:
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, errors="replace")
    except OSError as error:
        msg = f"{argv[0]} cannot be started: {error.strerror}"
        raise NotRunError(msg) from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        why = next((line for line in lines if line.startswith("error: ")), lines[-1])
        msg = f"'{' '.join(argv[1:4])}' ended with {done.returncode}: {why}"
        raise NotRunError(msg)
    return done.stdout
