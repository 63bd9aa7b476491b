"""The JSON Schema in the repository is current, accepts matrix.yaml and refuses what the loader refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipeline.matrix.document import parse
from pipeline.matrix.schema import SCHEMA_PATH, json_schema, main, render
from pipeline.matrix.spec import MatrixFile
from tests.matrix.builders import MATRIX, MISTAKES, Mistake

MATRIX_YAML = Path(__file__).parents[2] / "matrix.yaml"
SHAPE = [mistake for mistake in MISTAKES if mistake.name.startswith("shape-")]


def errors(data: object) -> list[str]:
    return [error.message for error in Draft202012Validator(json_schema()).iter_errors(data)]


def test_the_checked_in_file_is_current() -> None:
    assert SCHEMA_PATH.read_text(encoding="utf-8") == render(), "run: python -m pipeline.matrix.schema"


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_it_accepts_our_matrix() -> None:
    assert errors(yaml.safe_load(MATRIX_YAML.read_text(encoding="utf-8"))) == []
    assert errors(yaml.safe_load(MATRIX)) == []


@pytest.mark.parametrize("mistake", SHAPE, ids=lambda mistake: str(mistake.name))
def test_it_refuses_every_mistake_of_shape(mistake: Mistake) -> None:
    assert errors(parse(mistake.text).data)


@pytest.mark.parametrize("profile", ["local", "release"])
def test_it_asks_for_both_profiles(profile: str) -> None:
    data: Any = yaml.safe_load(MATRIX)
    del data["profiles"][profile]
    assert errors(data) == [f"'{profile}' is a required property"]


def test_descriptions_come_from_the_records() -> None:
    image = json_schema()["$defs"]["Mirror"]["properties"]["git"]
    assert image["description"] == "A git remote that serves the pinned commit."


def test_no_host_is_named_but_the_dialect() -> None:
    assert re.findall(r"https?://[^\"]*", render()) == ["https://json-schema.org/draft/2020-12/schema"]


def test_every_key_of_the_matrix_is_in_it() -> None:
    assert set(json_schema()["$defs"]["MatrixFile"]["properties"]) == set(MatrixFile.__struct_fields__)


def test_main_writes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "schema" / "matrix.schema.json"
    assert main([str(path)]) == 0
    assert json.loads(path.read_text(encoding="utf-8")) == json_schema()
