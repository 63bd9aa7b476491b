"""Each mistake of mistakes.yaml is told with its place, and what is right loads."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import MatrixError
from pipeline.matrix import load as load_module
from pipeline.matrix.document import parse
from pipeline.matrix.load import convert, load
from pipeline.matrix.problems import Problems
from pipeline.matrix.shape import find_problems
from pipeline.matrix.spec import MatrixFile
from tests.matrix.builders import MATRIX, MISTAKES, Mistake, load_text, matrix_text, position_of


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake.name))
def test_each_mistake_is_told_with_its_place(mistake: Mistake) -> None:
    where, text = position_of(mistake.marked, "§"), mistake.text
    with pytest.raises(MatrixError) as caught:
        load_text(text)
    assert mistake.says in caught.value.what
    assert caught.value.where == where
    assert "\n" not in f"{caught.value} {caught.value.hint}"


def test_the_whole_message_is_one_line_a_person_can_act_on() -> None:
    text = matrix_text(("    deadline: 60m", "    deadlin: 60m"))
    with pytest.raises(MatrixError) as caught:
        load_text(text)
    assert str(caught.value) == (
        "matrix.yaml:47:5: unknown key 'deadlin' in a component; did you mean 'deadline'? allowed: cpu_variants, "
        "deadline, engines, image, libraries, licences, memory, options, programs, script, tests, toolchain"
    )
    assert caught.value.hint is None
    assert caught.value.code == 3


def test_an_unquoted_number_is_advised_quotes_as_it_was_written() -> None:
    with pytest.raises(MatrixError) as caught:
        load_text(matrix_text(('glibc: "2.28"', "glibc: 2.30")))
    assert caught.value.hint == 'write it in quotes: "2.30"'


def test_a_quoted_number_is_advised_no_quotes() -> None:
    with pytest.raises(MatrixError) as caught:
        load_text(matrix_text(("compression: 3", 'compression: "3"')))
    assert caught.value.hint == "remove the quotes"


def test_further_mistakes_are_named_after_the_first() -> None:
    edits = [("suite: trixie", "suit: trixie"), ("{os: linux", "{os: linus"), ("repro: false", "repro: 0")]
    with pytest.raises(MatrixError) as caught:
        load_text(matrix_text(*edits))
    assert caught.value.where == "matrix.yaml:10:22"
    assert caught.value.hint == "2 more after this one: matrix.yaml:37:11, matrix.yaml:71:12"


def test_very_many_mistakes_stay_one_line() -> None:
    text = MATRIX + "".join(f"k{number}: 1\n" for number in range(1000))
    with pytest.raises(MatrixError) as caught:
        load_text(text)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("199 more after this one: matrix.yaml:")
    assert caught.value.hint.endswith(" ...")


def test_the_hint_of_the_first_comes_before_the_others() -> None:
    with pytest.raises(MatrixError) as caught:
        load_text(matrix_text(('glibc: "2.28"', "glibc: 2.28"), ("spirv_min: 500", "spirv_min: x")))
    assert caught.value.hint == 'write it in quotes: "2.28"; 1 more after this one: matrix.yaml:95:30'


def test_a_place_inside_an_alias_is_where_the_text_stands() -> None:
    text = matrix_text(
        ("    libraries: [libggml-base.so, libggml.so, libllama.so]", "    libraries: &libs [a/b.so]"),
        ("    libraries: [libggml-vulkan.so]", "    libraries: *libs"),
    )
    with pytest.raises(MatrixError) as caught:
        load_text(text)
    assert caught.value.where == position_of(text, "a/b.so")
    assert caught.value.hint is not None
    assert "more" not in caught.value.hint  # one mistake, although two components show it


def test_load_keeps_path_digest_and_places(tmp_path: Path) -> None:
    path = tmp_path / "matrix.yaml"
    path.write_text(MATRIX, encoding="utf-8")
    matrix = load(path)
    assert matrix.path == path
    assert matrix.sha256 == hashlib.sha256(MATRIX.encode()).hexdigest()
    assert matrix.file.axes.variant == ("cpu", "vulkan")
    assert matrix.where("overrides", 1, "cells") == position_of(MATRIX, '"*/*/vulkan"')
    assert matrix.where_key("components", "llama.cpp/linux-x86_64/core") == position_of(MATRIX, "llama.cpp/linux-x86")
    assert matrix.keys(("overrides", 0, "set")) == ("backends", "gates")


def test_too_many_cells_are_refused_before_they_are_made() -> None:
    names = [f"v{number}" for number in range(400)]
    variants = "".join(f"  {name}: {{description: x}}\n" for name in names)
    platforms_text = "platform: [linux-x86_64]"
    projects = "".join(f"  p{number}: {{source: llama.cpp, description: x}}\n" for number in range(400))
    text = matrix_text(
        ("[cpu, vulkan]", f"[{', '.join(names)}]"),
        ("project: [llama.cpp]", f"project: [{', '.join(f'p{number}' for number in range(400))}]"),
        ("variants:\n", f"variants:\n{variants}"),
        ("projects:\n", f"projects:\n{projects}"),
    )
    assert platforms_text in text
    with pytest.raises(MatrixError, match="the axes make 160000 cells, more than 100000"):
        load_text(text)


def test_a_mistake_only_msgspec_sees_still_gets_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "find_problems", lambda document, record, problems: None)
    with pytest.raises(MatrixError, match="unknown field") as caught:
        convert(parse(MATRIX + "zzz: 1\n"))
    assert caught.value.where == "matrix.yaml:1:1"


def test_a_type_the_walk_does_not_know_is_a_bug_in_it() -> None:
    class Odd(msgspec.Struct):
        share: float

    document = parse("share: 0.5\n")
    with pytest.raises(TypeError, match=r"spec\.py uses a type this walk does not know"):
        find_problems(document, Odd, Problems(document))


def refusal(text: str) -> MatrixError | None:
    try:
        load_text(text)
    except MatrixError as error:
        return error
    return None


_ODD = st.sampled_from(
    [None, True, False, 0, -1, 23, 1.5, "", "x", "1", "40MB", "90s", "linux", "docker", [], ["a"], [1], {}, {"a": 1}]
)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, child in value.items():
            found += _paths(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            found += _paths(child, (*path, index))
    return found


_DATA: dict[str, Any] = yaml.safe_load(MATRIX)
_PATHS = _paths(_DATA)[1:]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_PATHS), st.sampled_from(["set", "drop", "add"]), _ODD), max_size=3))
def test_the_walk_finds_a_mistake_exactly_when_msgspec_does(changes: list[tuple[Any, str, Any]]) -> None:
    data: Any = copy.deepcopy(_DATA)
    for path, action, value in changes:
        parent, odd = data, copy.deepcopy(value)
        try:
            for step in path[:-1]:
                parent = parent[step]
            if action == "set":
                parent[path[-1]] = odd
            elif action == "drop":
                del parent[path[-1]]
            else:
                parent[path[-1]]["added"] = odd
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    text = json.dumps(data)  # JSON is YAML, and quicker to write
    document = parse(text)
    problems = Problems(document)
    find_problems(document, MatrixFile, problems)
    try:
        msgspec.convert(document.data, MatrixFile)
    except msgspec.ValidationError:
        assert problems
    else:
        assert not problems
    found = refusal(text)
    if found is not None:
        assert (found.where or "").startswith("matrix.yaml:")
        assert "\n" not in f"{found} {found.hint}"
