"""Read a manifest that may be anything: bounded, strict, and only in the very bytes we would write.

Two steps, so that the message fits: first what kind of document it is and whether this version may read it, then all of
it. What was read is written again and must give the same bytes; that refuses, with one comparison, keys given twice,
other spellings of one number or text, and whatever else two JSON readers could understand differently.
"""

from __future__ import annotations

__all__ = ["MAX_BYTES", "read"]

from itertools import islice
from typing import NoReturn, TypeVar

import msgspec

from release.errors import ManifestError
from release.manifest.records import KIND, READER, SCHEMA_VERSION, Manifest
from release.manifest.rules import find_problems
from release.manifest.writing import render

MAX_BYTES = 16 << 20
"""The most a manifest may have; one for 60 bundles has some 400 kB."""

_SHOWN, _LONG = 20, 400
_DAMAGED = "download it again, and verify its signature before anything else"
_FOREIGN = "it was not written by this llamatrix: use the version that wrote it, or verify where it came from"
_Read = TypeVar("_Read")


class _Head(msgspec.Struct):
    """What decides whether the rest can be read."""

    kind: str
    schema_version: int
    min_reader: int


def read(data: bytes, *, where: str = "manifest.json") -> Manifest:
    """Give the records of ``data``, or say why it is no manifest of ours.

    Raises:
        ManifestError: Too large, no JSON, of another kind or a later version, unknown or wrong values, inconsistent, or
            not in the bytes we would write.
    """
    if len(data) > MAX_BYTES:
        _refuse(f"it has {len(data)} bytes, and at most {MAX_BYTES} are read", where, _DAMAGED)
    head = _decoded(data, _Head, where, _DAMAGED)
    if head.kind != KIND:
        _refuse(f"it is a {head.kind[:40]!r}, not a {KIND!r}", where, _DAMAGED)
    if head.schema_version != SCHEMA_VERSION or head.min_reader > READER:
        _refuse(
            f"it has schema_version {head.schema_version} and min_reader {head.min_reader}; this llamatrix reads "
            f"{SCHEMA_VERSION} and {READER}",
            where,
            "use a newer llamatrix",
        )
    manifest = _decoded(data, Manifest, where, _FOREIGN)
    problems = [_shortened(problem) for problem in islice(find_problems(manifest), _SHOWN)]
    if problems:
        _refuse(_listed(problems), where, _FOREIGN)
    if render(manifest) != data:
        _refuse("its bytes are not those we would write: a key is there twice, or it was reformatted", where, _FOREIGN)
    return manifest


def _decoded(data: bytes, kind: type[_Read], where: str, hint: str) -> _Read:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        _refuse(str(error), where, hint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _refuse(f"it is not JSON: {error}", where, _DAMAGED)
    except RecursionError:
        _refuse("it is not JSON of ours: it is nested too deeply", where, _DAMAGED)


def _shortened(problem: str) -> str:
    return problem if len(problem) <= _LONG else f"{problem[:_LONG]}..."


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems\n" + "\n".join(f"  - {problem}" for problem in problems)


def _refuse(what: str, where: str, hint: str) -> NoReturn:
    raise ManifestError(what, where=where, hint=hint)
