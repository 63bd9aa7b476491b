"""Seal a collection: SBOMs, provenance, manifest, checksums, signatures. No network; same input, same bytes."""

from __future__ import annotations

__all__ = ["MANIFEST_NAME", "NOTES_NAME", "PROVENANCE_NAME", "SIGNATURE_SUFFIX", "SUMS_NAME", "sbom_name", "seal"]

import hashlib
from pathlib import Path

from pipeline.report.document import HTML_NAME, JSON_NAME
from pipeline.report.html import render
from pipeline.report.text import clean
from release.errors import SealError
from release.folder import OWN_FOLDER, asset_of, replace_file
from release.keys.keyfile import SecretKey
from release.keys.minisign import sign_file
from release.keys.trusted import Trusted
from release.manifest.generate import generate
from release.manifest.reading import read
from release.manifest.records import Manifest, Reference
from release.model import Asset, AssetKind, Collection, ReleasedBundle, ReleaseId, Sealed
from release.notes.render import render_notes
from release.provenance.bundle import sign_statement
from release.provenance.statement import make_statement
from release.sbom.document import make_sbom
from release.sums import write_sums
from release.verify.names import OWN_FOLDERS

MANIFEST_NAME = "manifest.json"
PROVENANCE_NAME = "provenance.intoto.jsonl"
SUMS_NAME = "SHA256SUMS"
SIGNATURE_SUFFIX = ".minisig"
NOTES_NAME = "notes.md"
_SBOM_SUFFIX = ".cdx.json"
_ARCHIVE_SUFFIX = ".tar.zst"
_SHOWN = 200


def sbom_name(asset: str) -> str:
    """Name a bundle's SBOM; it lies beside the bundle, since a release's assets are flat."""
    return asset.removesuffix(_ARCHIVE_SUFFIX) + _SBOM_SUFFIX


def seal(collection: Collection, release: ReleaseId, key: SecretKey, *, previous: Manifest | None) -> Sealed:
    """Write everything that vouches for the bundles beside them, and give the release as it must arrive.

    The order follows what refers to what: the manifest names the SBOMs and the provenance by digest, the checksums name
    all of them, and the signatures' trusted comments name the manifest.

    Args:
        collection: The bundles, collected and measured.
        release: The release they become.
        key: What signs; it is used here and nowhere later.
        previous: The manifest of the release before this one, whose version ours must exceed.

    Raises:
        SealError: A file cannot be written or is in the way.
        ManifestError: No acceptable manifest follows from the collection.
    """
    if release.version != collection.version:
        msg = f"the tag {release.tag} names version {release.version}, the bundles are {collection.version}"
        raise SealError(
            msg, hint=f"set matrix.yaml's version to {release.version} and build, or tag v{collection.version}"
        )
    _refuse_strays(collection)
    assets = [_bundle_asset(bundle) for bundle in collection.bundles]
    sboms = [_sbom(bundle, release, collection) for bundle in collection.bundles]
    reports = [
        asset_of(collection.folder / JSON_NAME, AssetKind.REPORT),
        # Made again from the report: what people read is then what was checked, whatever lay there.
        _written(collection.folder / HTML_NAME, render(collection.report).encode(), AssetKind.REPORT),
    ]
    provenance = _written(
        collection.folder / PROVENANCE_NAME,
        sign_statement(make_statement(collection, release), key),
        AssetKind.PROVENANCE,
    )
    references = {
        bundle.asset: Reference(name=sbom.name, sha256=sbom.sha256)
        for bundle, sbom in zip(collection.bundles, sboms, strict=True)
    }
    data = generate(
        collection,
        release,
        sboms=references,
        provenance=Reference(name=provenance.name, sha256=provenance.sha256),
        previous=previous,
    )
    manifest = _written(collection.folder / MANIFEST_NAME, data, AssetKind.MANIFEST)
    signer = _Signer(collection, release, key, manifest.sha256)
    assets += [*sboms, *reports, provenance, manifest, signer.sign(manifest)]
    sums = _written(collection.folder / SUMS_NAME, write_sums(assets), AssetKind.SUMS)
    assets += [sums, signer.sign(sums)]
    sealed = Sealed(
        id=release,
        version=collection.version,
        assets=_in_upload_order(assets),
        notes=_notes(collection, release, data, previous, key),
        manifest_sha256=manifest.sha256,
        public_key=key.public.text,
        prerelease="-" in release.version,
        forged=collection.forged,
    )
    replace_file(collection.folder / OWN_FOLDER / NOTES_NAME, f"{sealed.notes}\n{sealed.marker}\n".encode())
    return sealed


