"""Read an SBOM that anybody may have written, as far as it says something that can be checked against the archive."""

from __future__ import annotations

__all__ = ["BomFacts", "read_sbom"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, NoReturn

import msgspec
from msgspec import Meta, Struct, field

from pipeline.report.text import clean
from release.errors import VerifyError
from release.sbom.document import MAX_SBOM_BYTES
from release.sbom.names import BUNDLE_REF, COMMIT, MATERIALS, PATH, SOURCE_REF

_HINT = "take the SBOM from the release again; it is written by llamatrix and not edited"
_SHA256 = "SHA-256"
_SHOWN = 300

_Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Commit = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]


@dataclass(frozen=True, kw_only=True, slots=True)
class BomFacts:
    """What an SBOM claims of its bundle. ``files`` maps each path below the top folder to its SHA-256.

    ``source_commit`` is None for a source without a commit; ``materials_recorded`` is false if the SBOM itself says
    that images and toolchain are missing from it.
    """

    name: str
    sha256: str
    files: Mapping[str, str]
    source_commit: str | None
    materials_recorded: bool


class _Hash(Struct, frozen=True):
    alg: str
    content: str


class _Property(Struct, frozen=True):
    name: str
    value: str = ""


class _Component(Struct, frozen=True):
    type: str
    name: str
    ref: str = field(name="bom-ref", default="")
    hashes: tuple[_Hash, ...] = ()
    properties: tuple[_Property, ...] = ()

    def only(self, name: str) -> str | None:
        """Give the one value of a property; None without it, and two are refused."""
        return _only((found.value for found in self.properties if found.name == name), f"property {name}")

    def sha256(self) -> str:
        """Give the one SHA-256."""
        found = _only((one.content for one in self.hashes if one.alg == _SHA256), _SHA256)
        return _checked(found or "", _Digest, f"the SHA-256 of {self.name!r}")


class _Metadata(Struct, frozen=True):
    component: _Component
    properties: tuple[_Property, ...] = ()


class _Bom(Struct, frozen=True):
    # Only what is used is named here: the format is open, and msgspec steps over the rest without building it.
    bom_format: Literal["CycloneDX"] = field(name="bomFormat")
    spec_version: Literal["1.6"] = field(name="specVersion")
    metadata: _Metadata
    components: tuple[_Component, ...]


class _Unusable(Exception):  # noqa: N818  never leaves this module
    """The SBOM contradicts itself or lacks something; the message is one sentence."""


def read_sbom(data: bytes, *, where: str) -> BomFacts:
    """Read what an SBOM claims.

    Raises:
        VerifyError: It is too large, not CycloneDX 1.6, or does not name its bundle, source and files exactly once.
    """
    if len(data) > MAX_SBOM_BYTES:
        _refuse(f"it has {len(data)} bytes; at most {MAX_SBOM_BYTES} are read", where)
    try:
        return _facts(msgspec.json.decode(data, type=_Bom))
    except msgspec.ValidationError as error:
        _refuse(f"it is no SBOM of llamatrix: {error}", where)
    # msgspec reports bad UTF-8 as a ValueError, and brackets without end as RecursionError.
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        _refuse(f"it is not JSON: {error}", where)
    except _Unusable as error:
        _refuse(str(error), where)


def _facts(bom: _Bom) -> BomFacts:
    subject = bom.metadata.component
    if subject.ref != BUNDLE_REF:
        msg = f"its subject is called {subject.ref!r} and not {BUNDLE_REF!r}"
        raise _Unusable(msg)
    sources = [component for component in bom.components if component.ref == SOURCE_REF]
    if len(sources) != 1:
        msg = f"it names {len(sources)} sources; a bundle has one"
        raise _Unusable(msg)
    commit = sources[0].only(COMMIT)
    recorded = _only((found.value for found in bom.metadata.properties if found.name == MATERIALS), MATERIALS)
    if recorded not in {"recorded", "not recorded"}:
        msg = "it does not say whether images and toolchain were recorded"
        raise _Unusable(msg)
    return BomFacts(
        name=subject.name,
        sha256=subject.sha256(),
        files=_files(bom.components),
        source_commit=None if commit is None else _checked(commit, _Commit, "the commit of the source"),
        materials_recorded=recorded == "recorded",
    )


def _files(components: Iterable[_Component]) -> Mapping[str, str]:
    files: dict[str, str] = {}
    for component in components:
        if component.type != "file":
            continue
        path = component.only(PATH)
        if not path:
            msg = f"the file {component.name!r} has no path"
            raise _Unusable(msg)
        if path in files:
            msg = f"it names {path!r} twice"
            raise _Unusable(msg)
        files[path] = component.sha256()
    if not files:
        msg = "it names no file"
        raise _Unusable(msg)
    return MappingProxyType(files)


def _only(values: Iterable[str], what: str) -> str | None:
    found = list(values)
    if len(found) > 1:
        msg = f"it gives {what} twice where one is expected"
        raise _Unusable(msg)
    return found[0] if found else None


def _checked(value: str, shape: object, what: str) -> str:
    try:
        return str(msgspec.convert(value, shape))
    except msgspec.ValidationError:
        msg = f"{what} is missing or malformed"
        raise _Unusable(msg) from None


def _refuse(problem: str, where: str) -> NoReturn:
    raise VerifyError([clean(problem, _SHOWN)], where=where, hint=_HINT)
