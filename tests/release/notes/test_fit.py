"""Rows are cut from the least important part first, and counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.notes.fit import Part, fit

PARTS = (
    Part(head="# title\n"),
    Part(head="## low\n", rows=tuple(f"- low {at}\n" for at in range(20)), worth=1, noun="low"),
    Part(head="## high\n", rows=tuple(f"- high {at}\n" for at in range(20)), worth=2, noun="high"),
)


def test_what_fits_is_left_alone() -> None:
    whole = "\n".join(part.head + "".join(part.rows) for part in PARTS)

    assert fit(PARTS, 10_000) == whole
    assert fit(PARTS, len(whole)) == whole


def test_the_least_important_rows_go_first() -> None:
    text = fit(PARTS, 350)

    assert len(text) <= 350
    assert "high 19" in text
    assert "low 0\n" in text
    assert "\n11 lows did not fit here; manifest.json holds them all.\n" in text


def test_then_the_next_ones() -> None:
    text = fit(PARTS, 220)

    assert "- low" not in text
    assert "20 lows did not fit here" in text
    assert "- high 0\n" in text
    assert "- high 19\n" not in text


def test_what_cannot_be_cut_must_fit() -> None:
    with pytest.raises(ValueError, match="cannot be made to fit into 100 characters"):
        fit(PARTS, 100)


@given(sizes=st.lists(st.lists(st.integers(0, 30), max_size=12), min_size=1, max_size=4), limit=st.integers(320, 900))
def test_it_always_fits_and_no_row_is_lost_unsaid(sizes: list[list[int]], limit: int) -> None:
    parts = [
        Part(head=f"# {at}\n", rows=tuple(f"row {'x' * size}\n" for size in rows), worth=at)
        for at, rows in enumerate(sizes)
    ]

    text = fit(parts, limit)

    assert len(text) <= limit
    shown = text.count("row ")
    said = sum(int(line.split()[0].replace(",", "")) for line in text.splitlines() if "did not fit here" in line)
    assert shown + said == sum(map(len, sizes))
