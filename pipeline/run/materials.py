"""What a component was made with besides its source: the image and the toolchain, as report.json names them.

A material is recorded when the compiler runs and stays with what it made. The same image recipe gives newer packages
next month, so what is in the engine today says nothing about a component that comes from the store.
"""

from __future__ import annotations

__all__ = ["complete", "kept_materials", "material_of_image", "material_of_toolchain", "unique"]

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import ImageError
from pipeline.model import EngineName
from pipeline.report.record import Material

if TYPE_CHECKING:
    from pipeline.engines.images import ImageRef
    from pipeline.toolchain import Lock

_IMAGE, _TOOLCHAIN = "image", "toolchain"
_KINDS = {
    EngineName.DOCKER: {_IMAGE, _TOOLCHAIN},
    EngineName.HOST: {_TOOLCHAIN},
    # It forges its files: nothing was made with anything.
    EngineName.FAKE: set[str](),
}
_REFERENCE = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_SHOWN = 12


def _material(kind: str, name: str, *, digest: str, origin: str, packages: Iterable[tuple[str, str]]) -> Material:
    return Material(
        id=f"{kind}:{name}@{digest[:_SHOWN]}",
        kind=kind,
        name=name,
        digest=digest,
        origin=origin,
        packages=tuple(sorted(packages)),
    )


def material_of_image(image: ImageRef) -> Material:
    """Name an image by its immutable id.

    Raises:
        ImageError: the engine gave it an id that pins nothing.
    """
    found = _REFERENCE.fullmatch(image.reference)
    if found is None or not found[1].strip("0"):
        msg = f"the engine calls it {image.reference!r}, which is no SHA-256 of its contents"
        raise ImageError(msg, where=f"image {image.name}", hint="use a Docker engine that names images by content")
    return _material(_IMAGE, image.name, digest=found[1], origin=image.origin, packages=image.packages.items())


def material_of_toolchain(name: str, lock: Lock, *, origin: str) -> Material:
    """Name a toolchain by its lock; ``origin`` is the lock's path in the repository."""
    return _material(_TOOLCHAIN, name, digest=lock.sha256, origin=origin, packages=lock.wheels)


def unique(materials: Iterable[Material]) -> tuple[Material, ...]:
    """Give each material once, sorted by id; the digest in the id decides what is in it."""
    found: dict[str, Material] = {}
    for material in materials:
        found.setdefault(material.id, material)
    return tuple(found[name] for name in sorted(found))


def kept_materials(facts: Mapping[str, object]) -> tuple[Material, ...]:
    """Read materials back from the store.

    Raises:
        KeyError: the entry is from before materials were kept.
        msgspec.ValidationError: it is damaged.
    """
    return msgspec.convert(facts["materials"], tuple[Material, ...])


def complete(engine: EngineName, materials: Collection[Material]) -> bool:
    """Tell whether these can be all that something made on this engine was made with: no kind is missing."""
    return {material.kind for material in materials} == _KINDS[engine]
