from __future__ import annotations

import io
from pathlib import Path

import pytest

from pipeline.report.choose import choose_board
from pipeline.report.github import GitHubBoard
from pipeline.report.plain import PlainBoard
from pipeline.report.terminal import LiveBoard


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "stream", "expected"),
    [
        ({"GITHUB_ACTIONS": "true", "TERM": "xterm"}, _Terminal(), GitHubBoard),
        ({"TERM": "xterm-256color"}, _Terminal(), LiveBoard),
        ({"TERM": "xterm", "NO_COLOR": "1"}, _Terminal(), LiveBoard),
        ({"TERM": "dumb"}, _Terminal(), PlainBoard),
        ({}, _Terminal(), PlainBoard),
        ({"TERM": "xterm", "CI": "true"}, _Terminal(), PlainBoard),
        ({"TERM": "xterm"}, io.StringIO(), PlainBoard),
        ({"GITHUB_ACTIONS": "false"}, io.StringIO(), PlainBoard),
    ],
)
def test_the_output_decides(environ: dict[str, str], stream: io.StringIO, expected: type) -> None:
    assert type(choose_board(environ, stream)) is expected


def test_a_closed_stream_is_no_terminal() -> None:
    stream = io.StringIO()
    stream.close()

    board = choose_board({"TERM": "xterm"}, stream)
    board.say("nobody hears this")

    assert type(board) is PlainBoard


def test_the_summary_path_comes_from_the_environment() -> None:
    board = choose_board({"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/somewhere/summary"}, io.StringIO())

    assert isinstance(board, GitHubBoard)
    assert board._summary_path == Path("/somewhere/summary")
