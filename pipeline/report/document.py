"""report.json: the run as a document that reads back as the same records.

The text is a pure function of the report: records keep the order of their fields, free mappings are sorted, and
everything outside of ASCII is escaped, so that hostile text is inert in any viewer. ``docs/report-json.md``
describes it for readers in other languages.
"""

from __future__ import annotations

__all__ = ["HTML_NAME", "JSON_NAME", "from_json", "to_json", "write"]

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import NoReturn

import msgspec

from pipeline.atomic import replace_whole
from pipeline.errors import InternalError, StoreError
from pipeline.report.html import render
from pipeline.report.record import REPORT_SCHEMA, RunReport

JSON_NAME = "report.json"
HTML_NAME = "report.html"


def _plain(value: object, where: str) -> object:
    """Turn records into what JSON has; anything it has no word for is a bug of whoever measured it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), f"{where}.{field.name}") for field in fields(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                msg = f"{key!r} is no key for JSON"
                raise InternalError(msg, where=where, hint="gates may measure JSON values only, under names")
        return {key: _plain(value[key], f"{where}.{key}") for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{at}]") for at, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    msg = f"{type(value).__name__} is no value for JSON"
    raise InternalError(msg, where=where, hint="gates may measure JSON values only")


def to_json(report: RunReport) -> str:
    """Write the document; the schema number comes first."""
    body = _plain(report, "report")
    assert isinstance(body, dict)
    document = {"schema": body.pop("schema"), **body}
    try:
        return json.dumps(document, indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        msg = f"a number that JSON has no word for: {error}"
        raise InternalError(msg, where="report", hint="gates may measure finite numbers only") from error


def _refuse(word: str) -> NoReturn:
    msg = f"{word} is no JSON"
    raise ValueError(msg)


def from_json(text: str, *, where: str = JSON_NAME) -> RunReport:
    """Read a document back; fields of a later version that this one does not know are passed over."""
    hint = "run the build again: it writes a new report"
    try:
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        msg = f"not a report: {error}"
        raise StoreError(msg, where=where, hint=hint) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != REPORT_SCHEMA or isinstance(schema, bool):
        msg = f"the report has schema {schema!r}, this version of llamatrix reads {REPORT_SCHEMA}"
        raise StoreError(msg, where=where, hint="use the version that wrote it, or build again")
    try:
        return msgspec.convert(document, RunReport)
    except msgspec.ValidationError as error:
        msg = f"not a report: {error}"
        raise StoreError(msg, where=where, hint=hint) from error


def write(report: RunReport, folder: Path) -> None:
    """Write report.json and report.html; each name holds the old or the new text whole, never a part."""
    texts = {JSON_NAME: to_json(report), HTML_NAME: render(report)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            replace_whole(folder / name, text.encode("utf-8"))
    except OSError as error:
        msg = f"the report cannot be written: {error.strerror or error}"
        raise StoreError(msg, where=str(folder), hint="make room, or give another folder") from error
