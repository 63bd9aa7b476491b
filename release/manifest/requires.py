"""What a variant asks of a machine: floors as planned, device code as measured, drivers as their vendors say.

``all`` asks for nothing but its floors: it carries backends that are loaded at run time, and one that cannot be loaded
is passed over (measured: the real ``all`` bundle starts, and computes on the CPU, where there is no libvulkan.so.1).
So its needs are those of its core. Which these are is read from the bytes: the platform's CPU bundle holds the very
same core files, and its closure gate measured what they look for outside.
"""

from __future__ import annotations

__all__ = ["ALL", "GFX_OVERRIDE", "hard_libraries", "overridden", "requires_of"]

import re
from typing import Literal

from pipeline.bundle.compose import LICENCES
from pipeline.bundle.info import INFO_NAME
from pipeline.matrix.globs import compile_glob
from pipeline.matrix.spec import EnvironmentRule, Release
from pipeline.model import Backend
from release.manifest.measured import Facts
from release.manifest.records import Amd, Nvidia, Requires, Vulkan
from release.model import ReleasedBundle

ALL: Literal["all"] = "all"
GFX_OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"

# A CPU variant's library is for every processor of this level. Variants between two levels have none of their own:
# whoever has the next level can run them.
_LEVELS = {
    "x64": (1, "x86-64-v1"),
    "sse42": (2, "x86-64-v2"),
    "haswell": (3, "x86-64-v3"),
    "skylakex": (4, "x86-64-v4"),
    "armv8.0_1": (1, "armv8.0-a"),
    "apple_m1": (1, "apple-m1"),
}
# What comes with the floor: glibc's own libraries, and everything macOS keeps in these two places.
_GLIBC = re.compile(r"lib(?:c|m|dl|pthread|rt|resolv|util|anl|mvec)\.so\.\d+|ld-linux[\w.-]*\.so\.\d+")
_MACOS = ("/usr/lib/", "/System/Library/")
_OVERRIDE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{1,2})")


def requires_of(
    facts: Facts, *, release: Release, backend: str, base: ReleasedBundle | None, macos: bool = False
) -> Requires:
    """Put together what one variant requires; what cannot be told is noted.

    Args:
        facts: The bundle's measurements.
        release: matrix.yaml's release section.
        backend: The variant's backend, or ``all``.
        base: The platform's default bundle, where there is one.
        macos: The platform is macOS, so the floor is one of macOS.
    """
    floor = _floor(facts, "macos" if macos else "glibc")
    return Requires(
        glibc=None if macos else floor,
        macos=floor if macos else None,
        cpu=_cpu(facts),
        nvidia=_nvidia(facts, release) if backend == Backend.CUDA else None,
        amd=_amd(facts, release) if backend == Backend.ROCM else None,
        vulkan=_vulkan(facts, release) if backend == Backend.VULKAN else None,
        libs=_all_libraries(facts, base) if backend == ALL else hard_libraries(facts),
    )


def _floor(facts: Facts, family: str) -> str:
    """Take the promised floor; a bundle that was measured above it, under a waiver, asks for what it really needs."""
    if facts.bundle.cell.gates.abi is None:
        facts.note("it declares no abi gate, so nothing tells the oldest system it starts on")
        return ""
    promised, measured = facts.text("abi", "floor"), facts.text("abi", family)
    return max(promised, measured, key=_numbers)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _cpu(facts: Facts) -> str:
    variants = facts.texts("backend", "cpu_variants")
    known = sorted(_LEVELS[name] for name in variants if name in _LEVELS)
    if not known:
        listed = ", ".join(variants) or "none"
        facts.note(f"no processor level follows from its CPU variants ({listed}): add one of {', '.join(_LEVELS)}")
        return ""
    return known[0][1]


def hard_libraries(facts: Facts) -> tuple[str, ...]:
    """Give what must be on the system besides its C library: the closure gate's ``outside``."""
    outside = facts.texts("closure", "outside")
    return tuple(name for name in outside if not _GLIBC.fullmatch(name) and not name.startswith(_MACOS))


