from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from pipeline.engines import guard
from tests.engines.lab import is_running, wait_until

pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


class Guarded:
    """A guard started the way the host engine does."""

    def __init__(self, *argv: str, grace: float = 0.2) -> None:
        self.report, end = os.pipe()
        command = [sys.executable, "-I", "-S", str(guard.__file__), str(end), str(grace), "--", *argv]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(end,), start_new_session=True
        )
        os.close(end)

    def abandon(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def finish(self) -> list[list[str]]:
        said = b""
        while data := os.read(self.report, 4096):
            said += data
        os.close(self.report)
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0
        return [line.split() for line in said.decode().splitlines()]

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


Start = Callable[..., Guarded]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Guarded] = []

    def one(*argv: str) -> Guarded:
        started.append(Guarded(*argv))
        return started[-1]

    yield one
    for guarded in started:
        guarded.abandon()


def test_it_reports_the_status(start: Start) -> None:
    started, ended = start("sh", "-c", "exit 3").finish()
    assert started[0] == "started"
    assert ended == ["ended", str(3 << 8), "0", "0"]


def test_a_command_that_is_not_there(start: Start) -> None:
    assert start("/nowhere/nothing").finish() == [["unstartable", "2"]]


def test_the_command_gets_a_clean_start(start: Start) -> None:
    guarded = start("sh", "-c", "readlink /proc/self/fd/0; ls /proc/$$/fd | wc -l; grep SigIgn /proc/$$/status")
    assert guarded.line() == b"/dev/null\n"
    assert int(guarded.line()) <= 4
    assert int(guarded.line().split()[1], 16) & (1 << 31) - 1 == 0  # without the C library's own two
    guarded.finish()


def test_stopping_reaches_daemons_that_ignore_sigterm(start: Start) -> None:
    script = "trap '' TERM; (setsid sh -c \"trap '' TERM; sleep 600 & echo \\$!; wait\" &) ; sleep 600"
    guarded = start("sh", "-c", script)
    daemon = int(guarded.line())
    assert is_running(daemon)
    guarded.stop()
    ended = guarded.finish()[-1]
    assert ended[0] == "ended"
    assert ended[3] == "0"
    assert not is_running(daemon)


def test_a_daemon_left_behind_by_a_command_that_ended_is_counted_and_ended(start: Start) -> None:
    guarded = start("sh", "-c", "setsid sleep 600 & echo $!")
    daemon = int(guarded.line())
    assert guarded.finish()[-1] == ["ended", "0", "1", "0"]
    assert not is_running(daemon)


def test_sigterm_to_the_guard_itself_means_stop(start: Start) -> None:
    guarded = start("sh", "-c", "echo $$; exec sleep 600")
    leader = int(guarded.line())
    guarded.process.terminate()
    assert guarded.finish()[-1][:2] == ["ended", "15"]
    assert not is_running(leader)


def test_a_fork_bomb_is_ended(start: Start) -> None:
    # Bounded, so that a guard that fails does not take the machine down.
    bomb = "bomb() { sleep 600 & if [ $1 -gt 0 ]; then bomb $(($1-1)) & bomb $(($1-1)) & fi; wait; }"
    script = f"{bomb}; bomb 5 & echo $$; wait"
    guarded = start("sh", "-c", script)
    leader = int(guarded.line())
    assert wait_until(lambda: len(guard.descendants(leader)) > 50)
    guarded.stop()
    assert guarded.finish()[-1][3] == "0"


def test_descendants_are_the_living_ones() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 600 & wait"]) as child:
        assert wait_until(lambda: len(guard.descendants(child.pid)) == 1)
        assert child.pid in guard.descendants(os.getpid())
        (below,) = guard.descendants(child.pid)
        os.kill(below, 9)
    assert child.pid not in guard.descendants(os.getpid())


def test_it_imports_nothing_heavy() -> None:
    code = f"import runpy, sys; runpy.run_path({str(guard.__file__)!r}); "
    code += "print({'subprocess', 'asyncio', 'pathlib', 'pipeline'} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
