"""The content key of an image's recipe. Apart from the rest, since a plan needs it and must not load the Docker SDK."""

from __future__ import annotations

__all__ = ["RECIPE", "image_key"]

import hashlib

import msgspec

from pipeline.matrix.spec import Image

RECIPE = 1
"""Counts changes of the bootstrap recipe; it is part of every image's key."""


def image_key(image: Image) -> str:
    """Digest everything of ``image`` that decides what it becomes; SHA-256 in hex."""
    recipe = {
        "recipe": RECIPE,
        "pull": image.pull,
        "suite": image.suite,
        "packages": sorted(set(image.packages)),
        "architecture": image.architecture,
    }
    return hashlib.sha256(msgspec.json.encode(recipe, order="sorted")).hexdigest()
