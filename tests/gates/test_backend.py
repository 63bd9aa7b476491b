from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.engines.device_code import hip_fatbin, nv_fatbin, spirv_module
from pipeline.engines.forge import elf
from pipeline.engines.forge_macho import macho
from pipeline.gates.backend import BackendGate
from pipeline.matrix.spec import BackendGate as Asked
from pipeline.model import Status
from tests.gates.builders import INIT, SCORE, as_mapping, asking, build_info, component, library, put, subject

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.gates.base import Subject

VULKAN = "libggml-vulkan.so"


def problems(base: Subject) -> str:
    verdict = BackendGate().check(base)

    assert verdict.status is Status.FAILED
    return "\n".join((verdict.summary, *verdict.details))


@pytest.mark.parametrize(
    ("machine", "backends", "found"),
    [
        ("x86_64", (), {"cpu_variants": ["haswell", "x64"], "backends": []}),
        ("aarch64", (), {"cpu_variants": ["armv8.0_1"]}),
        ("x86_64", ("vulkan",), {"spirv_modules": 8, "backends": ["vulkan"]}),
        ("x86_64", ("cuda12",), {"sass": ["sm_120a", "sm_86"], "ptx": ["sm_75"]}),
        ("x86_64", ("rocm-gfx1100",), {"gfx": ["gfx1100"]}),
        ("arm64", ("metal",), {"metallib": 20, "cpu_variants": ["apple_m1"]}),
    ],
)
def test_passes_and_says_what_it_found(
    tmp_path: Path, machine: str, backends: tuple[str, ...], found: dict[str, object]
) -> None:
    verdict = BackendGate().check(subject(tmp_path, machine=machine, backends=backends))

    assert (verdict.status, verdict.details) == (Status.PASSED, ()), (verdict.summary, verdict.details)
    assert found.items() <= dict(verdict.measured).items()


def test_two_families_in_one_bundle(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("vulkan", "rocm-gfx1100"))
    base = asking(base, backend=Asked(spirv_min=8, gfx=("gfx1100",)))

    verdict = BackendGate().check(base)

    assert verdict.status is Status.PASSED
    assert verdict.summary == "2 CPU variants, 8 SPIR-V modules, gfx: gfx1100"


def test_catches_a_cpu_library_renamed_to_vulkan(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("vulkan",))
    shutil.copy(base.root / "libggml-cpu-x64.so", base.root / VULKAN)

    found = problems(base)

    assert f"{VULKAN} does not need libvulkan.so.1" in found
    assert f"{VULKAN} holds 0 SPIR-V modules, fewer than 8: its shaders are not inside" in found
    assert f"{VULKAN} is a copy of libggml-cpu-x64.so" in found


def test_catches_a_cpu_library_linked_as_vulkan(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("vulkan",))
    (base.root / VULKAN).unlink()
    (base.root / VULKAN).symlink_to("libggml-cpu-x64.so")

    assert "does not need libvulkan.so.1" in problems(base)


def test_catches_missing_shaders(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("vulkan",))
    sections = ((".rodata", spirv_module() * 7 + spirv_module()[:-4]),)
    needed = ("libvulkan.so.1",)
    put(base.root, VULKAN, library(VULKAN, exports=(INIT,), needed=needed, sections=sections))

    assert "holds 7 SPIR-V modules, fewer than 8" in problems(base)


def test_catches_shaders_the_loader_never_maps(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("vulkan",))
    data = library(VULKAN, exports=(INIT,), needed=("libvulkan.so.1",)) + spirv_module() * 8
    put(base.root, VULKAN, data)

    assert "holds 0 SPIR-V modules" in problems(base)


def test_catches_a_backend_that_is_not_there(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("vulkan",))
    (base.root / VULKAN).unlink()

    assert f"the library {VULKAN} is promised and is not there" in problems(base)


def test_catches_a_backend_nobody_composed(tmp_path: Path) -> None:
    base = subject(tmp_path)
    base = replace(base, cell=replace(base.cell, variant="vulkan", backends=("vulkan",)))

    found = problems(base)

    assert "BUILD_INFO.json says variant cpu, the cell is vulkan" in found
    assert "BUILD_INFO.json says backends [], the cell is ['vulkan']" in found


def test_catches_a_backend_without_component(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("vulkan",))
    info = build_info("vulkan", backends=("vulkan",))
    content = as_mapping(info)
    content["components"] = as_mapping(build_info())["components"]

    found = problems(replace(base, info=content))

    assert "the backend vulkan is in the bundle's name and no component promises a libggml-vulkan library" in found
    assert "matrix.yaml asks for spirv_min and no libggml-vulkan library is promised" in found
    assert f"{VULKAN} is in the bundle and BUILD_INFO.json does not name it" in found


def test_catches_a_missing_cpu_variant(tmp_path: Path) -> None:
    base = subject(tmp_path)
    (base.root / "libggml-cpu-haswell.so").unlink()

    assert "the CPU variant libggml-cpu-haswell.so is promised and is not there" in problems(base)


def test_catches_a_cpu_variant_that_is_another_one(tmp_path: Path) -> None:
    base = subject(tmp_path)
    shutil.copy(base.root / "libggml-cpu-x64.so", base.root / "libggml-cpu-haswell.so")

    assert "libggml-cpu-x64.so is a copy of libggml-cpu-haswell.so" in problems(base)


