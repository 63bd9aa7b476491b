"""Jobs and helpers that the tests of the engines share."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.engines.base import Cancel, Engine, Folder, Job, JobResult
from pipeline.model import LibraryKind, Output

if TYPE_CHECKING:
    from collections.abc import Callable


def make_job(tmp: Path, *argv: str, deadline: float = 30.0, **more: Any) -> Job:  # noqa: ANN401 - fields of Job
    """A job with an OUT folder below ``tmp``."""
    out = tmp / "out"
    out.mkdir(parents=True, exist_ok=True)
    folders = (Folder(name="OUT", path=out, writable=True), *more.pop("extra", ()))
    values: dict[str, Any] = {
        "title": "a test job",
        "argv": argv,
        "folders": folders,
        "log": tmp / "log.txt",
        "deadline": deadline,
        "memory": 256 * 2**20,
        "cpus": 1,
    }
    return Job(**{**values, **more})


def shell(tmp: Path, script: str, **more: Any) -> Job:  # noqa: ANN401 - fields of Job
    return make_job(tmp, "sh", "-c", script, **more)


def promise(path: str, kind: LibraryKind = LibraryKind.DATA) -> Output:
    return Output(path=path, kind=kind)


def run(engine: Engine, job: Job) -> JobResult:
    return engine.run(job, on_line=lambda _: None, cancel=Cancel())


def lines_of(job: Job) -> list[str]:
    return job.log.read_text(encoding="utf-8").splitlines()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait for ``condition``; generous, because the machine may be busy."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def repository() -> Path:
    return Path(__file__).resolve().parents[2]


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(repository())}
