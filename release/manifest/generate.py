"""manifest.json out of a collection: nothing is typed in, all is measured, and what cannot be told is refused."""

from __future__ import annotations

__all__ = ["generate"]

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.matrix.spec import Release, Source
from release.errors import ManifestError
from release.manifest.measured import Facts
from release.manifest.reading import read
from release.manifest.records import (
    KIND,
    MOST,
    SCHEMA_ID,
    SCHEMA_VERSION,
    Manifest,
    MissingCell,
    PlatformEntry,
    Previous,
    ProjectEntry,
    Reference,
    ReleaseEntry,
    RevokedArchive,
    SourceEntry,
    VariantEntry,
)
from release.manifest.rules import find_problems
from release.manifest.variant import Setting, variant_of
from release.manifest.writing import digest_of, render
from release.model import Collection, ReleasedBundle, ReleaseId

_WHERE = "manifest.json"
_HINT = "mend matrix.yaml or build again; nothing was written"
_MIN_READER = 1
_DAY = 86_400
_GITHUB = re.compile(r"https://github\.com/([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+?)(?:\.git)?/?")


def generate(
    collection: Collection,
    release: ReleaseId,
    *,
    sboms: Mapping[str, Reference],
    provenance: Reference,
    previous: Manifest | None,
) -> bytes:
    """Write the manifest; the same input gives the same bytes.

    Args:
        collection: The bundles, measured and judged.
        release: The release they become.
        sboms: Each bundle's SBOM, by the bundle's asset name.
        provenance: The provenance of all bundles.
        previous: The manifest of the release before this one, read with ``read``.

    Raises:
        ManifestError: No acceptable manifest follows from this; every reason is listed.
    """
    rules = collection.matrix.release
    if rules is None:
        msg = "matrix.yaml has no release section"
        raise ManifestError(msg, where=_WHERE, hint="add it: order, defaults and drivers are decided there")
    maker = _Maker(collection=collection, release=release, rules=rules, sboms=sboms, previous=previous)
    projects = maker.projects()
    history = maker.history()
    maker.refuse()
    manifest = Manifest(
        schema=SCHEMA_ID,
        schema_version=SCHEMA_VERSION,
        kind=KIND,
        min_reader=_MIN_READER,
        epoch=rules.epoch,
        manifest_version=maker.version(),
        generated_at=_moment(collection.epoch),
        expires_at=_moment(collection.epoch + rules.lifetime_days * _DAY),
        release=ReleaseEntry(
            server=release.server,
            repo=release.repo,
            tag=release.tag,
            commit=release.commit,
            version=collection.version,
            previous=history,
        ),
        projects=projects,
        missing=tuple(MissingCell(cell=one.cell, reason=_line(one.reason)) for one in collection.missing),
        revoked=tuple(RevokedArchive(sha256=one.sha256, reason=_line(one.reason)) for one in rules.revoked),
        provenance=provenance,
    )
    maker.problems += find_problems(manifest)
    maker.refuse()
    data = render(manifest)
    # Constructors check no patterns: what we write must pass the door that everybody else's has to.
    if read(data, where=_WHERE) != manifest:
        msg = "what was written does not read back as the same records"
        raise ManifestError(msg, where=_WHERE, hint="this is a bug in llamatrix, please report it")
    return data


