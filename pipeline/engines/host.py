"""The host engine: a job is a process tree on this machine.

Every job runs under a guard process (see :mod:`pipeline.engines.guard`), so its tree ends at the deadline, on
cancellation and when the tool itself is killed. What the host engine cannot do, and the docker engine can: the memory
limit is advisory (an address space limit breaks compilers that map much and touch little), the CPU count is passed on
as a hint only, read-only folders are writable for the job, and the network stays on.
"""

from __future__ import annotations

__all__ = ["HostEngine", "scratch_folder"]

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engines import guard as _guard
from pipeline.engines.base import Cancel, Ending, Job, JobResult, LineSink
from pipeline.engines.layout import (
    command_line,
    discard_outputs,
    environment,
    exit_message,
    folder_paths,
    out_folder,
    output_problem,
    stop_message,
)
from pipeline.engines.owner import is_dead, this_process
from pipeline.engines.transcript import Transcript
from pipeline.errors import EngineError, StoreError
from pipeline.model import EngineName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_STEP = 0.1
_DRAIN_SECONDS = 1.0
_GUARD_SECONDS = 15.0
_SIGKILL_CODE = 128 + signal.SIGKILL
_PREFIX = "host-"
_LESS = "use fewer --jobs, or add memory or swap"


@dataclass(frozen=True, kw_only=True, slots=True)
class _OomKills:
    """How often the kernel ran out of memory: in our own control group, and on the whole machine."""

    own: int | None
    machine: int | None

    @classmethod
    def read(cls) -> _OomKills:
        own = next((count for path in _memory_events() if (count := _counter(path)) is not None), None)
        return cls(own=own, machine=_counter(Path("/proc/vmstat")))

    def explains(self, before: _OomKills, code: int) -> bool:
        """Tell whether a failure was the memory's: our group's counter moved, or the machine's and SIGKILL came."""
        if self.own is not None and before.own is not None and self.own > before.own:
            return True
        moved = self.machine is not None and before.machine is not None and self.machine > before.machine
        return moved and code == _SIGKILL_CODE


def _memory_events() -> Iterator[Path]:
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    root = Path("/sys/fs/cgroup")
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            yield root / "memory" / path.lstrip("/") / "memory.oom_control"
        elif not controllers:
            yield root / path.lstrip("/") / "memory.events"


