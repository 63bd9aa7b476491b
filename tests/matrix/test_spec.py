"""Sizes and times as they are written in matrix.yaml."""

from __future__ import annotations

import pytest

from pipeline.matrix import spec
from pipeline.matrix.spec import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "number"), [("40MB", 40_000_000), ("2GiB", 2**31), ("1.5kB", 1500), ("7B", 7), ("3KiB", 3072), ("0MB", 0)]
)
def test_parse_size(text: str, number: int) -> None:
    assert parse_size(text) == number


@pytest.mark.parametrize(
    ("text", "number"), [("90s", 90), ("45m", 2700), ("1h30m", 5400), ("100ms", 0.1), ("1m1ms", 60.001)]
)
def test_parse_duration(text: str, number: float) -> None:
    assert parse_duration(text) == number


@pytest.mark.parametrize("text", ["", "40", "40 MB", "40mb", "-1MB", "40MB\n"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "90", "1m1h", "1.5h", "90s\n"])
def test_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_field_names_are_the_keys() -> None:
    assert spec.field_names(spec.Axes) == ("project", "platform", "variant")
