"""Which board a run gets: GitHub Actions, a live terminal, or plain lines."""

from __future__ import annotations

__all__ = ["choose_board"]

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from pipeline.report.board import Board
from pipeline.report.github import GitHubBoard
from pipeline.report.plain import PlainBoard

_NO_CURSOR = {"", "dumb", "unknown"}


def choose_board(environ: Mapping[str, str], stream: TextIO, *, total: int | None = None) -> Board:
    """Choose by where the output goes; ``total`` is the number of tasks, if the caller knows it."""
    if environ.get("GITHUB_ACTIONS") == "true":
        summary = environ.get("GITHUB_STEP_SUMMARY")
        return GitHubBoard(stream, summary_path=Path(summary) if summary else None)
    if _is_terminal(stream) and environ.get("TERM", "") not in _NO_CURSOR and not environ.get("CI"):
        from pipeline.report.terminal import LiveBoard  # noqa: PLC0415 - rich's live display costs 50 ms to import

        return LiveBoard(stream, environ=environ, total=total)
    return PlainBoard(stream)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
