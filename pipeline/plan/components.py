"""What compiling one component means: the build script's settings and the files it promises."""

from __future__ import annotations

__all__ = ["component_id", "cpu_library", "kept_variants", "promised_outputs", "settings"]

from pathlib import PurePosixPath

from pipeline.engines.device_code import spirv_module
from pipeline.matrix.spec import Component, Platform, Profile, Source
from pipeline.model import LibraryKind, Output

_ENTRY_POINTS = ("ggml_backend_init", "ggml_backend_score")
_PROCESSORS = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_VULKAN = "libggml-vulkan.so"
# The fake engine's Vulkan library must satisfy the same gate as a real one (real ones hold about 2,000 modules).
_FORGED_SHADERS = 1024


def component_id(project: str, platform: str, name: str) -> str:
    """Give the id of a component: ``project/platform/name``."""
    return f"{project}/{platform}/{name}"


def cpu_library(variant: str) -> str:
    """Name the library of one CPU variant."""
    return f"libggml-cpu-{variant}.so"


def kept_variants(component: Component, profile: Profile, platform: str) -> tuple[str, ...]:
    """Give the CPU variants a profile builds, in the component's order."""
    wanted = profile.cpu_variants.get(platform)
    return tuple(name for name in component.cpu_variants if wanted is None or name in wanted)


def settings(
    name: str, component: Component, platform: Platform, source: Source, variants: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Give the build script's environment, as far as the plan decides it (see the script's head)."""
    libraries = (*component.libraries, *(cpu_library(variant) for variant in variants))
    return (
        ("LLAMATRIX_COMPONENT", name),
        ("LLAMATRIX_TARGET", platform.target),
        ("LLAMATRIX_PROCESSOR", _PROCESSORS[platform.arch]),
        ("LLAMATRIX_LIBRARIES", " ".join(libraries)),
        ("LLAMATRIX_PROGRAMS", " ".join(component.programs)),
        ("LLAMATRIX_TESTS", " ".join(component.tests)),
        ("LLAMATRIX_LICENCES", " ".join(component.licences)),
        ("LLAMATRIX_OPTIONS", "\n".join(f"-D{key}={value}" for key, value in sorted(component.options.items()))),
        ("SOURCE_DATE_EPOCH", str(source.epoch or 0)),
    )


def promised_outputs(component: Component, platform: Platform, variants: tuple[str, ...]) -> tuple[Output, ...]:
    """List every file the build script must leave, described well enough for the fake engine to forge it."""
    machine = _PROCESSORS[platform.arch]
    outputs = [_library(name, machine) for name in component.libraries]
    outputs += [_library(cpu_library(variant), machine) for variant in variants]
    outputs += [
        Output(path=f"{folder}/{name}", kind=LibraryKind.PROGRAM, machine=machine, needed=("libc.so.6",))
        for folder, names in (("bundle", component.programs), ("tests", component.tests))
        for name in names
    ]
    outputs += [
        Output(path=f"licenses/{PurePosixPath(path).name}", kind=LibraryKind.DATA, content=b"forged licence text\n")
        for path in component.licences
    ]
    return tuple(outputs)


def _library(name: str, machine: str) -> Output:
    backend = name.startswith("libggml-") and name != "libggml-base.so"
    vulkan = name == _VULKAN
    return Output(
        path=f"bundle/{name}",
        kind=LibraryKind.LIBRARY,
        machine=machine,
        soname=name,
        exports=_ENTRY_POINTS if backend else (),
        needed=(*(("libvulkan.so.1",) if vulkan else ()), "libc.so.6"),
        sections=((".rodata", spirv_module() * _FORGED_SHADERS),) if vulkan else (),
    )
