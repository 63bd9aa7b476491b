"""The release's vocabulary: frozen records that every step hands to the next. Sizes are bytes, digests are hex.

``collect`` makes a Collection out of dist/, ``seal`` makes a Sealed out of that, ``publish`` takes a Sealed.
"""

from __future__ import annotations

__all__ = [
    "Asset",
    "AssetKind",
    "Collection",
    "FileDigest",
    "Inspection",
    "LinkEntry",
    "Missing",
    "ReleaseId",
    "ReleasedBundle",
    "Sealed",
]

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.bundle.info import BuildInfo
from pipeline.matrix.cells import Cell
from pipeline.matrix.spec import MatrixFile
from pipeline.model import CellId, Status, Verdict
from pipeline.report.record import Material, RunReport


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseId:
    """Which release: ``repo`` is ``owner/name``, ``commit`` 40 hex digits, ``server`` the web address of the forge."""

    repo: str
    tag: str
    commit: str
    server: str = "https://github.com"

    @property
    def version(self) -> str:
        """The version the tag names: the tag without a leading ``v``."""
        return self.tag.removeprefix("v")

    def url(self, name: str) -> str:
        """Where an asset of this release is downloaded from."""
        return f"{self.server}/{self.repo}/releases/download/{self.tag}/{name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDigest:
    """One file inside a bundle; ``path`` is relative to the top folder."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkEntry:
    """One symbolic link inside a bundle."""

    path: str
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """One archive as its own bytes show it, read once from end to end."""

    path: Path
    top: str
    size: int
    unpacked_size: int
    sha256: str
    files: tuple[FileDigest, ...]
    links: tuple[LinkEntry, ...]
    info: BuildInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasedBundle:
    """One bundle of the release: the cell as planned, the archive as measured, and the verdicts on those bytes."""

    cell: Cell
    asset: str
    inspection: Inspection
    verdicts: tuple[Verdict, ...]
    materials: tuple[Material, ...]

    @property
    def waived(self) -> tuple[Verdict, ...]:
        """The verdicts a waiver stands in for."""
        return tuple(verdict for verdict in self.verdicts if verdict.status is Status.WAIVED)

    def measured(self, gate: str) -> Mapping[str, object]:
        """What one gate measured; empty when the cell does not declare that gate."""
        return next((verdict.measured for verdict in self.verdicts if verdict.gate == gate), {})


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A cell of the matrix that this release does not hold, and what it still needs."""

    cell: CellId
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """Everything a release is made of. ``epoch`` is the release's own time: seconds since 1970, an input.

    ``forged`` is true for bundles of the fake engine, which may be rehearsed with and never published.
    """

    folder: Path
    version: str
    epoch: int
    forged: bool
    matrix: MatrixFile
    report: RunReport
    bundles: tuple[ReleasedBundle, ...]
    missing: tuple[Missing, ...]


class AssetKind(StrEnum):
    """What an asset is; the order of the values is the order of the upload: what vouches for the rest goes last."""

    BUNDLE = "bundle"
    SBOM = "sbom"
    REPORT = "report"
    PROVENANCE = "provenance"
    MANIFEST = "manifest"
    SUMS = "sums"
    SIGNATURE = "signature"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One file of the release, as it lies on disk and as it must arrive."""

    name: str
    path: Path
    size: int
    sha256: str
    kind: AssetKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A release ready to publish. ``assets`` are in upload order; ``public_key`` is minisign's one-line form.

    ``manifest_sha256`` identifies the release: equal manifests mean equal bundles, SBOMs and provenance.
    """

    id: ReleaseId
    version: str
    assets: tuple[Asset, ...]
    notes: str
    manifest_sha256: str
    public_key: str
    prerelease: bool
    forged: bool

    @property
    def marker(self) -> str:
        """The line in the release's text by which we know a draft as ours."""
        return f"<!-- llamatrix: manifest-sha256={self.manifest_sha256} commit={self.id.commit} -->"

    def asset(self, name: str) -> Asset:
        """Give the asset of that name; KeyError when there is none."""
        for asset in self.assets:
            if asset.name == name:
                return asset
        raise KeyError(name)
