from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.rows import NotRunError
from benchmarks.timing import alternating, finish


def test_works_take_turns_in_changing_order_and_warm_rounds_do_not_count() -> None:
    calls: list[str] = []

    def work(name: str) -> float:
        calls.append(name)
        return len(calls)

    found = alternating({"a": lambda: work("a"), "b": lambda: work("b")}, runs=2, warm=1)

    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": (4, 5), "b": (3, 6)}


@pytest.mark.process
def test_a_command_that_fails_is_not_a_measurement() -> None:
    with pytest.raises(NotRunError, match="ended with 3: it broke"):
        finish((sys.executable, "-c", "import sys; print('it broke', file=sys.stderr); sys.exit(3)"), cwd=Path())


@pytest.mark.process
def test_a_command_that_is_not_there_is_not_a_measurement() -> None:
    with pytest.raises(NotRunError, match="cannot be started"):
        finish(("/nonexistent/program",), cwd=Path())
