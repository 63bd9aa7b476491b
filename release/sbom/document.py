"""One bundle's software bill of materials: CycloneDX 1.6 as JSON, the same bytes for the same bundle and release time.

What stands in it comes from the archive's own bytes (every file with its digest) and from the run's report (images and
toolchain with their packages). What nobody recorded is said to be missing, never filled in.
"""

from __future__ import annotations

__all__ = ["MAX_SBOM_BYTES", "make_sbom"]

import uuid
from datetime import UTC, datetime

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

import pipeline
from pipeline.matrix.spec import Source
from release.errors import SealError
from release.model import ReleasedBundle, ReleaseId
from release.sbom.names import BUNDLE_REF, COMMIT, GAP, LINK, MATERIALS, PREFIX
from release.sbom.parts import file_components, material_components, source_component

MAX_SBOM_BYTES = 8 << 20
"""What ``read_sbom`` reads; a bundle of 50 files built in two images takes a twentieth of it."""

_GAPS = {
    "image": "No container image is listed: the run recorded none, or the bundle was built on a machine directly.",
    "toolchain": "No toolchain is listed: the run recorded none.",
}
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:llamatrix:sbom:v1")


def make_sbom(bundle: ReleasedBundle, release: ReleaseId, *, epoch: int, source: Source | None = None) -> bytes:
    """Write the SBOM of one bundle.

    Args:
        bundle: The bundle, measured.
        release: The release it is downloaded from.
        epoch: The release's own time; the wall clock would give other bytes each time.
        source: The pin in matrix.yaml, which knows where upstream lives; without it the source has a generic purl.

    Raises:
        SealError: The report holds a material that cannot be described, or the SBOM is too large to be read again.
    """
    archive = bundle.inspection
    upstream = source_component(archive.info.source, source)
    materials = material_components(bundle.materials, where=bundle.asset)
    files = file_components(archive)
    subject = _subject(bundle, release)
    bom = Bom(
        serial_number=_serial(bundle, release, epoch, source),
        metadata=BomMetaData(
            timestamp=datetime.fromtimestamp(epoch, tz=UTC),
            component=subject,
            lifecycles=[PredefinedLifecycle(phase=LifecyclePhase.BUILD)],
            tools=ToolRepository(
                components=[Component(type=ComponentType.APPLICATION, name="llamatrix", version=pipeline.__version__)]
            ),
            properties=_remarks(bundle),
        ),
        components=[upstream, *materials.all, *files],
    )
    bom.register_dependency(subject, [upstream, *materials.direct, *files])
    bom.register_dependency(upstream)
    for owner, packages in materials.within:
        bom.register_dependency(owner, packages)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    data = f"{text}\n".encode()
    if len(data) > MAX_SBOM_BYTES:
        msg = f"its SBOM would have {len(data)} bytes; at most {MAX_SBOM_BYTES} are read by those who verify"
        raise SealError(msg, where=bundle.asset, hint="the bundle holds too many files")
    return data


def _subject(bundle: ReleasedBundle, release: ReleaseId) -> Component:
    archive = bundle.inspection
    info = archive.info
    url = release.url(bundle.asset)
    digest = HashType(alg=HashAlgorithm.SHA_256, content=archive.sha256)
    purl = PackageURL(
        type="generic",
        name=bundle.cell.id.replace("/", "-"),
        version=release.version,
        qualifiers={"download_url": url, "checksum": f"sha256:{archive.sha256}"},
    )
    return Component(
        type=ComponentType.APPLICATION,
        bom_ref=BUNDLE_REF,
        name=bundle.asset,
        version=release.version,
        hashes=[digest],
        purl=purl,
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url), hashes=[digest])
        ],
        properties=[
            Property(name=f"{PREFIX}cell", value=bundle.cell.id),
            Property(name=f"{PREFIX}build-id", value=info.build_id),
            Property(name=f"{PREFIX}profile", value=info.profile.name),
            Property(name=f"{PREFIX}release", value=f"{release.repo} {release.tag}"),
            Property(name=COMMIT, value=release.commit),
            *(Property(name=LINK, value=f"{link.path} -> {link.target}") for link in archive.links),
        ],
    )


def _remarks(bundle: ReleasedBundle) -> list[Property]:
    """Say what this list does not hold, so that nobody takes a short list for a short bundle."""
    kinds = {material.kind for material in bundle.materials}
    gaps = [text for kind, text in _GAPS.items() if kind not in kinds]
    return [
        Property(name=MATERIALS, value="recorded" if kinds else "not recorded"),
        *(Property(name=GAP, value=text) for text in gaps),
    ]


def _serial(bundle: ReleasedBundle, release: ReleaseId, epoch: int, source: Source | None) -> uuid.UUID:
    """Give the same number to the same document only: whatever goes in is part of it."""
    parts = (
        pipeline.__version__,
        release.url(bundle.asset),
        release.commit,
        bundle.inspection.sha256,
        str(epoch),
        repr(source),
        *(repr(material) for material in bundle.materials),
    )
    return uuid.uuid5(_NAMESPACE, "\n".join(parts))
