"""What changed between two manifests, as data: pins, cells, floors, drivers, backends, device code, sizes."""

from __future__ import annotations

__all__ = ["Change", "ChangeKind", "changes", "device_code", "driver", "entries", "floor", "toolchain"]

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.report.text import count, size_text
from release.manifest.records import Manifest, ProjectEntry, VariantEntry

_SHORT = 12
_NONE = "none"
_SAME = 0.05  # percent: what rounds to 0.0 is not worth a line


class ChangeKind(StrEnum):
    """What a change is about; the order of the values is the order in the notes."""

    PIN = "upstream"
    NEW = "new"
    DROPPED = "dropped"
    FLOOR = "oldest system"
    DRIVER = "driver"
    BACKENDS = "backends"
    DEVICE_CODE = "device code"
    CPU_VARIANTS = "CPU variants"
    TOOLCHAIN = "toolchain"
    DEFAULT = "default"
    REVOKED = "revoked"
    SIZE = "size"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference; a side is None where there is nothing. ``subject`` is a project, a cell or an archive."""

    kind: ChangeKind
    subject: str
    before: str | None
    after: str | None


def entries(manifest: Manifest) -> Mapping[str, VariantEntry]:
    """Give every variant by its cell's id, sorted."""
    return dict(
        sorted(
            (f"{project}/{platform}/{variant}", entry)
            for project, of_project in manifest.projects.items()
            for platform, of_platform in of_project.platforms.items()
            for variant, entry in of_platform.variants.items()
        )
    )


def floor(entry: VariantEntry) -> str:
    """Name the oldest system a bundle starts on."""
    needs = entry.requires
    systems = [f"{name} {version}" for name, version in (("glibc", needs.glibc), ("macOS", needs.macos)) if version]
    return ", ".join([*systems, needs.cpu])


def driver(entry: VariantEntry) -> str:
    """Name the oldest driver a bundle works with."""
    needs = entry.requires
    found = []
    if needs.nvidia is not None:
        found.append(f"NVIDIA {needs.nvidia.driver_min}")
        if needs.nvidia.ptx_driver_min is not None and needs.nvidia.ptx:
            found.append(f"{needs.nvidia.ptx_driver_min} where PTX is translated")
    if needs.amd is not None:
        found.append(needs.amd.kernel_driver)
    if needs.vulkan is not None:
        found.append(f"Vulkan {needs.vulkan.api}")
    return ", ".join(found) or _NONE


def device_code(entry: VariantEntry) -> str:
    """Name the code for GPUs that was found inside."""
    measured = entry.attest
    found = []
    if measured.sass:
        found.append(" ".join(measured.sass))
    if measured.ptx:
        found.append("PTX " + " ".join(measured.ptx))
    if measured.gfx:
        found.append(" ".join(measured.gfx))
    if measured.spirv_modules is not None:
        found.append(count(measured.spirv_modules, "SPIR-V module"))
    if measured.metallib is not None:
        found.append(f"Metal library of {size_text(measured.metallib)}")
    return ", ".join(found) or _NONE


def toolchain(entry: VariantEntry) -> str:
    """Name the compiler and the lock it came from."""
    used = entry.attest.toolchain
    return f"{used.name}, lock {used.lock_sha256[:_SHORT]}" if used is not None else _NONE


def changes(manifest: Manifest, previous: Manifest) -> tuple[Change, ...]:
    """Compare two manifests, in the order of the kinds and then of the subjects."""
    found = [
        *_pins(manifest, previous),
        *_cells(entries(manifest), entries(previous)),
        *_defaults(manifest, previous),
        *_revoked(manifest, previous),
    ]
    kinds = list(ChangeKind)
    return tuple(sorted(found, key=lambda change: (kinds.index(change.kind), change.subject)))


def _pins(manifest: Manifest, previous: Manifest) -> Iterator[Change]:
    for name in {*manifest.projects, *previous.projects}:
        before, after = (_pin(side.projects.get(name)) for side in (previous, manifest))
        if before != after:
            yield Change(kind=ChangeKind.PIN, subject=name, before=before, after=after)


def _pin(project: ProjectEntry | None) -> str | None:
    if project is None:
        return None
    source = project.source
    return f"{source.version} ({source.commit[:_SHORT]})" if source.commit else source.version


def _cells(now: Mapping[str, VariantEntry], then: Mapping[str, VariantEntry]) -> Iterator[Change]:
    for cell, new in now.items():
        old = then.get(cell)
        if old is None:
            yield Change(kind=ChangeKind.NEW, subject=cell, before=None, after=_sizes(new))
        else:
            yield from _differences(cell, new, old)
    for cell in then.keys() - now.keys():
        yield Change(kind=ChangeKind.DROPPED, subject=cell, before=_sizes(then[cell]), after=None)


_LOOKS: Mapping[ChangeKind, Callable[[VariantEntry], str]] = {
    ChangeKind.FLOOR: floor,
    ChangeKind.DRIVER: driver,
    ChangeKind.BACKENDS: lambda entry: " ".join(sorted(entry.attest.backends)) or _NONE,
    ChangeKind.DEVICE_CODE: device_code,
    ChangeKind.CPU_VARIANTS: lambda entry: " ".join(sorted(entry.attest.cpu_variants)) or _NONE,
    ChangeKind.TOOLCHAIN: toolchain,
}


def _differences(cell: str, new: VariantEntry, old: VariantEntry) -> Iterator[Change]:
    for kind, look in _LOOKS.items():
        before, after = look(old), look(new)
        if before != after:
            yield Change(kind=kind, subject=cell, before=before, after=after)
    packed = _share(old.artifact.size, new.artifact.size)
    unpacked = _share(old.artifact.unpacked_size, new.artifact.unpacked_size)
    if abs(packed) >= _SAME or abs(unpacked) >= _SAME:
        after = (
            f"{size_text(new.artifact.size)} ({packed:+.1f} %), "
            f"unpacked {size_text(new.artifact.unpacked_size)} ({unpacked:+.1f} %)"
        )
        yield Change(kind=ChangeKind.SIZE, subject=cell, before=_sizes(old), after=after)


def _sizes(entry: VariantEntry) -> str:
    return f"{size_text(entry.artifact.size)}, unpacked {size_text(entry.artifact.unpacked_size)}"


def _share(before: int, after: int) -> float:
    return 100 * (after / before - 1)


def _defaults(manifest: Manifest, previous: Manifest) -> Iterator[Change]:
    for project, entry in manifest.projects.items():
        for platform, now in entry.platforms.items():
            old = previous.projects.get(project)
            then = old.platforms.get(platform) if old is not None else None
            if then is not None and then.default != now.default:
                subject = f"{project}/{platform}"
                yield Change(kind=ChangeKind.DEFAULT, subject=subject, before=then.default, after=now.default)


def _revoked(manifest: Manifest, previous: Manifest) -> Iterator[Change]:
    known = {archive.sha256 for archive in previous.revoked}
    names = {entry.artifact.sha256: entry.artifact.name for entry in entries(previous).values()}
    for archive in manifest.revoked:
        if archive.sha256 not in known:
            name = names.get(archive.sha256, archive.sha256)
            yield Change(kind=ChangeKind.REVOKED, subject=name, before=None, after=archive.reason)
