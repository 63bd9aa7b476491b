from __future__ import annotations

from benchmarks.rows import Goal, Row, not_run, row
from benchmarks.table import render, totals

RESULTS: dict[str, list[Row]] = {
    "plan": [
        row("wall time", [0.2, 0.4], " s", goal=Goal(limit=0.35), note="as a process"),
        row("python -c pass", [0.01], " s"),
        row("slow", [2.0], " s", goal=Goal(limit=1)),
    ],
    "packing": [not_run("pack", "there is no zstd", " x", goal=Goal(limit=1.1))],
}


def test_the_table_shows_goals_beside_what_was_measured() -> None:
    assert render(RESULTS).splitlines() == [
        "measured            min   median  runs  goal",
        "-" * 52,
        "[plan]",
        "wall time       0.200 s  0.300 s     2  <= 0.350 s  met",
        "    as a process",
        "python -c pass  0.010 s  0.010 s     1              -",
        "slow                2 s      2 s     1  <= 1 s      missed",
        "",
        "[packing]",
        "pack                                 0  <= 1.10 x   not run: there is no zstd",
    ]


def test_totals_count_only_what_has_a_goal_or_is_missing() -> None:
    assert totals(RESULTS) == "1 met, 1 missed, 1 not run"
    assert totals({}) == "0 met, 0 missed, 0 not run"
