from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.engines import host
from pipeline.engines.base import Cancel, Ending, Folder
from pipeline.engines.guard import descendants
from pipeline.engines.host import HostEngine, scratch_folder
from pipeline.engines.owner import this_process
from pipeline.errors import EngineError, StoreError
from tests.engines.lab import child_environment, is_running, lines_of, promise, run, shell, wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def engine(tmp_path: Path) -> HostEngine:
    return HostEngine(tmp_path / "store", grace=0.2)


def _scratches(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "store" / "tmp").iterdir())


def test_a_job_that_keeps_its_promise(engine: HostEngine, tmp_path: Path) -> None:
    job = shell(tmp_path, "echo one; echo two >&2; echo x > lib.so", outputs=(promise("lib.so"),))
    seen: list[str] = []
    result = engine.run(job, on_line=seen.append, cancel=Cancel())
    assert (result.ending, result.exit_code, result.message) == (Ending.OK, 0, "done")
    assert seen == lines_of(job) == list(result.tail) == ["one", "two"]
    assert _scratches(tmp_path) == []


def test_what_a_job_sees(engine: HostEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("LD_PRELOAD_X", "x")
    (tmp_path / "source").mkdir()
    job = shell(
        tmp_path,
        'env | cut -d= -f1 | sort | xargs; umask; readlink /proc/self/fd/0; echo {SOURCE}; echo "$HOME"; pwd',
        extra=(Folder(name="SOURCE", path=tmp_path / "source"),),
        environment={"EXTRA": "1"},
    )
    assert run(engine, job).ending is Ending.OK
    names, umask, stdin, source, home, folder = lines_of(job)
    fixed = "HOME LANG LLAMATRIX_OUT LLAMATRIX_SOURCE PATH PWD TMPDIR TZ"
    assert names.split() == ["EXTRA", *fixed.split()]
    assert (umask, stdin) == ("0022", "/dev/null")
    assert Path(source) == tmp_path / "source"
    assert Path(home).is_relative_to(tmp_path / "store" / "tmp")
    assert Path(folder) == tmp_path / "out"


def test_a_job_without_out_folder_runs_in_scratch(engine: HostEngine, tmp_path: Path) -> None:
    job = shell(tmp_path, 'test "$PWD" = "$HOME"', folders=())
    assert run(engine, job).ending is Ending.OK


def test_failures_say_what_happened(engine: HostEngine, tmp_path: Path) -> None:
    result = run(engine, shell(tmp_path, "echo the reason; exit 7"))
    assert (result.ending, result.exit_code) == (Ending.FAILED, 7)
    assert result.message == "sh exited with status 7; its last line: the reason"
    result = run(engine, shell(tmp_path, "kill -SEGV $$"))
    assert (result.ending, result.message) == (Ending.FAILED, "sh was killed by SIGSEGV; it printed nothing")
    result = run(engine, shell(tmp_path, "", argv=("no-such-program",)))
    assert result.ending is Ending.FAILED
    assert result.message == "cannot start no-such-program: No such file or directory"


def test_missing_empty_and_stale_outputs(engine: HostEngine, tmp_path: Path) -> None:
    outputs = (promise("a.so"),)
    result = run(engine, shell(tmp_path, "true", outputs=outputs))
    assert (result.ending, result.message) == (Ending.NO_OUTPUT, "sh succeeded, but it did not leave a.so")
    assert run(engine, shell(tmp_path, ": > a.so", outputs=outputs)).message == "sh succeeded, but a.so is empty"
    assert run(engine, shell(tmp_path, "echo x > a.so", outputs=outputs)).ending is Ending.OK
    # The file of the run before does not count for this one.
    assert run(engine, shell(tmp_path, "true", outputs=outputs)).ending is Ending.NO_OUTPUT


def test_the_deadline_ends_a_daemonised_tree(engine: HostEngine, tmp_path: Path) -> None:
    script = "trap '' TERM; (setsid sh -c \"trap '' TERM; sleep 600 & echo \\$!; wait\" &); sleep 600"
    job = shell(tmp_path, script, deadline=1.0)
    result = run(engine, job)
    assert result.ending is Ending.TIMED_OUT
    assert result.exit_code is None
    assert "the deadline of 1 s passed" in result.message
    assert not is_running(int(lines_of(job)[0]))
    assert _scratches(tmp_path) == []


def test_cancelling(engine: HostEngine, tmp_path: Path) -> None:
    cancel = Cancel()
    job = shell(tmp_path, "echo $$; exec sleep 600")
    result = engine.run(job, on_line=lambda _: cancel.set(), cancel=cancel)
    assert result.ending is Ending.CANCELLED
    assert not is_running(int(lines_of(job)[0]))
    assert engine.run(job, on_line=print, cancel=cancel).message == "cancelled before it started"


def test_background_processes_of_a_finished_job_are_ended_and_told(engine: HostEngine, tmp_path: Path) -> None:
    job = shell(tmp_path, "setsid sleep 600 & echo $!")
    result = run(engine, job)
    assert result.ending is Ending.OK
    pid, note = lines_of(job)
    assert note == "[llamatrix] ended 1 processes it left running"
    assert not is_running(int(pid))


def test_a_flood_without_newlines_is_bounded(engine: HostEngine, tmp_path: Path) -> None:
    job = shell(tmp_path, "head -c 20000000 /dev/zero; echo; echo end")
    assert run(engine, job).tail[-1] == "end"
    assert job.log.stat().st_size < 100_000


def test_a_flood_does_not_hold_up_the_deadline(engine: HostEngine, tmp_path: Path) -> None:
    assert run(engine, shell(tmp_path, "yes", deadline=0.5)).ending is Ending.TIMED_OUT


def test_a_sink_that_fails_leaves_nothing(engine: HostEngine, tmp_path: Path) -> None:
    def sink(line: str) -> None:
        msg = "sink"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="sink"):
        engine.run(shell(tmp_path, "echo x; sleep 600"), on_line=sink, cancel=Cancel())
    assert descendants(os.getpid()) == []
    assert _scratches(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_killed_guard_is_an_error_and_its_tree_is_gone(engine: HostEngine, tmp_path: Path) -> None:
    job = shell(tmp_path, "setsid sleep 600 & echo $!; kill -9 $PPID; sleep 600")
    with pytest.raises(EngineError, match="the guard process of the job died"):
        run(engine, job)
    assert wait_until(lambda: not is_running(int(lines_of(job)[0])))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
def test_nothing_survives_a_tool_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.engines.lab import run, shell;"
        "from pipeline.engines.host import HostEngine; tmp = Path(sys.argv[1]);"
        "run(HostEngine(tmp / 'store', grace=0.2), shell(tmp, 'setsid sleep 600 & echo $!; sleep 600'))"
    )
    tool = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=child_environment())
    log = tmp_path / "log.txt"
    try:
        assert wait_until(lambda: log.exists() and log.read_bytes().endswith(b"\n"))
        tree = descendants(tool.pid)
        assert len(tree) >= 4
        engine = HostEngine(tmp_path / "store")
        assert engine.sweep() == ()
    finally:
        tool.kill()
        tool.wait()
    assert wait_until(lambda: not any(is_running(pid) for pid in tree), seconds=5)
    (swept,) = engine.sweep()
    assert swept.startswith("scratch folder host-")
    assert _scratches(tmp_path) == []
    engine.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sweep_kills_who_still_works_in_a_dead_runs_scratch(tmp_path: Path) -> None:
    pid, start, namespace, boot = this_process().split(".")
    scratch = tmp_path / "store" / "tmp" / f"host-{pid}.{start}1.{namespace}.{boot}-abc"
    (scratch / "home").mkdir(parents=True)
    child = subprocess.Popen(["sleep", "600"], env={"HOME": f"{scratch}/home"})
    assert HostEngine(tmp_path / "store").sweep() == (f"scratch folder {scratch.name}",)
    assert child.wait() == -signal.SIGKILL
    assert not scratch.exists()


