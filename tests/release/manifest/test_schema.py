"""The published schema is current, says what our reader says, and only ever grows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from release.manifest.records import Manifest
from release.manifest.schema import SCHEMA_PATH, field_paths, json_schema, render, write_schema
from tests.release.manifest.paper import gpu_collection, write

FROZEN = Path(__file__).parents[2] / "golden" / "manifest-fields.txt"


def errors(data: object) -> list[str]:
    return [error.message for error in Draft202012Validator(json_schema()).iter_errors(data)]


def valid() -> Any:  # noqa: ANN401 - JSON, as parsed
    return json.loads(write(gpu_collection()))


def test_the_checked_in_file_is_current() -> None:
    assert SCHEMA_PATH.read_text(encoding="utf-8") == render(), "run: nox -s schema"


def test_it_is_only_ever_extended() -> None:
    frozen = set(FROZEN.read_text(encoding="utf-8").splitlines())
    current = set(field_paths())

    assert len(frozen) > 100
    assert sorted(frozen - current) == [], "a field that clients read is gone, or became optional or required"
    new = sorted(path for path in current - frozen if path.endswith(" required"))
    assert new == [], "a new field must be optional: earlier manifests do not have it; then add it to the frozen list"
    assert sorted(current - frozen) == [], f"new fields: add them to {FROZEN.name}, where they stay"


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_it_accepts_what_we_write() -> None:
    assert errors(valid()) == []


def test_a_later_manifest_stays_valid_under_it() -> None:
    data = valid()
    data["channel"] = "stable"
    data["projects"]["llama.cpp"]["platforms"]["linux-x86_64"]["variants"]["cpu"]["attest"]["score"] = 3

    assert errors(data) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("kind",), "something"),
        (("epoch",), 0),
        (("generated_at",), "yesterday"),
        (("release", "commit"), "abc"),
        (("provenance", "sha256"), "ABCD" * 16),
        (("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", "artifact", "size"), 0),
        (("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", "artifact", "size"), "7"),
        (("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", "artifact", "name"), "../x"),
        (("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", "probe", "argv"), []),
        (
            ("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", "attest", "gates", "abi"),
            "skipped",
        ),
        (("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", "requires", "vulkan"), {"api": "2"}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_it_refuses_wrong_values(path: tuple[str, ...], value: object) -> None:
    data = valid()
    node = data
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value

    assert errors(data)


@pytest.mark.parametrize("key", sorted(json_schema()["$defs"]["Manifest"]["required"]))
def test_it_asks_for_every_field(key: str) -> None:
    data = valid()
    del data[key]

    assert errors(data) == [f"'{key}' is a required property"]


def test_every_field_is_described_by_its_record() -> None:
    definitions = json_schema()["$defs"]

    assert set(definitions["Manifest"]["properties"]) == {"$schema", *Manifest.__struct_fields__} - {"schema"}
    assert definitions["Artifact"]["properties"]["unpacked_size"]["description"] == "What its files have together."
    assert all("description" in definition for definition in definitions.values())


def test_no_host_is_named_but_the_dialect() -> None:
    assert re.findall(r"https?://[a-z][^\"]*", render()) == ["https://json-schema.org/draft/2020-12/schema"]


def test_the_file_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "schema" / "manifest.schema.json"

    assert write_schema(path) == path
    assert json.loads(path.read_text(encoding="utf-8")) == json_schema()
