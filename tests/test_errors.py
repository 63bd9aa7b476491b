from __future__ import annotations

import re
from pathlib import Path

from pipeline import errors
from pipeline.errors import PipelineError
from release import errors as release_errors

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"


def _classes() -> dict[str, type[PipelineError]]:
    both = [(module, name) for module in (errors, release_errors) for name in module.__all__ if name != "PipelineError"]
    found = {name: getattr(module, name) for module, name in both}
    assert len(found) == len(both)
    return found


def test_every_failure_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in _classes().values()]

    assert len(codes) == len(set(codes))
    assert 0 not in codes


def test_the_page_lists_exactly_the_classes_with_their_codes() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert {name: int(code) for code, name in rows} == {name: cls.code for name, cls in _classes().items()}


def test_no_class_is_left_out_of_what_its_module_offers() -> None:
    for module in (errors, release_errors):
        classes = {
            name
            for name, cls in vars(module).items()
            if isinstance(cls, type) and issubclass(cls, PipelineError) and cls.__module__ == module.__name__
        }

        assert {name for name in classes if not name.startswith("_")} == set(module.__all__)


def test_an_error_of_many_findings_lists_each_on_its_own_line() -> None:
    one = release_errors.VerifyError(["a is missing"], where="dist")
    two = release_errors.PreflightError(iter(["no token", "no tag"]), hint="mend both")

    assert str(one) == "dist: 1 problem\n  - a is missing"
    assert str(two) == "2 problems\n  - no token\n  - no tag"
    assert (two.problems, two.hint) == (("no token", "no tag"), "mend both")


def test_the_text_of_an_error_says_where_before_what() -> None:
    error = errors.MatrixError("unknown key", where="matrix.yaml:1:2", hint="remove it")

    assert str(error) == "matrix.yaml:1:2: unknown key"
    assert str(errors.UsageError("what")) == "what"
    assert error.hint == "remove it"