class _Signer:
    """Signs files, each with a trusted comment that ties it to this release, so that no old signature passes for it."""

    def __init__(self, collection: Collection, release: ReleaseId, key: SecretKey, manifest: str) -> None:
        self._epoch = collection.epoch
        self._release = release
        self._key = key
        self._manifest = manifest

    def sign(self, asset: Asset) -> Asset:
        trusted = Trusted(
            repo=self._release.repo,
            tag=self._release.tag,
            commit=self._release.commit,
            manifest_sha256=self._manifest,
            file=asset.name,
            epoch=self._epoch,
        )
        untrusted = f"signature of {asset.name} by {self._release.repo}"
        text = sign_file(asset.path, self._key, trusted=trusted.text, untrusted=untrusted)
        path = asset.path.with_name(asset.name + SIGNATURE_SUFFIX)
        return _written(path, text.encode("ascii"), AssetKind.SIGNATURE)


def _written(path: Path, data: bytes, kind: AssetKind) -> Asset:
    # Never half-made among the assets: what a kill left there would stop the next seal.
    replace_file(path, data, half=path.parent / OWN_FOLDER)
    return Asset(name=path.name, path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest(), kind=kind)


def _bundle_asset(bundle: ReleasedBundle) -> Asset:
    measured = bundle.inspection
    return Asset(
        name=bundle.asset, path=measured.path, size=measured.size, sha256=measured.sha256, kind=AssetKind.BUNDLE
    )


def _sbom(bundle: ReleasedBundle, release: ReleaseId, collection: Collection) -> Asset:
    source = collection.matrix.sources.get(bundle.inspection.info.source.name)
    data = make_sbom(bundle, release, epoch=collection.epoch, source=source)
    return _written(collection.folder / sbom_name(bundle.asset), data, AssetKind.SBOM)


def _in_upload_order(assets: list[Asset]) -> tuple[Asset, ...]:
    """What vouches for the rest goes last, big files first: an interrupted upload has the slow part behind it."""
    kinds = list(AssetKind)
    return tuple(sorted(assets, key=lambda asset: (kinds.index(asset.kind), -asset.size, asset.name)))


def _notes(
    collection: Collection, release: ReleaseId, manifest: bytes, previous: Manifest | None, key: SecretKey
) -> str:
    # Read back from the bytes that are signed, so that the text can say nothing else.
    sealed = read(manifest, where=MANIFEST_NAME)
    return render_notes(collection, release, sealed, previous=previous, public_key=key.public.text)


def _names(collection: Collection) -> set[str]:
    signed = (MANIFEST_NAME, SUMS_NAME)
    bundles = [bundle.asset for bundle in collection.bundles]
    return {
        *bundles,
        *(sbom_name(asset) for asset in bundles),
        *signed,
        *(f"{name}{SIGNATURE_SUFFIX}" for name in signed),
        *(JSON_NAME, HTML_NAME, PROVENANCE_NAME),
    }


def _refuse_strays(collection: Collection) -> None:
    """What nothing vouches for must not lie among what is published: an old SBOM of ours goes, others stop us.

    This is looked at before anything is signed.
    """
    names = _names(collection)
    for path in sorted(collection.folder.iterdir()):
        real = not path.is_symlink()
        if real and (path.name in OWN_FOLDERS if path.is_dir() else path.is_file() and path.name in names):
            continue
        if real and path.is_file() and path.name.endswith(_SBOM_SUFFIX):
            path.unlink()
            continue
        how = (
            "is not the plain file or folder it should be"
            if path.name in names | OWN_FOLDERS
            else "belongs to none of its parts"
        )
        msg = f"{clean(path.name, _SHOWN)} lies among the release's files and {how}"
        raise SealError(
            msg,
            where=str(collection.folder),
            hint="move it elsewhere; what a release holds is decided by matrix.yaml",
        )
