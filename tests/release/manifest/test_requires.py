"""Requirements follow from what was measured; what cannot be told is noted, never guessed."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from pipeline.matrix.spec import DriverFloor, EnvironmentRule, Release, VariantRequires
from pipeline.model import Status
from release.manifest.measured import Facts
from release.manifest.records import Amd, Nvidia, Requires, Vulkan
from release.manifest.requires import gfx_named, hard_libraries, requires_of
from release.model import FileDigest
from tests.release.builders import load_matrix
from tests.release.manifest.paper import GPU_TEXT, facts_of, measure, regate

LINUX = "llama.cpp/linux-x86_64"
FOUND = load_matrix(GPU_TEXT).file.release
assert FOUND is not None
RULES: Release = FOUND


def rules(**changes: object) -> Release:
    return msgspec.structs.replace(RULES, **changes)


def requires(facts: Facts, backend: str, release: Release = RULES, *, base: str | None = None) -> Requires:
    macos = facts.bundle.cell.platform.startswith("darwin")
    default = facts_of(base).bundle if base else None
    return requires_of(facts, release=release, backend=backend, base=default, macos=macos)


def without(facts: Facts) -> list[str]:
    return [problem.partition(": ")[2] for problem in facts.problems]


@pytest.mark.parametrize(
    ("variants", "level"),
    [
        (["x64", "zen4"], "x86-64-v1"),
        (["sse42", "haswell"], "x86-64-v2"),
        (["sandybridge", "ivybridge", "piledriver", "haswell", "skylakex"], "x86-64-v3"),
        (["skylakex", "zen4", "sapphirerapids"], "x86-64-v4"),
        (["armv8.0_1", "armv9.2_2"], "armv8.0-a"),
        (["apple_m1", "apple_m4"], "apple-m1"),
    ],
)
def test_the_lowest_cpu_variant_decides(variants: list[str], level: str) -> None:
    facts = Facts(measure(facts_of(f"{LINUX}/cpu").bundle, "backend", cpu_variants=variants))

    assert requires(facts, "cpu").cpu == level
    assert facts.problems == []


@pytest.mark.parametrize("variants", [[], ["zen4"], ["armv8.2_1"]])
def test_a_cpu_level_that_cannot_be_told(variants: list[str]) -> None:
    facts = Facts(measure(facts_of(f"{LINUX}/cpu").bundle, "backend", cpu_variants=variants))
    requires(facts, "cpu")

    assert without(facts)[0].startswith(
        f"no processor level follows from its CPU variants ({', '.join(variants) or 'none'})"
    )


def test_the_promised_floor_is_required_and_not_the_highest_symbol() -> None:
    assert requires(facts_of(f"{LINUX}/cpu"), "cpu").glibc == "2.28"


def test_under_a_waiver_the_higher_symbol_counts() -> None:
    bundle = measure(facts_of(f"{LINUX}/cpu").bundle, "abi", glibc="2.100")
    facts = Facts(regate(bundle, "abi", Status.WAIVED, reason="x", until="2026-12-31"))

    assert requires(facts, "cpu").glibc == "2.100"  # as numbers, not as text: 2.100 is above 2.28


def test_a_bundle_without_an_abi_gate() -> None:
    facts = facts_of(f"{LINUX}/cpu")
    cell = dataclasses.replace(facts.bundle.cell, gates=msgspec.structs.replace(facts.bundle.cell.gates, abi=None))
    facts = Facts(dataclasses.replace(facts.bundle, cell=cell))
    requires(facts, "cpu")

    assert without(facts) == ["it declares no abi gate, so nothing tells the oldest system it starts on"]


def test_nvidia() -> None:
    facts = facts_of(f"{LINUX}/cuda12")

    assert requires(facts, "cuda").nvidia == Nvidia(
        driver_min="525.60.13", ptx_driver_min="550.54.14", sass=("sm_86", "sm_89"), ptx=("sm_50",)
    )
    assert facts.problems == []


def test_without_ptx_its_driver_is_not_asked_for() -> None:
    facts = Facts(measure(facts_of(f"{LINUX}/cuda12").bundle, "backend", ptx=[]))

    assert requires(facts, "cuda").nvidia == Nvidia(driver_min="525.60.13", sass=("sm_86", "sm_89"), ptx=())


def test_nvidia_without_a_driver_or_code() -> None:
    facts = facts_of(f"{LINUX}/cuda12")
    assert requires(facts, "cuda", rules(requires={})).nvidia is None
    assert without(facts) == ["matrix.yaml's release.requires.cuda12.nvidia names no driver"]

    facts = Facts(measure(facts_of(f"{LINUX}/cuda12").bundle, "backend", ptx=[], sass=[]))
    requires(facts, "cuda")
    assert without(facts) == ["gate backend measured neither SASS nor PTX, so no GPU can run it"]


def test_ptx_needs_a_driver_of_its_own() -> None:
    facts = facts_of(f"{LINUX}/cuda12")
    requires(facts, "cuda", rules(requires={"cuda12": VariantRequires(nvidia=DriverFloor(min="525.60.13"))}))

    assert without(facts) == [
        "it holds PTX, and matrix.yaml's release.requires.cuda12.nvidia.ptx_min names no driver for it"
    ]


def test_amd_counts_the_gpus_that_run_its_code_under_another_name() -> None:
    facts = facts_of(f"{LINUX}/rocm-gfx1100")

    assert requires(facts, "rocm").amd == Amd(gfx=("gfx1100", "gfx1101", "gfx1102"), kernel_driver="amdgpu")
    assert requires(facts, "rocm", rules(environment=())).amd == Amd(gfx=("gfx1100",), kernel_driver="amdgpu")
    assert facts.problems == []


def override(value: str, *gfx: str) -> Release:
    rule = EnvironmentRule(cells="*/*/rocm-*", name="HSA_OVERRIDE_GFX_VERSION", value=value, gfx=gfx, reason="a test")
    return rules(environment=(rule,))


def test_an_override_must_name_a_gpu_there_is_code_for() -> None:
    facts = facts_of(f"{LINUX}/rocm-gfx1100")
    requires(facts, "rocm", override("10.3.0", "gfx1031"))

    assert without(facts) == ["HSA_OVERRIDE_GFX_VERSION=10.3.0 names gfx1030, which it holds no code for"]


def test_an_override_is_never_for_every_gpu() -> None:
    facts = facts_of(f"{LINUX}/rocm-gfx1100")
    requires(facts, "rocm", override("11.0.0"))

    assert without(facts) == ["HSA_OVERRIDE_GFX_VERSION without gfx would rename every AMD GPU; name those it is for"]


def test_amd_without_a_driver_or_code() -> None:
    facts = facts_of(f"{LINUX}/rocm-gfx1100")
    assert requires(facts, "rocm", rules(requires={}, environment=())).amd is None
    assert without(facts) == ["matrix.yaml's release.requires.rocm-gfx1100.amd_driver names no kernel driver"]

    facts = Facts(measure(facts_of(f"{LINUX}/rocm-gfx1100").bundle, "backend", gfx=[]))
    requires(facts, "rocm", rules(environment=()))
    assert without(facts) == ["gate backend measured no gfx targets, so no GPU can run it"]


@pytest.mark.parametrize(
    ("value", "target"),
    [("11.0.0", "gfx1100"), ("10.3.0", "gfx1030"), ("9.0.10", "gfx90a"), ("x", None), ("11.0", None)],
)
def test_overrides_write_minor_and_step_in_decimal_and_targets_in_hex(value: str, target: str | None) -> None:
    assert gfx_named(value) == target


def test_vulkan() -> None:
    facts = facts_of(f"{LINUX}/vulkan")
    assert requires(facts, "vulkan").vulkan == Vulkan(api="1.2")

    assert requires(facts, "vulkan", rules(requires={})).vulkan is None
    assert without(facts) == ["matrix.yaml's release.requires.vulkan.vulkan names no version of Vulkan"]


def test_the_c_library_comes_with_the_floor() -> None:
    names = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0",
             "librt.so.1", "libvulkan.so.1", "libcrypt.so.1", "/usr/lib/libc++.1.dylib"]  # fmt: skip
    facts = Facts(measure(facts_of(f"{LINUX}/cpu").bundle, "closure", outside=names))

    assert hard_libraries(facts) == ("libcrypt.so.1", "libvulkan.so.1")


def test_all_needs_what_its_core_needs() -> None:
    facts = facts_of(f"{LINUX}/all")
    found = requires(facts, "all", base=f"{LINUX}/cpu")

    assert found == Requires(glibc="2.28", cpu="x86-64-v1")
    assert facts.problems == []


def test_all_needs_a_library_that_its_core_needs() -> None:
    facts = facts_of(f"{LINUX}/all")
    base = measure(facts_of(f"{LINUX}/cpu").bundle, "closure", outside=["libc.so.6", "libgomp.so.1"])

    assert requires_of(facts, release=RULES, backend="all", base=base).libs == ("libgomp.so.1",)


@pytest.mark.parametrize("base", [None, f"{LINUX}/vulkan"])
def test_all_without_a_plain_bundle_beside_it(base: str | None) -> None:
    facts = facts_of(f"{LINUX}/all")
    requires(facts, "all", base=base)

    assert without(facts)[0].startswith("its core's needs are measured on the platform's default bundle")


def test_all_with_another_core() -> None:
    facts = facts_of(f"{LINUX}/all")
    seen = facts.bundle.inspection
    changed = tuple(
        dataclasses.replace(file, sha256="ab" * 32) if file.path == "libllama.so" else file for file in seen.files
    )
    strange = FileDigest(path="libstrange.so", size=1, sha256="cd" * 32)
    bundle = dataclasses.replace(facts.bundle, inspection=dataclasses.replace(seen, files=(*changed, strange)))
    facts = Facts(bundle)
    requires(facts, "all", base=f"{LINUX}/cpu")

    assert without(facts) == [
        f"its core is not that of {LINUX}/cpu (libllama.so, libstrange.so differ), so what it needs cannot be told"
    ]
