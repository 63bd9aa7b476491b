"""The JSON Schema of matrix.yaml, generated from ``spec.py`` so that editors and our loader agree.

``python -m pipeline.matrix.schema`` rewrites ``schema/matrix.schema.json``; a test proves that file current.
"""

from __future__ import annotations

__all__ = ["SCHEMA_PATH", "json_schema", "main", "render", "write_schema"]

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from pipeline.fieldtexts import field_texts
from pipeline.matrix import spec
from pipeline.matrix.spec import MatrixFile

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_PATH = Path(__file__).resolve().parents[2] / "schema" / "matrix.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Give the schema: what msgspec makes of the records, with our field descriptions and the keys of ``profiles``."""
    schema = msgspec.json.schema(MatrixFile)
    definitions: dict[str, Any] = schema["$defs"]
    for record, key, text in field_texts(spec):
        definitions[record]["properties"][key]["description"] = text
    # msgspec checks the keys of a mapping when it converts, but leaves them out of the schema.
    for field in _fields(MatrixFile):
        if isinstance(field.type, inspect.DictType) and isinstance(field.type.key_type, inspect.LiteralType):
            names = sorted(str(value) for value in field.type.key_type.values)
            definitions["MatrixFile"]["properties"][field.encode_name] |= {
                "propertyNames": {"enum": names},
                "required": names,
            }
    plain: dict[str, Any] = json.loads(json.dumps(schema))  # defaults come as tuples
    return {"$schema": _DIALECT, "title": "matrix.yaml of llamatrix", **plain}


def _fields(record: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    kind = inspect.type_info(record)
    assert isinstance(kind, inspect.StructType)
    return kind.fields


def render() -> str:
    """Give the schema as the text of its file, the same on every machine."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: Path = SCHEMA_PATH) -> Path:
    """Write the schema and give back where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(), encoding="utf-8")
    return path


def main(arguments: Sequence[str]) -> int:
    """Write the schema to the path given, or to its place in the repository."""
    write_schema(Path(arguments[0]) if arguments else SCHEMA_PATH)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
