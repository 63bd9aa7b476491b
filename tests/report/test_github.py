from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import TaskKind, TaskState
from pipeline.report.github import SUMMARY_LIMIT, GitHubBoard, command, tame
from pipeline.report.record import CellState
from tests.report.builders import HOSTILE, report
from tests.report.golden import compare

RUN = report()
CORE = next(task for task in RUN.tasks if task.id == "core:llama.cpp/linux-x86_64/core")


def _runner(output: str) -> list[tuple[str, str, str]]:
    """Read output as the runner does: new commands at a line's start, old ones anywhere, none while stopped."""
    found: list[tuple[str, str, str]] = []
    stopped: str | None = None
    for line in re.split(r"\r\n|\r|\n", output):
        match = re.match(r"::([^ :]+)(?: (.*?))?::(.*)$", line.lstrip())
        if stopped is not None:
            if match and match[1] == stopped:
                stopped = None
            continue
        if match and match[1] == "stop-commands":
            stopped = match[3]
        elif match:
            found.append((match[1], match[2] or "", match[3]))
        elif "##[" in line:
            found.append(("old", "", line))
    assert stopped is None, "commands were never resumed"
    return found


def _play(stream: io.StringIO, path: Path | None = None) -> None:
    board = GitHubBoard(stream, summary_path=path, token=lambda: "TOKEN", clock=lambda: 0.0)
    board.say("engine docker: a Docker engine answers")
    for task in RUN.tasks:
        if task.started is not None and task.state is not TaskState.CACHED:
            board.started(task.id, deadline=task.deadline)
            for line in ("==> configure", "[1/2] Building C object ggml.c.o", "[2/2] Linking", *HOSTILE):
                board.line(task.id, line)
        board.ended(task)
    board.close(RUN)


def test_golden(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    stream = io.StringIO()
    _play(stream, tmp_path / "summary.md")
    text = f"{stream.getvalue()}\n=== GITHUB_STEP_SUMMARY ===\n{(tmp_path / 'summary.md').read_text(encoding='utf-8')}"

    compare("github.txt", text, update=request.config.getoption("--update-golden"))


def test_builds_cannot_give_commands() -> None:
    stream = io.StringIO()
    _play(stream)
    names = [name for name, _, _ in _runner(stream.getvalue())]

    assert set(names) == {"group", "endgroup", "error", "warning"}
    assert names.count("error") == 2
    assert names.count("group") == names.count("endgroup")


@given(st.lists(st.text(st.sampled_from("::#[]error \r\n\x0b%,=abc\x1b\u2028"), max_size=40), max_size=10))
def test_no_line_ever_becomes_a_command(lines: list[str]) -> None:
    stream = io.StringIO()
    board = GitHubBoard(stream, clock=lambda: 0.0)
    board.started(CORE.id, deadline=None)
    for line in lines:
        board.line(CORE.id, line)
        board.say(line)
    board.ended(replace(CORE, message=lines[0] if lines else None))
    board.close(None)

    assert {name for name, _, _ in _runner(stream.getvalue())} <= {"group", "endgroup", "error"}
    assert board.trouble is None


@given(st.text(), st.text())
def test_a_command_reads_back(title: str, message: str) -> None:
    line = command("error", message, title=title)
    match = re.fullmatch(r"::error title=(.*?)::(.*)", line)

    assert match is not None
    back = match[1].replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",")
    assert back.replace("%25", "%") == title
    assert match[2].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%") == message


def test_a_command_needs_no_properties() -> None:
    assert command("endgroup", "") == "::endgroup::"


def test_taming() -> None:
    assert tame("  ::error::x") == "|   ::error::x"
    assert tame("a ##[group]x") == "a ## [group]x"
    assert tame("std::vector") == "std::vector"


def test_the_token_is_new_each_time() -> None:
    stream = io.StringIO()
    board = GitHubBoard(stream)
    for _ in range(2):
        board.started(CORE.id, deadline=None)
        board.line(CORE.id, "x")
        board.ended(CORE)
    board.close(None)
    tokens = re.findall(r"^::stop-commands::(\w{32})$", stream.getvalue(), re.MULTILINE)

    assert len(set(tokens)) == 2


def test_a_task_without_output_has_no_group() -> None:
    stream = io.StringIO()
    board = GitHubBoard(stream)
    board.ended(replace(CORE, state=TaskState.CACHED))

    assert stream.getvalue() == f"cached    {CORE.id}\n"


def test_a_very_long_log_keeps_its_ends() -> None:
    stream = io.StringIO()
    board = GitHubBoard(stream)
    board.started(CORE.id, deadline=None)
    for at in range(5000):
        board.line(CORE.id, f"line {at}.")
    board.ended(CORE)
    board.close(None)
    text = stream.getvalue()

    assert "line 0.\n" in text
    assert "line 199.\n... 800 lines left out here; the whole log is an artifact of this run\nline 1000.\n" in text
    assert "line 4999.\n" in text


def test_a_failed_task_is_annotated_once() -> None:
    stream = io.StringIO()
    board = GitHubBoard(stream)
    board.started(CORE.id, deadline=None)
    board.ended(replace(CORE, state=TaskState.FAILED, message="exit code 1, see a,b:c"))
    board.close(RUN)

    assert f"::error title={CORE.id.replace(':', '%3A')} failed::exit code 1, see a,b:c\n" in stream.getvalue()


def test_a_failed_gate_task_without_verdicts_is_annotated() -> None:
    task = replace(CORE, kind=TaskKind.GATE, id="gate:x", state=TaskState.FAILED, cells=("a/b/c",), message="no bundle")
    stream = io.StringIO()
    board = GitHubBoard(stream)
    board.ended(task)
    board.close(replace(RUN, tasks=(task,), cells=()))

    assert stream.getvalue().count("::error title=gate%3Ax failed::no bundle\n") == 1


def test_what_is_not_proven_is_a_warning() -> None:
    cell = replace(RUN.cells[0], state=CellState.PASSED, verdicts=())
    cells = tuple(replace(cell, id=f"a/b/{at}") for at in range(12))
    stream = io.StringIO()
    GitHubBoard(stream).close(replace(RUN, cells=cells, tasks=()))

    assert "::warning title=12 cells not proven::a/b/0: no gate ran; " in stream.getvalue()
    assert "a/b/9: no gate ran; and 2 more\n" in stream.getvalue()


def test_a_run_cut_short_is_an_error() -> None:
    stream = io.StringIO()
    GitHubBoard(stream).close(None)

    assert "::error title=cut short::" in stream.getvalue()


def test_the_summary_is_appended_below_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * (SUMMARY_LIMIT - 2000))
    GitHubBoard(io.StringIO(), summary_path=path).close(RUN)

    assert SUMMARY_LIMIT - 2000 < path.stat().st_size < SUMMARY_LIMIT
    assert b"did not fit into this summary" in path.read_bytes()[-200:]


def test_a_summary_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    stream = io.StringIO()
    board = GitHubBoard(stream, summary_path=tmp_path / "missing" / "summary.md")
    board.close(RUN)

    assert "::warning title=job summary::the job summary was not written: " in stream.getvalue()
    assert board.trouble is None
