from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.model import TaskState
from pipeline.report.board import Board
from pipeline.report.plain import PlainBoard
from pipeline.report.record import TaskRecord
from tests.report.builders import HOSTILE, report

RUN = report()
CORE = next(task for task in RUN.tasks if task.id == "core:llama.cpp/linux-x86_64/core")


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class _Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "the reader went away")


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def board(stream: io.StringIO, clock: _Clock) -> Iterator[PlainBoard]:
    made: Board = PlainBoard(stream, clock=clock)
    assert isinstance(made, PlainBoard)
    yield made
    made.close(None)


def _ended(record: TaskRecord, state: TaskState, message: str | None = None) -> TaskRecord:
    return replace(record, state=state, message=message)


def test_a_task_has_a_line_at_its_start_and_its_end(board: PlainBoard, stream: io.StringIO) -> None:
    board.say("engine docker: it answers")
    board.started(CORE.id, deadline=3600)
    board.line(CORE.id, "[1/2] cc")
    board.ended(CORE)

    assert stream.getvalue().splitlines() == [
        "engine docker: it answers",
        f"start     {CORE.id} (deadline 1h00m)",
        f"done      {CORE.id} in 14m51s",
    ]


def test_what_came_from_the_cache_took_no_time(board: PlainBoard, stream: io.StringIO) -> None:
    board.ended(_ended(CORE, TaskState.CACHED))

    assert stream.getvalue() == f"cached    {CORE.id}\n"


def test_what_did_not_run_is_left_to_the_summary(board: PlainBoard, stream: io.StringIO) -> None:
    board.ended(_ended(CORE, TaskState.NOT_RUN, "macOS with Xcode"))
    assert stream.getvalue() == ""

    board.ended(_ended(replace(CORE, started=None), TaskState.BLOCKED, "source failed"))
    assert stream.getvalue() == f"blocked   {CORE.id}: source failed\n"


def test_a_failed_task_shows_its_last_lines_and_its_log(board: PlainBoard, stream: io.StringIO) -> None:
    board.started(CORE.id, deadline=None)
    for at in range(100):
        board.line(CORE.id, f"line {at}")
    board.ended(_ended(CORE, TaskState.FAILED, "exit code 1"))
    lines = stream.getvalue().splitlines()

    assert lines[1] == f"FAILED    {CORE.id} in 14m51s: exit code 1"
    assert lines[2] == "  | line 80"
    assert lines[-2:] == ["  | line 99", f"  the whole log: {CORE.log}"]


def test_a_long_task_gives_a_sign_of_life_each_minute(board: PlainBoard, stream: io.StringIO, clock: _Clock) -> None:
    board.started(CORE.id, deadline=3600)
    stream.truncate(0)
    stream.seek(0)

    clock.now = 59.0
    board.beat()
    assert stream.getvalue() == ""

    clock.now = 60.0
    board.beat()
    board.line(CORE.id, "[17/400] \x1b[32mBuilding\x1b[0m ggml.c")
    clock.now = 119.0
    board.beat()
    clock.now = 121.0
    board.beat()
    assert stream.getvalue().splitlines() == [
        f"running   {CORE.id} 1m00s of 1h00m: no output yet",
        f"running   {CORE.id} 2m01s of 1h00m: [17/400] Building ggml.c",
    ]


def test_hostile_lines_stay_lines(board: PlainBoard, stream: io.StringIO) -> None:
    board.started(CORE.id, deadline=None)
    for text in HOSTILE:
        board.line(CORE.id, text)
        board.say(text)
    board.ended(_ended(CORE, TaskState.FAILED, "\x1b[2J\nsecond"))

    assert all(sign.isprintable() or sign == "\n" for sign in stream.getvalue())
    assert stream.getvalue().count("\n") == 1 + len(HOSTILE) + 1 + len(HOSTILE) + 1


def test_the_summary_ends_the_run(stream: io.StringIO) -> None:
    PlainBoard(stream).close(RUN)

    assert "failed: 2 passed (1 with a waiver), 1 unproven, 1 failed, 22 not run" in stream.getvalue()


def test_a_run_cut_short_says_so(stream: io.StringIO) -> None:
    PlainBoard(stream).close(None)

    assert stream.getvalue() == "cut short: there is nothing to report\n"


def test_an_ascii_stream_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    board = PlainBoard(stream)
    board.say("日本 …")
    board.close(RUN)
    stream.flush()

    assert raw.getvalue().startswith(b"\\u65e5\\u672c ..\n")


def test_a_reader_that_went_away_stops_nobody(clock: _Clock) -> None:
    board = PlainBoard(_Broken(), clock=clock)
    board.say("hello")
    board.started(CORE.id, deadline=1)
    board.line(CORE.id, "x")
    clock.now = 100
    board.beat()
    board.ended(CORE)
    board.close(RUN)

    assert board.trouble == "BrokenPipeError: [Errno 32] the reader went away"


def test_trouble_is_told_at_the_end(stream: io.StringIO) -> None:
    board = PlainBoard(stream)
    board.ended(replace(CORE, state="odd"))  # type: ignore[arg-type]  # a bug elsewhere
    board.close(None)

    assert "the board had trouble and may have lost lines: KeyError" in stream.getvalue()


def test_the_heartbeat_ends_with_the_board(stream: io.StringIO) -> None:
    board = PlainBoard(stream, heartbeat=0.01)
    board.started(CORE.id, deadline=None)
    pulse = board._pulse
    assert pulse is not None
    board.close(None)

    assert not pulse.is_alive()
