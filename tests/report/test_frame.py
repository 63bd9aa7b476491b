from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline.model import TaskState
from pipeline.report.frame import Counts, Running, frame
from pipeline.report.text import ASCII, UNICODE
from tests.report.builders import HOSTILE

CORE = "core:llama.cpp/linux-x86_64/core"


def _counts(total: int | None = None) -> Counts:
    counts = Counts(total=total)
    for state in (TaskState.DONE, TaskState.DONE, TaskState.CACHED, TaskState.FAILED, TaskState.BLOCKED):
        counts.add(state)
    return counts


def _lines(
    *running: Running, now: float = 60, width: int = 100, height: int = 24, ascii_only: bool = False
) -> list[str]:
    text = frame(
        running,
        _counts(total=12),
        now=now,
        width=width,
        height=height,
        glyphs=ASCII if ascii_only else UNICODE,
        encoding="ascii" if ascii_only else "utf-8",
    )
    return text.plain.split("\n")


def test_a_wide_terminal_shows_a_task_on_one_line() -> None:
    task = Running(task=CORE, began=0, deadline=240, last="cc ggml.c", notable="[3/9] Building")

    assert _lines(task) == [
        "5/12 · 1 running · 1 failed · 2 done · 1 cached · 1 blocked",
        f"{CORE}   1m00s / 4m00s ━━━─────────  [3/9] Building · cc ggml.c",
    ]


def test_a_narrow_terminal_shows_it_on_two() -> None:
    task = Running(task=CORE, began=0, deadline=3600, last="[3/9] Building C object ggml/src/ggml.c.o")

    assert _lines(task, width=40, ascii_only=True) == [
        "5/12 | 1 running | 1 failed | 2 done",
        "core:llama.c..x86_64/core 1m00s / 1h00m",
        "  [3/9] Building C object ggml/src/gg..",
    ]


def test_a_task_without_deadline_has_an_empty_bar() -> None:
    line = _lines(Running(task="image:build", began=0))[1]

    assert line.split() == ["image:build", "1m00s", "────────────"]


@pytest.mark.parametrize(("now", "style"), [(80, "cyan"), (81, "yellow"), (101, "red")])
def test_a_late_task_changes_colour(now: float, style: str) -> None:
    task = Running(task="x", began=0, deadline=100)
    text = frame([task], Counts(), now=now, width=100, height=24, glyphs=UNICODE)

    assert style in {str(span.style) for span in text.spans}


def test_more_tasks_than_lines_are_counted() -> None:
    tasks = [Running(task=f"t{at}", began=at) for at in range(10)]
    lines = _lines(*tasks, height=6)

    assert len(lines) == 5
    assert lines[1].startswith("t0 ")
    assert lines[-1] == "  … and 7 more"


@given(
    st.lists(st.text(st.characters(exclude_categories=()), max_size=60), min_size=1, max_size=5),
    st.integers(1, 200),
    st.integers(1, 40),
    st.booleans(),
    st.floats(0, 1e6),
)
def test_no_line_ever_wraps(texts: list[str], width: int, height: int, ascii_only: bool, now: float) -> None:
    tasks = [Running(task=text, began=0, deadline=9, last=text, notable=text[::-1]) for text in texts]
    lines = _lines(*tasks, now=now, width=width, height=height, ascii_only=ascii_only)

    assert all(cell_len(line) <= max(width - 1, 1) for line in lines)
    assert len(lines) <= max(height, 4)
    assert all(line.isascii() for line in lines) or not ascii_only


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_lines_move_no_cursor(text: str) -> None:
    lines = _lines(Running(task=text, began=0, last=text))

    assert all(sign.isprintable() for line in lines for sign in line)
