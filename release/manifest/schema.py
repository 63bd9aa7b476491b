"""The JSON Schema of manifest.json, generated from ``records.py``: a public contract that is only ever extended.

``python -m release schema`` rewrites ``schema/manifest.schema.json``; one test proves that file current,
another that no field of an earlier version is gone. Unlike our own reader the schema allows keys it does not name, for
clients must ignore those: a manifest of a later version stays valid under an earlier schema.
"""

from __future__ import annotations

__all__ = ["SCHEMA_PATH", "field_paths", "json_schema", "render", "write_schema"]

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipeline.fieldtexts import field_texts
from release.folder import replace_file
from release.manifest import records
from release.manifest.records import SCHEMA_ID, Manifest

SCHEMA_PATH = Path(__file__).resolve().parents[2] / "schema" / "manifest.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Give the schema: what msgspec makes of the records, with the text below each field as its description."""
    schema = msgspec.json.schema(Manifest)
    definitions: dict[str, Any] = schema["$defs"]
    for record, key, text in field_texts(records):
        definitions[record]["properties"][key]["description"] = text
    for definition in definitions.values():
        definition.pop("additionalProperties", None)
    _plain_docs(definitions)
    plain: dict[str, Any] = json.loads(json.dumps(schema))  # defaults come as tuples
    return {"$schema": _DIALECT, "$id": SCHEMA_ID, "title": "manifest.json of llamatrix", **plain}


def _plain_docs(definitions: dict[str, Any]) -> None:
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = " ".join(definition["description"].split())


def field_paths() -> tuple[str, ...]:
    """Give every field as ``projects.*.platforms.*.default required``; ``*`` is any key, ``[]`` any item.

    The last word is ``required`` or ``optional``: what is required may never be left out again, since clients rely on
    it, and what comes later can only be optional, since earlier manifests lack it.
    """
    schema = json_schema()
    return tuple(sorted(set(_paths(schema["$defs"]["Manifest"], "", schema["$defs"]))))


def _paths(node: dict[str, Any], where: str, definitions: dict[str, Any]) -> Iterator[str]:
    if "$ref" in node:
        yield from _paths(definitions[node["$ref"].rpartition("/")[2]], where, definitions)
    for choice in node.get("anyOf", ()):
        yield from _paths(choice, where, definitions)
    for key, child in node.get("properties", {}).items():
        path = f"{where}.{key}".removeprefix(".")
        yield f"{path} {'required' if key in node.get('required', ()) else 'optional'}"
        yield from _paths(child, path, definitions)
    if isinstance(node.get("items"), dict):
        yield from _paths(node["items"], f"{where}[]", definitions)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _paths(node["additionalProperties"], f"{where}.*", definitions)


def render() -> str:
    """Give the schema as the text of its file, the same on every machine."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: Path) -> Path:
    """Write the schema's file anew."""
    replace_file(path, render().encode())
    return path
