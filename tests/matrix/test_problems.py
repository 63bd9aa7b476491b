"""How mistakes are worded, whatever stands in the file."""

from __future__ import annotations

import pytest

from pipeline.errors import MatrixError
from pipeline.matrix.document import parse
from pipeline.matrix.problems import Problems, did_you_mean, listing, nearest, one_line, unknown
from tests.matrix.builders import load_text, matrix_text


def test_nothing_wrong_raises_nothing() -> None:
    problems = Problems(parse("a: 1"))
    assert not problems
    assert problems.errors() == ()
    problems.check()


def test_every_problem_is_an_error_of_its_own_in_the_order_of_the_file() -> None:
    problems = Problems(parse("a: 1\nb: 2\n"))
    problems.add(("b",), "second", hint="do that")
    problems.add(("a",), "first", key=True)
    problems.add(("a",), "first", key=True)
    assert [(str(error), error.hint) for error in problems.errors()] == [
        ("matrix.yaml:1:1: first", None),
        ("matrix.yaml:2:4: second", "do that"),
    ]


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("deadlin", ["deadline", "memory"], "deadline"),
        ("Vulkan", ["vulkan", "cpu"], "vulkan"),
        ("linux", ["darwin-arm64", "linux-x86_64"], "linux-x86_64"),
        ("x", ["x86"], None),
        ("zzz", ["cpu"], None),
        ("", ["cpu"], None),
    ],
)
def test_nearest(word: str, known: list[str], expected: str | None) -> None:
    assert nearest(word, known) == expected
    assert did_you_mean(word, known) == (f"; did you mean {expected!r}?" if expected else "")


def test_listing_is_sorted_and_ends() -> None:
    assert listing([]) == "none"
    assert listing(["b", "a", "b"]) == "a, b"
    assert listing(f"{number:02}" for number in range(30)).endswith("22, 23 and 6 more")


def test_unknown() -> None:
    assert unknown("image", "flor", ["floor"]) == "unknown image 'flor'; did you mean 'floor'? allowed: floor"
    assert unknown("image", "x" * 100, ["floor"]) == f"unknown image '{'x' * 80}...'; allowed: floor"


def test_one_line() -> None:
    assert one_line("a\nb\x1b[31m\u2028c") == "a b [31m c"
    assert one_line("x" * 2000) == "x" * 1000 + "..."


def test_odd_text_in_the_file_cannot_break_a_message() -> None:
    text = matrix_text(
        ("  build: {suite: trixie}", '  "a\\nb\\e[31m": {suite: trixie}\n  build: {suite: trixie}'),
        ("image: build", "image: nope"),
    )
    with pytest.raises(MatrixError) as caught:
        load_text(text)
    assert str(caught.value).isprintable()
    assert (caught.value.hint or "").isprintable()


def test_a_very_long_tag_does_not_make_a_very_long_message() -> None:
    with pytest.raises(MatrixError) as caught:
        parse("a: !" + "x" * 100_000 + " 1")
    assert len(caught.value.what) < 1100