def test_a_scratch_folder_with_a_mount_inside_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"proc {tmp_path}/store/tmp/x/proc proc rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: mounts)
    (tmp_path / "store" / "tmp" / "x").mkdir(parents=True)
    host._remove(tmp_path / "store" / "tmp" / "x")
    assert (tmp_path / "store" / "tmp" / "x").exists()


def test_a_store_that_cannot_hold_scratch(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot make a scratch folder"), scratch_folder(tmp_path / "store"):
        pass


def test_a_guard_that_cannot_start(engine: HostEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EngineError, match="cannot start the guard process"):
        run(engine, shell(tmp_path, "true"))


def _kills(own: int | None, machine: int | None) -> host._OomKills:
    return host._OomKills(own=own, machine=machine)


@pytest.mark.parametrize(
    ("before", "after", "code", "expected"),
    [
        (_kills(1, 5), _kills(2, 6), 2, True),
        (_kills(1, 5), _kills(1, 6), 2, False),
        (_kills(1, 5), _kills(1, 6), 137, True),
        (_kills(None, 5), _kills(None, 6), 137, True),
        (_kills(1, 5), _kills(1, 5), 137, False),
        (_kills(None, None), _kills(None, None), 137, False),
    ],
)
def test_when_memory_explains_a_failure(
    before: host._OomKills, after: host._OomKills, code: int, expected: bool
) -> None:
    assert after.explains(before, code) is expected


def test_out_of_memory_is_told_apart(engine: HostEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter(range(100))
    monkeypatch.setattr(host._OomKills, "read", classmethod(lambda _: _kills(None, next(counts))))
    result = run(engine, shell(tmp_path, "kill -9 $$"))
    assert (result.ending, result.exit_code) == (Ending.OUT_OF_MEMORY, 137)
    assert "ran out of memory" in result.message


def test_the_counters_are_read_from_the_kernel(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 2\noom_group_kill 9\n", encoding="utf-8")
    assert host._counter(events) == 2
    assert host._counter(tmp_path / "none") is None
    if sys.platform == "linux":
        assert host._OomKills.read().machine is not None


def test_many_jobs_at_once(engine: HostEngine, tmp_path: Path) -> None:
    endings: list[Ending] = []

    def one(number: int) -> None:
        endings.append(run(engine, shell(tmp_path / str(number), f"echo {number}; sleep 0.1")).ending)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert endings == [Ending.OK] * 6