def _all_libraries(facts: Facts, base: ReleasedBundle | None) -> tuple[str, ...]:
    if base is None or base.cell.backends:
        facts.note(
            "its core's needs are measured on the platform's default bundle, which must be one without GPU backends"
        )
        return ()
    bundle = facts.bundle
    core = {file.path: file.sha256 for file in base.inspection.files if file.path != INFO_NAME}
    ours = {file.path: file.sha256 for file in bundle.inspection.files if file.path != INFO_NAME}
    differing = sorted(path for path, digest in core.items() if ours.get(path) != digest)
    loaded = {name for part in bundle.inspection.info.components[1:] for name in part.libraries}
    foreign = sorted(path for path in ours.keys() - core.keys() - loaded if not path.startswith(f"{LICENCES}/"))
    if differing or foreign:
        shown = ", ".join((differing + foreign)[:5])
        facts.note(f"its core is not that of {base.cell.id} ({shown} differ), so what it needs cannot be told")
    return hard_libraries(Facts(base))


def _nvidia(facts: Facts, release: Release) -> Nvidia | None:
    variant = facts.bundle.cell.variant
    spec = release.requires.get(variant)
    floor = spec.nvidia if spec is not None else None
    if floor is None:
        facts.note(f"matrix.yaml's release.requires.{variant}.nvidia names no driver")
        return None
    sass, ptx = facts.code("sass"), facts.code("ptx")
    if not sass and not ptx:
        facts.note("gate backend measured neither SASS nor PTX, so no GPU can run it")
    if ptx and floor.ptx_min is None:
        facts.note(f"it holds PTX, and matrix.yaml's release.requires.{variant}.nvidia.ptx_min names no driver for it")
    return Nvidia(driver_min=floor.min, ptx_driver_min=floor.ptx_min if ptx else None, sass=sass, ptx=ptx)


def _amd(facts: Facts, release: Release) -> Amd | None:
    variant = facts.bundle.cell.variant
    spec = release.requires.get(variant)
    if spec is None or spec.amd_driver is None:
        facts.note(f"matrix.yaml's release.requires.{variant}.amd_driver names no kernel driver")
        return None
    native = facts.code("gfx")
    if not native:
        facts.note("gate backend measured no gfx targets, so no GPU can run it")
    return Amd(gfx=tuple(sorted({*native, *overridden(facts, release)})), kernel_driver=spec.amd_driver)


def overridden(facts: Facts, release: Release) -> tuple[str, ...]:
    """Give the GPUs that run this bundle's code under another's name; the name must be one there is code for."""
    found: set[str] = set()
    for rule in rules_for(facts.bundle, release):
        if rule.name != GFX_OVERRIDE:
            continue
        target = gfx_named(rule.value)
        if target not in facts.code("gfx"):
            facts.note(f"{GFX_OVERRIDE}={rule.value} names {target or 'no GPU'}, which it holds no code for")
        found.update(rule.gfx)
        if not rule.gfx:
            facts.note(f"{GFX_OVERRIDE} without gfx would rename every AMD GPU; name those it is for")
    return tuple(sorted(found))


def gfx_named(value: str) -> str | None:
    """Give the target that an override such as ``11.0.0`` stands for: minor and step are written in hex."""
    match = _OVERRIDE.fullmatch(value)
    return f"gfx{int(match[1])}{int(match[2]):x}{int(match[3]):x}" if match else None


def rules_for(bundle: ReleasedBundle, release: Release) -> tuple[EnvironmentRule, ...]:
    """Give the environment rules whose glob matches the bundle's cell."""
    return tuple(rule for rule in release.environment if compile_glob(rule.cells).match(bundle.cell.id))


def _vulkan(facts: Facts, release: Release) -> Vulkan | None:
    variant = facts.bundle.cell.variant
    spec = release.requires.get(variant)
    if spec is None or spec.vulkan is None:
        facts.note(f"matrix.yaml's release.requires.{variant}.vulkan names no version of Vulkan")
        return None
    return Vulkan(api=spec.vulkan)
