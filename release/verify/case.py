"""What the checks of one verification share: the folder, what is expected, and what was established so far."""

from __future__ import annotations

__all__ = ["Case", "Expected"]

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from release.keys.keyfile import PublicKey
from release.keys.trusted import Trusted
from release.manifest.records import Artifact, Manifest, VariantEntry
from release.model import Inspection
from release.verify.files import Files
from release.verify.findings import Findings
from release.verify.names import ARCHIVE_SUFFIX
from release.verify.program import Minisign


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the caller knows from elsewhere; None expects nothing.

    ``forged`` allows a rehearsal's bundles anywhere. ``vouchers`` is for what vouches for a release, without the rest.
    """

    key: PublicKey
    today: datetime.date
    repo: str | None = None
    tag: str | None = None
    commit: str | None = None
    at_least: int | None = None
    partial: bool = False
    deep: bool = True
    forged: bool = False
    vouchers: bool = False


@dataclass(kw_only=True, slots=True)
class Case:
    """One verification under way. What is None or missing could not be established, and a problem says why."""

    files: Files
    expected: Expected
    minisign: Minisign | None
    findings: Findings = field(default_factory=Findings)
    signed: Trusted | None = None
    sums: Mapping[str, str] = field(default_factory=dict)
    manifest: Manifest | None = None
    inspections: dict[str, Inspection] = field(default_factory=dict)
    genuine: set[str] = field(default_factory=set)
    """Files whose bytes have the digest that SHA256SUMS lists."""
    forged: bool | None = None

    @property
    def listed_bundles(self) -> tuple[str, ...]:
        """The archives that SHA256SUMS lists."""
        return tuple(name for name in self.sums if name.endswith(ARCHIVE_SUFFIX))

    @property
    def bundles(self) -> tuple[str, ...]:
        """Those of them that are here."""
        return tuple(name for name in self.listed_bundles if name in self.files)

    @property
    def missing(self) -> tuple[str, ...]:
        """What SHA256SUMS lists and is not here."""
        return tuple(name for name in self.sums if name not in self.files)

    def entries(self) -> Mapping[str, VariantEntry]:
        """Every variant of the manifest by its cell's id."""
        if self.manifest is None:
            return {}
        return {
            f"{project}/{platform}/{variant}": entry
            for project, of_project in self.manifest.projects.items()
            for platform, of_platform in of_project.platforms.items()
            for variant, entry in of_platform.variants.items()
        }

    def artifacts(self) -> tuple[tuple[str, Artifact], ...]:
        """Every archive the manifest offers, with the cell it is for; a companion may be there for several."""
        return tuple(
            (cell, artifact)
            for cell, entry in self.entries().items()
            for artifact in (entry.artifact, *entry.companions)
        )
