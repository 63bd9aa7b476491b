from __future__ import annotations

import io
import threading
from dataclasses import replace

import pytest
from rich.cells import cell_len

from pipeline.model import TaskState
from pipeline.report.terminal import LiveBoard
from pipeline.report.text import clean
from tests.report.builders import HOSTILE, report

RUN = report()
CORE = next(task for task in RUN.tasks if task.id == "core:llama.cpp/linux-x86_64/core")
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class _Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "the terminal went away")


def _board(stream: io.TextIOBase, *, width: int = 100, environ: dict[str, str] | None = None) -> LiveBoard:
    """Make a board that draws when told to: its own pace is a picture every 1000 seconds."""
    return LiveBoard(
        stream,  # type: ignore[arg-type]  # TextIO in all that matters
        environ={"TERM": "xterm-256color", **(environ or {})},
        total=16,
        rate=0.001,
        size=(width, 24),
        clock=lambda: 0.0,
    )


def _play(stream: io.TextIOBase, *, width: int = 100, environ: dict[str, str] | None = None) -> LiveBoard:
    board = _board(stream, width=width, environ=environ)
    board.say("engine docker: a Docker engine answers")
    for task in RUN.tasks:
        board.started(task.id, deadline=task.deadline)
        board.line(task.id, "[1/2] Building ggml.c")
        for line in HOSTILE:
            board.line(task.id, line)
        board.refresh()
        board.ended(task)
    board.close(RUN)
    assert board.trouble is None
    return board


def test_the_cursor_comes_back() -> None:
    stream = io.StringIO()
    _play(stream)

    assert stream.getvalue().count(HIDE) == 1
    assert stream.getvalue().rindex(SHOW) > stream.getvalue().rindex(HIDE)


def test_the_cursor_comes_back_after_a_run_cut_short() -> None:
    stream = io.StringIO()
    board = _board(stream)
    board.started(CORE.id, deadline=60)
    board.close(None)

    assert stream.getvalue().rindex(SHOW) > stream.getvalue().rindex(HIDE)
    assert "cut short: there is nothing to report" in stream.getvalue()


def test_the_cursor_comes_back_if_nobody_closes_the_board() -> None:
    stream = io.StringIO()
    board = _board(stream)
    board.started(CORE.id, deadline=60)
    board._restore()  # what atexit calls

    assert SHOW in stream.getvalue()
    board.close(None)


def test_ended_tasks_stay_above_and_the_summary_comes_last() -> None:
    stream = io.StringIO()
    _play(stream, environ={"NO_COLOR": "1"})
    text = clean(stream.getvalue().replace("\n", "¶"))

    assert f"{'done':<10}" in text
    assert "core:llama.cpp/linux-x86_64/core  14m51s" in text
    assert "2 gates failed: size, closure¶  | " in text
    assert "failed: 2 passed (1 with a waiver), 1 unproven, 1 failed, 22 not run" in text


def test_what_did_not_run_is_counted_only() -> None:
    stream = io.StringIO()
    board = _board(stream)
    board.ended(replace(CORE, state=TaskState.NOT_RUN, message="macOS with Xcode"))
    board.close(None)

    assert "Xcode" not in stream.getvalue()


def test_no_color_is_respected() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    _play(plain, environ={"NO_COLOR": "1"})
    _play(coloured)

    assert "\x1b[32m" in coloured.getvalue()
    for colour in range(30, 38):
        assert f"\x1b[{colour}m" not in plain.getvalue()
        assert f";{colour}m" not in plain.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_pictures_fit_the_terminal(width: int) -> None:
    stream = io.StringIO()
    board = _board(stream, width=width)
    for task in RUN.tasks:
        board.started(task.id, deadline=task.deadline)
        board.line(task.id, "[1/2] Building 日本 " * 30)

    assert max(cell_len(line) for line in board._picture().plain.split("\n")) < width
    board.close(None)


def test_an_ascii_terminal_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    board = _play(stream, width=40)
    board.line("nobody", "…")
    stream.flush()

    assert raw.getvalue().isascii()
    assert b"8 blocked" not in raw.getvalue()


def test_a_terminal_that_went_away_stops_nobody() -> None:
    board = _board(_Broken())
    board.say("hello")
    board.started(CORE.id, deadline=1)
    board.line(CORE.id, "x")
    board.refresh()
    board.ended(CORE)
    board.close(RUN)

    assert board._console.quiet


def test_a_terminal_that_hung_up_stops_nobody() -> None:
    class _HungUp(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    board = _board(_HungUp())
    board.say("hello")
    board.started(CORE.id, deadline=1)
    board.refresh()
    board.ended(CORE)
    board.close(RUN)

    assert board.trouble == "OSError: [Errno 5] Input/output error"


def test_trouble_is_told_at_the_end() -> None:
    stream = io.StringIO()
    board = _board(stream)
    board.ended(None)  # type: ignore[arg-type]  # a bug elsewhere
    board.close(None)

    assert "the board had trouble and may have lost lines: AttributeError" in stream.getvalue()


def test_nothing_is_drawn_after_the_end() -> None:
    stream = io.StringIO()
    board = _board(stream)
    board.started(CORE.id, deadline=1)
    board.close(None)
    before = len(stream.getvalue())
    board.started("late", deadline=None)
    board.say("late")

    assert len(stream.getvalue()) == before
    assert not any(thread.name == "llamatrix-board" for thread in threading.enumerate())


def test_lines_cost_no_drawing() -> None:
    stream = io.StringIO()
    board = _board(stream)
    board.started(CORE.id, deadline=None)
    before = len(stream.getvalue())
    for at in range(100_000):
        board.line(CORE.id, f"[{at}/100000] Building")

    assert len(stream.getvalue()) == before
    assert board._running[CORE.id].notable == "[99999/100000] Building"
    board.close(None)


def test_it_draws_by_itself() -> None:
    stream = io.StringIO()
    drawn = threading.Event()

    def clock() -> float:
        if threading.current_thread().name == "llamatrix-board":
            drawn.set()
        return 0.0

    board = LiveBoard(stream, environ={"TERM": "xterm"}, rate=1000, size=(100, 24), clock=clock)
    board.started(CORE.id, deadline=1)

    assert drawn.wait(10)
    board.close(None)


def test_any_thread_may_call() -> None:
    stream = io.StringIO()
    board = _board(stream)

    def work(name: str) -> None:
        for at in range(50):
            board.started(f"{name}{at}", deadline=1)
            board.line(f"{name}{at}", "x")
            board.refresh()
            board.ended(replace(CORE, id=f"{name}{at}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    board.close(RUN)

    assert board.trouble is None
    assert board._counts.ended == {TaskState.DONE: 200}
    assert all(f"{name}{at}  " in stream.getvalue() for name in "abcd" for at in range(50))