def _counter(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


class HostEngine:
    """Runs jobs as process trees of this machine; scratch folders live in ``store``/tmp."""

    name = EngineName.HOST

    def __init__(self, store: Path, *, grace: float = 1.0) -> None:
        """Use ``store`` for scratch; a tree that is told to stop has ``grace`` seconds before SIGKILL."""
        self._store = store
        self._grace = grace

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> JobResult:
        """Run ``job`` to its end, deadline or cancellation; nothing of it is left running."""
        started = time.monotonic()
        seen = folder_paths(job, lambda folder: str(folder.path.resolve()))
        argv = command_line(job, seen)
        if cancel.is_set():
            return JobResult(
                ending=Ending.CANCELLED, exit_code=None, seconds=0.0, message="cancelled before it started"
            )
        discard_outputs(job)
        with scratch_folder(self._store) as scratch, Transcript(job.log, on_line) as transcript:
            environ = environment(
                job,
                seen,
                path=os.environ.get("PATH", os.defpath),
                home=str(scratch / "home"),
                temporary=str(scratch / "tmp"),
            )
            before = _OomKills.read()
            run = _Run(job, argv, environ, out_folder(job) or scratch / "home", self._grace)
            try:
                stopped = run.follow(transcript, cancel, started + job.deadline)
            finally:
                run.end(scratch)
            ending, code, message = self._judge(job, run, stopped, before, transcript.last)
            if run.survivors:
                transcript.note(f"[llamatrix] could not end {run.survivors} of its processes")
            elif run.stragglers and stopped is None:
                transcript.note(f"[llamatrix] ended {run.stragglers} processes it left running")
            seconds = time.monotonic() - started
            return JobResult(ending=ending, exit_code=code, seconds=seconds, message=message, tail=transcript.tail)

    @staticmethod
    def _judge(
        job: Job, run: _Run, stopped: Ending | None, before: _OomKills, last: str
    ) -> tuple[Ending, int | None, str]:
        program = Path(job.argv[0]).name
        if run.unstartable is not None:
            return Ending.FAILED, None, f"cannot start {job.argv[0]}: {os.strerror(run.unstartable)}"
        if stopped is not None:
            left = f"{run.survivors} of its processes could not be ended" if run.survivors else None
            return stopped, None, stop_message(job, stopped, last, left=left)
        if run.code is None:
            msg = "the guard process of the job died; what it watched was killed"
            raise EngineError(msg, where=job.title, hint="run again; was the machine short of memory?")
        if run.code == 0:
            problem = output_problem(job)
            return (Ending.NO_OUTPUT, 0, f"{program} succeeded, but {problem}") if problem else (Ending.OK, 0, "done")
        if _OomKills.read().explains(before, run.code):
            return Ending.OUT_OF_MEMORY, run.code, f"{program} failed because this machine ran out of memory; {_LESS}"
        return Ending.FAILED, run.code, exit_message(program, run.code, last)

    def sweep(self) -> tuple[str, ...]:
        """Remove scratch folders of dead runs, and whatever processes still work in one."""
        removed = []
        for scratch in sorted((self._store.resolve() / "tmp").glob(f"{_PREFIX}*")):
            if is_dead(scratch.name.removeprefix(_PREFIX).rpartition("-")[0]):
                _kill_users(scratch)
                _remove(scratch)
                removed.append(f"scratch folder {scratch.name}")
        return tuple(removed)

    def close(self) -> None:
        """Hold nothing open between jobs."""


@contextmanager
def scratch_folder(store: Path) -> Iterator[Path]:
    """Lend a folder in ``store``/tmp, named after this process so that a later run can tell whose it was."""
    tmp = store.resolve() / "tmp"
    try:
        tmp.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{this_process()}-", dir=tmp))
        scratch.chmod(0o755)
        (scratch / "home").mkdir()
        (scratch / "tmp").mkdir()
    except OSError as error:
        msg = f"cannot make a scratch folder in {tmp}: {error.strerror}"
        raise StoreError(msg, hint="make the store writable, or free some space") from error
    try:
        yield scratch
    finally:
        _remove(scratch)


class _Run:
    """One command under its guard."""

    def __init__(self, job: Job, argv: list[str], environ: dict[str, str], folder: Path, grace: float) -> None:
        self.code: int | None = None
        self.unstartable: int | None = None
        self.stragglers = 0
        self.survivors = 0
        self._leader: int | None = None
        self._said = bytearray()
        report, report_end = os.pipe()
        try:
            # Its own session: Ctrl-C in a terminal must reach the tool only, which then ends the job in order.
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", _script(_guard), str(report_end), str(grace), "--", *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environ,
                umask=0o022,
                pass_fds=(report_end,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(report)
            msg = f"cannot start the guard process: {error}"
            raise EngineError(msg, where=job.title) from error
        finally:
            os.close(report_end)
        self._report = report
        self._grace = grace

    def follow(self, transcript: Transcript, cancel: Cancel, deadline: float) -> Ending | None:
        """Copy output until the job ends; past the deadline or on cancellation end it and say which."""
        stopped: Ending | None = None
        give_up = deadline + self._grace + _GUARD_SECONDS
        output = self._guard.stdout
        assert output is not None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            selector.register(self._report, selectors.EVENT_READ)
            while self._report in selector.get_map():
                for key, _ in selector.select(_STEP):
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fd == self._report:
                        self._said += data
                    else:
                        transcript.feed(data)
                now = time.monotonic()
                if stopped is None and (cancel.is_set() or now >= deadline):
                    stopped = Ending.CANCELLED if cancel.is_set() else Ending.TIMED_OUT
                    give_up = now + self._grace + _GUARD_SECONDS
                    self._tell_stop()
                elif now >= give_up:
                    break
            self._drain(selector, transcript)
        self._understand()
        return stopped

    def _drain(self, selector: selectors.BaseSelector, transcript: Transcript) -> None:
        # Only a process nobody could end can still hold the pipe open, so this is bounded.
        until = time.monotonic() + _DRAIN_SECONDS
        output = self._guard.stdout
        assert output is not None
        while output in selector.get_map() and time.monotonic() < until:
            for key, _ in selector.select(_STEP):
                data = os.read(key.fd, 65536)
                if data:
                    transcript.feed(data)
                else:
                    selector.unregister(key.fileobj)

    def _tell_stop(self) -> None:
        control = self._guard.stdin
        assert control is not None
        control.close()

    def _understand(self) -> None:
        for line in self._said.decode("ascii").splitlines():
            match line.split():
                case ["started", pid]:
                    self._leader = int(pid)
                case ["unstartable", number]:
                    self.unstartable = int(number)
                case ["ended", status, stragglers, survivors]:
                    code = os.waitstatus_to_exitcode(int(status))
                    self.code = code if code >= 0 else 128 - code
                    self.stragglers, self.survivors = int(stragglers), int(survivors)

    def end(self, scratch: Path) -> None:
        """Make sure that the guard and its tree are gone, whatever happened before."""
        self._tell_stop()
        try:
            self._guard.wait(self._grace + _GUARD_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        if self.code is None and self.unstartable is None:
            # The guard itself was killed: nobody adopts what it watched, but its environment still names our scratch.
            if self._leader is not None:
                _kill_group(self._leader)
            _kill_users(scratch)
        assert self._guard.stdout is not None
        self._guard.stdout.close()
        os.close(self._report)


def _script(module: ModuleType) -> str:
    assert module.__file__ is not None
    return module.__file__


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except OSError:
        return


def _kill_users(scratch: Path) -> None:
    """Kill every process whose environment has ``scratch`` as its home."""
    mark = f"HOME={scratch}/home".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            continue


def _remove(scratch: Path) -> None:
    """Remove a scratch folder, but never through a mount point left inside it."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        mounts = ""
    if f" {scratch}/" in mounts:
        return
    shutil.rmtree(scratch, ignore_errors=True)
