from __future__ import annotations

import re
from pathlib import Path

from pipeline import errors
from pipeline.errors import PipelineError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"


def _classes() -> dict[str, type[PipelineError]]:
    return {name: getattr(errors, name) for name in errors.__all__ if name != "PipelineError"}


def test_every_failure_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in _classes().values()]

    assert len(codes) == len(set(codes))
    assert 0 not in codes


def test_the_page_lists_exactly_the_classes_with_their_codes() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert {name: int(code) for code, name in rows} == {name: cls.code for name, cls in _classes().items()}


def test_the_text_of_an_error_says_where_before_what() -> None:
    error = errors.MatrixError("unknown key", where="matrix.yaml:1:2", hint="remove it")

    assert str(error) == "matrix.yaml:1:2: unknown key"
    assert str(errors.UsageError("what")) == "what"
    assert error.hint == "remove it"
