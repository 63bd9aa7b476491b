"""How the files of a release are called, as far as whoever verifies must know; ``release/seal.py`` writes them."""

from __future__ import annotations

__all__ = [
    "ARCHIVE_SUFFIX",
    "MANIFEST",
    "OWN_FOLDERS",
    "PROVENANCE",
    "REPORT",
    "SBOM_SUFFIX",
    "SIGNATURE",
    "SUMS",
    "sbom_of",
]

from pipeline.report.document import JSON_NAME
from release.folder import OWN_FOLDER

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
PROVENANCE = "provenance.intoto.jsonl"
REPORT = JSON_NAME
SIGNATURE = ".minisig"
ARCHIVE_SUFFIX = ".tar.zst"
SBOM_SUFFIX = ".cdx.json"

OWN_FOLDERS = frozenset({OWN_FOLDER, "logs"})
"""Folders that building and publishing keep beside the assets; they are no assets and nothing here vouches for them."""


def sbom_of(artifact: str) -> str:
    """Name the SBOM of an archive."""
    return artifact.removesuffix(ARCHIVE_SUFFIX) + SBOM_SUFFIX