@dataclass(kw_only=True)
class _Maker:
    """The parts of one manifest, and what is wrong with them."""

    collection: Collection
    release: ReleaseId
    rules: Release
    sboms: Mapping[str, Reference]
    previous: Manifest | None
    problems: list[str] = field(default_factory=list)

    def refuse(self) -> None:
        """Stop if anything was found, listing all of it."""
        if self.problems:
            listed = "\n".join(f"  - {problem}" for problem in self.problems)
            count = len(self.problems)
            msg = f"no manifest follows from this: {count} problem{'s' if count != 1 else ''}\n{listed}"
            raise ManifestError(msg, where=_WHERE, hint=_HINT)

    def projects(self) -> dict[str, ProjectEntry]:
        """Make every project of the matrix, also one of which nothing is released yet."""
        self._check_inputs()
        return {
            name: ProjectEntry(
                description=_line(project.description),
                source=self._source(name),
                platforms=self._platforms(name),
            )
            for name, project in sorted(self.collection.matrix.projects.items())
        }

    def version(self) -> int:
        """Count on from the previous manifest; a higher epoch begins anew."""
        if self.previous is None or self.previous.epoch < self.rules.epoch:
            return 1
        return self.previous.manifest_version + 1

    def history(self) -> Previous | None:
        """Name the previous manifest by its digest."""
        if self.previous is None:
            return None
        if self.previous.epoch > self.rules.epoch:
            self.problems.append(
                f"the previous manifest has epoch {self.previous.epoch}, matrix.yaml's release.epoch is "
                f"{self.rules.epoch}: clients would refuse it; an epoch never goes down"
            )
        if self.previous.manifest_version == MOST and self.previous.epoch == self.rules.epoch:
            self.problems.append(
                f"the previous manifest has version {MOST}, the last there can be: raise matrix.yaml's release.epoch"
            )
        kept = {revoked.sha256 for revoked in self.rules.revoked}
        self.problems += [
            f"the previous manifest revokes {revoked.sha256} ({revoked.reason}), matrix.yaml's release.revoked "
            "does not: what was revoked stays so"
            for revoked in self.previous.revoked
            if revoked.sha256 not in kept
        ]
        if self.previous.generated_at > _moment(self.collection.epoch):
            self.problems.append(
                f"the previous manifest was made on {self.previous.generated_at}, after this one's time "
                f"{_moment(self.collection.epoch)}"
            )
        return Previous(
            tag=self.previous.release.tag,
            manifest_version=self.previous.manifest_version,
            sha256=digest_of(self.previous),
        )

    def _check_inputs(self) -> None:
        if self.release.version != self.collection.version:
            self.problems.append(f"the tag {self.release.tag} is not that of version {self.collection.version}")
        assets = {bundle.asset for bundle in self.collection.bundles}
        self.problems += [f"{asset} has no SBOM" for asset in sorted(assets - self.sboms.keys())]
        self.problems += [
            f"there is an SBOM for {asset}, which is no bundle" for asset in sorted(self.sboms.keys() - assets)
        ]

    def _bundles(self, project: str) -> Iterator[ReleasedBundle]:
        return (bundle for bundle in self.collection.bundles if bundle.cell.project == project)

    def _source(self, project: str) -> SourceEntry:
        name = self.collection.matrix.projects[project].source
        source = self.collection.matrix.sources[name]
        digests = sorted({bundle.inspection.info.source.digest for bundle in self._bundles(project)})
        commits = sorted({str(bundle.inspection.info.source.commit) for bundle in self._bundles(project)})
        if len(digests) > 1 or commits not in ([], [str(source.commit)]):
            self.problems.append(f"{project}: its bundles are not all of the pinned source ({', '.join(commits)})")
        return SourceEntry(
            name=name,
            version=source.version,
            commit=source.commit,
            digest=digests[0] if digests else None,
            purl=_purl(source),
        )

    def _platforms(self, project: str) -> dict[str, PlatformEntry]:
        bundles = list(self._bundles(project))
        return {
            platform: self._platform(
                platform, {one.cell.variant: one for one in bundles if one.cell.platform == platform}
            )
            for platform in sorted({bundle.cell.platform for bundle in bundles})
        }

    def _platform(self, platform: str, bundles: Mapping[str, ReleasedBundle]) -> PlatformEntry:
        default = self.rules.defaults.get(platform, "")
        if not default:
            self.problems.append(f"matrix.yaml's release.defaults names no variant for {platform}")
        setting = Setting(
            matrix=self.collection.matrix, rules=self.rules, release=self.release, base=bundles.get(default)
        )
        variants: dict[str, VariantEntry] = {}
        for name, bundle in sorted(bundles.items()):
            facts = Facts(bundle)
            sbom = self.sboms.get(bundle.asset)
            entry = variant_of(facts, setting, sbom) if sbom is not None else None
            self.problems += facts.problems
            if entry is not None:
                variants[name] = entry
        return PlatformEntry(
            default=default,
            order=tuple(name for name in self.rules.order if name in bundles),
            variants=variants,
        )


def _line(text: str) -> str:
    return " ".join(text.split())


def _moment(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _purl(source: Source) -> str | None:
    """Name the commit where upstream lives; package URLs write GitHub's names in lower case."""
    if source.commit is None:
        return None
    for mirror in source.mirrors:
        match = _GITHUB.fullmatch(mirror.git or "")
        if match is not None:
            return f"pkg:github/{match[1].lower()}/{match[2].lower()}@{source.commit}"
    return None