def test_catches_an_entry_point_that_is_not_exported(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root, "libggml-cpu-x64.so", library("libggml-cpu-x64.so", exports=(INIT,)))
    put(base.root, "libggml-rpc.so", library("libggml-rpc.so", exports=("ggml_backend_rpc_init",)))

    found = problems(base)

    assert f"libggml-cpu-x64.so does not export {SCORE}" in found
    assert f"libggml-rpc.so does not export {INIT}" in found


@pytest.mark.parametrize("name", ["libggml-blas.so", "libggml-cpu-zen4.so", "lib/libggml-base.so", "libggml-cuda.so.1"])
def test_catches_a_library_nobody_named(tmp_path: Path, name: str) -> None:
    base = subject(tmp_path)
    put(base.root, name, library(name, exports=(INIT, SCORE)))

    assert f"{name} is in the bundle and BUILD_INFO.json does not name it" in problems(base)


def test_catches_the_wrong_processor(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root, "libllama.so", library("libllama.so", machine="aarch64"))

    assert "libllama.so is for aarch64, the platform is x86_64" in problems(base)


@pytest.mark.parametrize(
    ("sass", "ptx", "message"),
    [
        (("sm_86",), ("sm_75",), "lacks SASS for sm_120a"),
        (("sm_86", "sm_120"), ("sm_75",), "lacks SASS for sm_120a"),
        (("sm_86", "sm_120a"), (), "lacks PTX for sm_75"),
        (("sm_86", "sm_89", "sm_120a"), ("sm_75",), "has SASS for sm_89, which nobody asked for"),
        (("sm_86", "sm_120a"), ("sm_75", "sm_80"), "has PTX for sm_80, which nobody asked for"),
    ],
)
def test_catches_the_wrong_cuda_architectures(
    tmp_path: Path, sass: tuple[str, ...], ptx: tuple[str, ...], message: str
) -> None:
    base = subject(tmp_path, backends=("cuda12",))
    sections = ((".nv_fatbin", nv_fatbin(sass, ptx)),)
    put(base.root, "libggml-cuda.so", library("libggml-cuda.so", exports=(INIT,), sections=sections))

    assert message in problems(base)


@pytest.mark.parametrize(
    ("backend", "name", "message"),
    [
        ("cuda12", "libggml-cuda.so", "has no .nv_fatbin section: it holds no CUDA code"),
        ("rocm-gfx1100", "libggml-hip.so", "has no .hip_fatbin section: it holds no GPU code"),
    ],
)
def test_catches_a_library_without_gpu_code(tmp_path: Path, backend: str, name: str, message: str) -> None:
    base = subject(tmp_path, backends=(backend,))
    put(base.root, name, library(name, exports=(INIT,)))

    assert f"{name} {message}" in problems(base)


def test_catches_the_wrong_gfx_target(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("rocm-gfx1100",))
    sections = ((".hip_fatbin", hip_fatbin(("gfx1030",))),)
    put(base.root, "libggml-hip.so", library("libggml-hip.so", exports=(INIT,), sections=sections))

    found = problems(base)

    assert "libggml-hip.so lacks code for gfx1100" in found
    assert "libggml-hip.so has code for gfx1030, which nobody asked for" in found


def test_catches_a_metal_library_that_is_not_embedded(tmp_path: Path) -> None:
    base = subject(tmp_path, machine="arm64", backends=("metal",))
    put(base.root, "libggml-metal.so", macho(exports=(INIT,)))

    assert "libggml-metal.so embeds no Metal library" in problems(base)


@pytest.mark.parametrize("backend", ["vulkan", "cuda12", "rocm-gfx1100"])
def test_refuses_to_pass_a_gpu_backend_nothing_is_asked_of(tmp_path: Path, backend: str) -> None:
    base = asking(subject(tmp_path, backends=(backend,)), backend=Asked())

    assert "nothing says what libggml-" in problems(base)


def test_catches_programs_that_are_missing_or_cannot_start(tmp_path: Path) -> None:
    base = subject(tmp_path)
    info = build_info()
    core = replace_component(info.components[0], programs=("llama-cli", "llama-bench", "llama-run"))
    put(base.root, "llama-cli", elf(program=True), mode=0o644)
    put(base.root, "llama-run", elf())
    content = as_mapping(info)
    content["components"] = [core]

    found = problems(replace(base, info=content))

    assert "the program llama-bench is promised and is not there" in found
    assert "the program llama-cli is there and cannot be started" in found
    assert "the program llama-run is there and cannot be started" in found


def test_catches_a_bundle_that_promises_nothing(tmp_path: Path) -> None:
    base = subject(tmp_path)
    content = as_mapping(build_info())
    content["components"] = []

    found = problems(replace(base, info=content))

    assert "promises no library: the core is not in the bundle" in found
    assert "promises no CPU library; without one nothing runs" in found


def test_catches_a_text_file_in_place_of_a_library(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root, "libllama.so", b"not found\n")

    assert "the library libllama.so is promised and is not there, or is neither ELF nor Mach-O" in problems(base)


def test_is_not_declared_by_accident(tmp_path: Path) -> None:
    assert "declares no backend gate" in problems(asking(subject(tmp_path), backend=None))


def replace_component(part: object, **changes: object) -> dict[str, object]:
    content: dict[str, object] = {**msgspec.to_builtins(part), **changes}
    return content


def test_component_helper_makes_a_full_record() -> None:
    assert component("core").recipe_key == "0" * 64
