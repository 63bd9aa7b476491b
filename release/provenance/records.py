"""The provenance as records: an in-toto Statement v1 that carries SLSA provenance v1.

One definition writes and reads. The reader is strict on purpose: SLSA asks a verifier to refuse external parameters it
does not know, and a statement of this build type has exactly these keys. ``docs/provenance.md`` describes each of them.
"""

from __future__ import annotations

__all__ = [
    "BUILD_TYPE",
    "PREDICATE_TYPE",
    "STATEMENT_TYPE",
    "Annotations",
    "BuildDefinition",
    "Builder",
    "BundleRecipe",
    "DigestSet",
    "ExternalParameters",
    "InternalParameters",
    "InvocationMetadata",
    "MatrixReference",
    "Predicate",
    "ResourceDescriptor",
    "RunDetails",
    "Statement",
    "Subject",
    "encode",
]

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:llamatrix:build:v1"
"""Constant, so that a verifier can compare it; the project owns no domain to put it under."""

_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Commit = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}\Z")]
_Time = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z")]
_Text = Annotated[str, Meta(min_length=1, max_length=4096)]


class _Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Base of every record: frozen, keywords only, unknown keys refused, absent values left out."""


class Sha256Digest(_Record, frozen=True, kw_only=True):
    """A digest set with just a SHA-256."""

    sha256: _Sha256


class Subject(_Record, frozen=True, kw_only=True):
    """One bundle."""

    name: _Name
    digest: Sha256Digest


class MatrixReference(_Record, frozen=True, kw_only=True):
    """matrix.yaml by its version and the digest of its content; comments and layout do not count."""

    version: _Text
    digest: Sha256Digest


class ExternalParameters(_Record, frozen=True, kw_only=True):
    """What whoever started the build could choose."""

    repository: _Text
    tag: _Text
    version: _Text
    profile: _Text
    matrix: MatrixReference


class BundleRecipe(_Record, frozen=True, kw_only=True):
    """What one subject was made of: recipe keys by component, and which of the resolved dependencies it used."""

    cell: _Text
    build_id: _Text
    recipes: Mapping[_Text, _Text]
    dependencies: tuple[_Text, ...]


class InternalParameters(_Record, frozen=True, kw_only=True):
    """What the builder decided itself. ``forged`` marks a rehearsal: nothing in it was compiled."""

    engine: _Text
    machine: _Text
    forged: bool
    bundles: Mapping[_Name, BundleRecipe]


class Annotations(_Record, frozen=True, kw_only=True):
    """What else is known of a dependency; ``packages`` are ``name=version``."""

    kind: Literal["recipe", "source", "image", "toolchain"]
    version: str | None = None
    origin: str | None = None
    proven: bool | None = None
    packages: tuple[_Text, ...] = ()


class DigestSet(_Record, frozen=True, kw_only=True):
    """What pins a dependency; at least one of them is there. ``llamatrix_source`` is our digest of a source's tree."""

    git_commit: _Commit | None = None
    sha256: _Sha256 | None = None
    llamatrix_source: _Text | None = None


class ResourceDescriptor(_Record, frozen=True, kw_only=True):
    """One dependency."""

    name: _Text
    uri: str | None = None
    digest: DigestSet
    annotations: Annotations


class BuildDefinition(_Record, frozen=True, kw_only=True):
    """What was built, from what."""

    build_type: Literal["urn:llamatrix:build:v1"]
    external_parameters: ExternalParameters
    internal_parameters: InternalParameters
    resolved_dependencies: tuple[ResourceDescriptor, ...]


class Builder(_Record, frozen=True, kw_only=True):
    """Who vouches for it: ``id`` is the repository, ``version`` the tool and its version."""

    id: _Text
    version: Mapping[_Text, _Text]


class InvocationMetadata(_Record, frozen=True, kw_only=True):
    """The run whose report this release was made from."""

    invocation_id: Annotated[str, Meta(pattern=r"^urn:uuid:[0-9a-f-]{36}\Z")]
    started_on: _Time
    finished_on: _Time


class RunDetails(_Record, frozen=True, kw_only=True):
    """This particular build."""

    builder: Builder
    metadata: InvocationMetadata


class Predicate(_Record, frozen=True, kw_only=True):
    """SLSA provenance v1."""

    build_definition: BuildDefinition
    run_details: RunDetails


class Statement(_Record, frozen=True, kw_only=True):
    """An in-toto Statement v1 about every bundle of a release."""

    type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type")
    subject: Annotated[tuple[Subject, ...], Meta(min_length=1)]
    predicate_type: Literal["https://slsa.dev/provenance/v1"]
    predicate: Predicate

    @property
    def subjects(self) -> Mapping[str, str]:
        """SHA-256 by the bundle's name."""
        return {subject.name: subject.digest.sha256 for subject in self.subject}

    @property
    def commit(self) -> str | None:
        """The commit of the releasing repository, whose matrix.yaml and scripts made this; reading demands it."""
        return next((one.digest.git_commit for one in self._resolved("recipe")), None)

    @property
    def source_commits(self) -> Mapping[str, str]:
        """The commit of each upstream source that has one, by the source's name."""
        return {
            one.name.removeprefix("source:"): one.digest.git_commit
            for one in self._resolved("source")
            if one.digest.git_commit is not None
        }

    def _resolved(self, kind: str) -> tuple[ResourceDescriptor, ...]:
        found = self.predicate.build_definition.resolved_dependencies
        return tuple(one for one in found if one.annotations.kind == kind)


def encode(record: Struct) -> bytes:
    """Give the one form in which a record is written: sorted keys, no blanks, UTF-8."""
    return msgspec.json.encode(record, order="sorted")
