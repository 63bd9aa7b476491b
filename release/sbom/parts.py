"""What an SBOM is put together from: the source, the images and toolchains with their packages, and the files."""

from __future__ import annotations

__all__ = ["Materials", "file_components", "material_components", "source_component"]

from collections.abc import Iterable
from dataclasses import dataclass

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from packageurl import PackageURL

from pipeline.bundle.info import INFO_NAME, SourceInfo
from pipeline.matrix.spec import Source
from pipeline.report.record import Material
from release.errors import SealError
from release.model import FileDigest, Inspection
from release.provenance.remotes import github_name, public_remotes
from release.sbom.names import COMMIT, PATH, PREFIX, ROLE, SOURCE_REF

_LICENCES = "licenses/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Materials:
    """``direct`` are the images and toolchains, ``within`` what each holds, ``all`` every component once."""

    direct: tuple[Component, ...]
    within: tuple[tuple[Component, tuple[Component, ...]], ...]
    all: tuple[Component, ...]


def source_component(info: SourceInfo, source: Source | None) -> Component:
    """Describe the upstream source by its commit; ``source`` is its pin in matrix.yaml."""
    remotes = public_remotes(source)
    properties = [
        Property(name=ROLE, value="source"),
        Property(name=f"{PREFIX}source-version", value=info.version),
        Property(name=f"{PREFIX}source-digest", value=info.digest),
        Property(name=f"{PREFIX}source-proven", value="true" if info.proven else "false"),
    ]
    if info.commit is not None:
        properties.append(Property(name=COMMIT, value=info.commit))
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=SOURCE_REF,
        name=info.name,
        version=info.commit or info.version,
        purl=_source_purl(info, remotes),
        external_references=[ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(url)) for url in remotes],
        properties=properties,
    )


def _source_purl(info: SourceInfo, remotes: tuple[str, ...]) -> PackageURL:
    if info.commit is not None:
        for remote in remotes:
            name = github_name(remote)
            if name is not None:
                return PackageURL(type="github", namespace=name[0], name=name[1], version=info.commit)
    return PackageURL(type="generic", name=info.name, version=info.commit or info.version)


def material_components(materials: Iterable[Material], *, where: str) -> Materials:
    """Describe images and toolchains. A package that several of them hold is one component, as SBOMs want it."""
    packages: dict[str, Component] = {}
    owners: list[Component] = []
    within: list[tuple[Component, tuple[Component, ...]]] = []
    for material in sorted(materials, key=lambda material: material.id):
        match material.kind:
            case "image":
                owner = _owner(material, ComponentType.CONTAINER, ComponentScope.EXCLUDED)
                held = [_debian(name, version) for name, version in material.packages]
            case "toolchain":
                # No scope: a compiler leaves parts of itself in what it makes (zig its libc++ and compiler-rt).
                owner = _owner(material, ComponentType.APPLICATION, None)
                held = [_wheel(name, version) for name, version in material.packages]
            case _:
                msg = f"the report's material {material.id} is of an unknown kind: {material.kind}"
                raise SealError(msg, where=where, hint="use the llamatrix that built the bundles")
        owners.append(owner)
        within.append((owner, tuple(packages.setdefault(str(one.bom_ref.value), one) for one in held)))
    everything = (*owners, *packages.values())
    return Materials(direct=tuple(owners), within=tuple(within), all=everything)


def _owner(material: Material, kind: ComponentType, scope: ComponentScope | None) -> Component:
    properties = [
        Property(name=ROLE, value=material.kind),
        Property(name=f"{PREFIX}origin", value=material.origin),
        # Not a hash of CycloneDX: those are of a file's bytes, and this is an image's id or the digest of a lock file.
        Property(name=f"{PREFIX}digest", value=f"sha256:{material.digest}"),
    ]
    if not material.packages:
        properties.append(Property(name=f"{PREFIX}packages", value="not recorded"))
    return Component(
        type=kind,
        bom_ref=material.id,
        name=material.name,
        version=f"sha256:{material.digest}",
        scope=scope,
        properties=properties,
    )


def _debian(name: str, version: str) -> Component:
    """Describe a package as dpkg names it: ``libc6`` or ``libc6:amd64``."""
    plain, _, architecture = name.partition(":")
    qualifiers = {"arch": architecture} if architecture else {}
    purl = PackageURL(type="deb", namespace="debian", name=plain, version=version, qualifiers=qualifiers)
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        name=plain,
        version=version,
        scope=ComponentScope.EXCLUDED,
        purl=purl,
    )


def _wheel(name: str, version: str) -> Component:
    purl = PackageURL(type="pypi", name=name, version=version)
    return Component(type=ComponentType.LIBRARY, bom_ref=purl.to_string(), name=name, version=version, purl=purl)


def file_components(archive: Inspection) -> list[Component]:
    """Describe every regular file of the bundle by path and digest."""
    promised = _Promised(archive)
    return [
        Component(
            type=ComponentType.FILE,
            bom_ref=f"file:{file.path}",
            name=file.path.rpartition("/")[2],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file.sha256)],
            properties=[
                Property(name=PATH, value=file.path),
                Property(name=ROLE, value=promised.role(file)),
                Property(name=f"{PREFIX}size", value=str(file.size)),
            ],
        )
        for file in archive.files
    ]


class _Promised:
    """Tells what a file is from what BUILD_INFO.json promises; links lead promised names to the files behind them."""

    def __init__(self, archive: Inspection) -> None:
        self._programs = archive.info.programs
        self._libraries = set(archive.info.libraries)
        targets = {link.path: link.target for link in archive.links}
        for name in archive.info.libraries:
            seen = {name}
            # libggml.so leads to libggml.so.0, that to libggml.so.0.25.3; a ring of links ends too.
            while (name := targets.get(name, name)) not in seen:
                seen.add(name)
            self._libraries |= seen

    def role(self, file: FileDigest) -> str:
        if file.path == INFO_NAME:
            return "build-info"
        if file.path.startswith(_LICENCES):
            return "licence"
        if file.path in self._programs:
            return "program"
        return "library" if file.path in self._libraries else "data"
