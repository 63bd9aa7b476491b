"""The names by which the writer and the reader of an SBOM find the same things."""

from __future__ import annotations

__all__ = ["BUNDLE_REF", "COMMIT", "GAP", "LINK", "MATERIALS", "PATH", "PREFIX", "ROLE", "SOURCE_REF"]

PREFIX = "llamatrix:"
"""Our namespace of CycloneDX properties."""

BUNDLE_REF = "bundle"
SOURCE_REF = "source"
COMMIT = f"{PREFIX}commit"
GAP = f"{PREFIX}gap"
LINK = f"{PREFIX}link"
MATERIALS = f"{PREFIX}materials"
PATH = f"{PREFIX}path"
ROLE = f"{PREFIX}role"
