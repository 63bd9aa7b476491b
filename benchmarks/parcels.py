"""Sixty files such as a release has, of any size together: bundles, their SBOMs, and what vouches for them."""

from __future__ import annotations

__all__ = ["COUNT", "made_release", "parts", "read_release"]

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rows import NotRunError
from benchmarks.standin import COMMIT, REPO, TAG
from release.model import Asset, AssetKind, ReleaseId, Sealed

COUNT = 60
_BUNDLES = 26
_SBOM = 90_000
_OTHERS = (
    ("report.json", AssetKind.REPORT, 60_000),
    ("report.html", AssetKind.REPORT, 120_000),
    ("provenance.intoto.jsonl", AssetKind.PROVENANCE, 40_000),
    ("manifest.json", AssetKind.MANIFEST, 150_000),
    ("SHA256SUMS", AssetKind.SUMS, 6_000),
    ("SHA256SUMS.minisig", AssetKind.SIGNATURE, 400),
    ("manifest.json.minisig", AssetKind.SIGNATURE, 400),
)
_NOISE = 8 << 20
_LIST = "release.json"


def made_release(folder: Path, size: int) -> Sealed:
    """Write the files, ``size`` bytes in all, unless they are there; one list beside them describes them.

    Raises:
        NotRunError: There is no room for them.
    """
    planned = tuple(parts(size))
    sizes = {name: weight for name, _, weight in planned}
    place = folder / _LIST
    if place.is_file() and {each["name"]: each["size"] for each in json.loads(place.read_bytes())} == sizes:
        return read_release(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free
    if free < 2 * size + (4 << 30):
        msg = f"{2 * size / 1e9:.0f} GB and some room are needed, and {free / 1e9:.0f} GB are free"
        raise NotRunError(msg)
    noise = os.urandom(_NOISE)
    listed = []
    for name, kind, weight in planned:
        digest = _write(folder / name, weight, noise)
        listed.append({"name": name, "size": weight, "sha256": digest, "kind": kind.value})
    place.write_text(json.dumps(listed), encoding="utf-8")
    return read_release(folder)


def read_release(folder: Path) -> Sealed:
    """Describe the files as ``seal`` does."""
    assets = tuple(
        Asset(
            name=each["name"],
            path=folder / each["name"],
            size=each["size"],
            sha256=each["sha256"],
            kind=AssetKind(each["kind"]),
        )
        for each in json.loads((folder / _LIST).read_bytes())
    )
    return Sealed(
        id=ReleaseId(repo=REPO, tag=TAG, commit=COMMIT),
        version=TAG.removeprefix("v"),
        assets=assets,
        notes="Made up, to be measured.\n",
        manifest_sha256=next(asset.sha256 for asset in assets if asset.name == "manifest.json"),
        public_key="made up",
        prerelease=False,
        forged=False,
    )


def parts(size: int) -> Iterator[tuple[str, AssetKind, int]]:
    """Give names and sizes in the order of the upload; the bundles differ up to sixfold."""
    sboms = _BUNDLES + (COUNT - 2 * _BUNDLES - len(_OTHERS))  # llama.cpp's sources have one of their own
    left = size - sboms * _SBOM - sum(weight for _, _, weight in _OTHERS)
    weights = [1 + number % 6 for number in range(_BUNDLES)]
    share = left // sum(weights)
    if share < 1:
        msg = f"{size} bytes are too few for {COUNT} files"
        raise NotRunError(msg)
    sizes = sorted((weight * share for weight in weights), reverse=True)
    sizes[0] += left - sum(sizes)
    for number, weight in enumerate(sizes):
        yield f"llama.cpp-0.1.0-part{number:02}.tar.zst", AssetKind.BUNDLE, weight
    for number in range(sboms):
        yield f"llama.cpp-0.1.0-part{number:02}.cdx.json", AssetKind.SBOM, _SBOM
    yield from _OTHERS


def _write(path: Path, size: int, noise: bytes) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        head = path.name.encode()  # so that no two files are alike
        left = size
        for block in (head, *[noise] * (size // len(noise) + 1)):
            piece = block[:left]
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
    return digest.hexdigest()
