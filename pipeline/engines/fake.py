"""An engine that compiles nothing: it leaves forged, valid files where a real one would leave compiled ones.

A dry run and the tests of the scheduler, the composer and the gates use it: the whole pipeline in milliseconds.
"""

from __future__ import annotations

__all__ = ["FakeEngine"]

import threading
import time
from typing import TYPE_CHECKING

from pipeline.engines.base import Cancel, Ending, Job, JobResult, LineSink
from pipeline.engines.forge import forge
from pipeline.errors import EngineError
from pipeline.model import EngineName, LibraryKind, Output

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_EXIT_CODES = {Ending.OK: 0, Ending.FAILED: 1, Ending.OUT_OF_MEMORY: 137}
_MESSAGES = {
    Ending.OK: "done",
    Ending.FAILED: "the command failed with exit code 1; its log says why",
    Ending.TIMED_OUT: "stopped after its deadline",
    Ending.OUT_OF_MEMORY: "killed: it used more memory than the job may",
    Ending.CANCELLED: "cancelled",
}
_TAIL = 20


class FakeEngine:
    """Forges every job's outputs; ``script`` makes the jobs of given titles end otherwise.

    ``jobs`` lists every job that was run, in order, and ``seconds`` makes each one last, so that a cancellation or a
    scheduler has something to do.
    """

    name = EngineName.FAKE

    def __init__(self, script: Mapping[str, Ending] | None = None, *, seconds: float = 0.0) -> None:
        """Behave, except for the jobs ``script`` names."""
        self.jobs: list[Job] = []
        self._script = dict(script or {})
        self._seconds = seconds
        self._lock = threading.Lock()

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> JobResult:
        """Forge the job's outputs below its OUT folder, and write a log about it."""
        started = time.monotonic()
        with self._lock:
            self.jobs.append(job)
        lines: list[str] = []
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("w", encoding="utf-8") as log:

            def say(line: str) -> None:
                lines.append(line)
                log.write(f"{line}\n")
                on_line(line)

            say(f"fake engine: {job.title}")
            say(f"+ {' '.join(job.argv)}")
            ending, message = self._work(job, say, cancel)
            say(f"fake engine: {message}")
        return JobResult(
            ending=ending,
            exit_code=_EXIT_CODES.get(ending),
            seconds=time.monotonic() - started,
            message=message,
            tail=tuple(lines[-_TAIL:]),
        )

    def sweep(self) -> tuple[str, ...]:
        """Remove nothing: a fake job is over when it returns."""
        return ()

    def close(self) -> None:
        """Release nothing."""

    def _work(self, job: Job, say: LineSink, cancel: Cancel) -> tuple[Ending, str]:
        ending = self._script.get(job.title, Ending.OK)
        if cancel.wait(self._seconds) if self._seconds else cancel.is_set():
            return Ending.CANCELLED, _MESSAGES[Ending.CANCELLED]
        if ending not in {Ending.OK, Ending.NO_OUTPUT}:
            return ending, _MESSAGES[ending]
        made = job.outputs[:-1] if ending is Ending.NO_OUTPUT else job.outputs
        for output in made:
            if cancel.is_set():
                return Ending.CANCELLED, _MESSAGES[Ending.CANCELLED]
            _leave(_out(job), output)
            say(f"forged {output.path}")
        if len(made) < len(job.outputs) or ending is Ending.NO_OUTPUT:
            missing = job.outputs[-1].path if job.outputs else "everything"
            return Ending.NO_OUTPUT, f"it left no {missing}"
        return ending, _MESSAGES[ending]


def _out(job: Job) -> Path:
    for folder in job.folders:
        if folder.name == "OUT" and folder.writable:
            return folder.path
    msg = "the job promises outputs and has no writable folder named OUT"
    raise EngineError(msg, where=job.title, hint="this is a bug of llamatrix; please report it")


def _leave(out: Path, output: Output) -> None:
    path = out / output.path
    if output.path.startswith("/") or ".." in path.relative_to(out).parts:
        msg = f"the output {output.path!r} lies outside the OUT folder"
        raise EngineError(msg, hint="this is a bug of llamatrix; please report it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if output.kind is LibraryKind.LINK:
        path.symlink_to(output.target or "")
        return
    path.write_bytes(forge(output))
    path.chmod(0o644 if output.kind is LibraryKind.DATA else 0o755)
