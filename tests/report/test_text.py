from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline.report.text import (
    ASCII,
    UNICODE,
    charset_of,
    clean,
    count,
    fits,
    pad,
    seconds_text,
    shorten,
    size_text,
    wrap,
)

ANY = st.text(st.characters(exclude_categories=()), max_size=200)


@given(ANY)
def test_a_clean_line_holds_nothing_invisible(text: str) -> None:
    line = clean(text)

    assert not [sign for sign in line if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    line.encode("utf-8")


@given(ANY)
def test_cleaning_a_clean_line_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(ANY, st.integers(1, 50))
def test_a_limit_holds(text: str, limit: int) -> None:
    assert len(clean(text, limit)) <= limit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("10%\r20%\r\n", "10% 20%"),
        ("a\tb", "a b"),
        ("a\u202eb", "a\\u202eb"),
        ("nul\x00", "nul\\x00"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("naïve – 日本", "naïve – 日本"),  # noqa: RUF001 - an en dash must survive
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_clean_looks_at_the_start_of_a_huge_line_only() -> None:
    assert clean("x" * 10_000_000, 10) == "xxxxxxxxx…"


@given(ANY, st.sampled_from(["ascii", "latin-1", "utf-8", "cp437", "no-such-encoding", None]))
def test_what_fits_can_be_written(text: str, encoding: str | None) -> None:
    fits(clean(text), encoding).encode("ascii" if encoding in {None, "no-such-encoding"} else encoding)


def test_ascii_gets_ascii_signs() -> None:
    assert fits("cut… – ━─·", "ascii") == "cut.. - #-|"  # noqa: RUF001 - see above
    assert charset_of("ascii") is ASCII
    assert charset_of(None) is ASCII
    assert charset_of("no-such-encoding") is ASCII
    assert charset_of("utf-8") is UNICODE


@given(ANY, st.integers(0, 60), st.booleans())
def test_short_text_is_short(text: str, width: int, middle: bool) -> None:
    assert cell_len(shorten(clean(text), width, middle=middle)) <= width


def test_the_middle_goes_first() -> None:
    assert shorten("llama.cpp/linux-x86_64/vulkan", 15, middle=True) == "llama.c…/vulkan"
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcdef", 1) == "a"


@given(ANY, st.integers(2, 60))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    lines = wrap(clean(text), width)

    assert "".join("".join(lines).split()) == "".join(clean(text).split())
    assert all(cell_len(line) <= width for line in lines)


def test_padding() -> None:
    assert pad("ab", 4) == "ab  "
    assert pad("ab", 4, right=True) == "  ab"
    assert pad("日本", 5) == "日本 "


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (24_900_000, "24.9 MB"),
        (2_147_483_648, "2.15 GB"),
    ],
)
def test_sizes(size: int | None, expected: str) -> None:
    assert size_text(size) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, ""),
        (-1.0, "0.0s"),
        (0.44, "0.4s"),
        (9.96, "10s"),
        (53.0, "53s"),
        (59.7, "1m00s"),
        (533.0, "8m53s"),
        (3599.6, "1h00m"),
        (3720.0, "1h02m"),
    ],
)
def test_times(seconds: float | None, expected: str) -> None:
    assert seconds_text(seconds) == expected


def test_counts() -> None:
    assert [count(1, "cell"), count(2000, "cell"), count(2, "entry", "entries")] == [
        "1 cell",
        "2,000 cells",
        "2 entries",
    ]
