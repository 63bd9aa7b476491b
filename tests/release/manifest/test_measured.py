"""What the gates measured is held against the archive and the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import msgspec
import pytest

from pipeline.model import Backend, Status
from release.manifest.measured import Facts, check_plan
from tests.release.manifest.paper import facts_of, measure, regate

CPU, VULKAN, CUDA = (f"llama.cpp/linux-x86_64/{name}" for name in ("cpu", "vulkan", "cuda12"))
ROCM, METAL = "llama.cpp/linux-x86_64/rocm-gfx1100", "llama.cpp/darwin-arm64/metal"


def found(cell: str, gate: str, measured: Mapping[str, object]) -> list[str]:
    facts = Facts(measure(facts_of(cell).bundle, gate, **measured))
    check_plan(facts)
    return [problem.removeprefix(f"{cell}: ") for problem in facts.problems]


@pytest.mark.parametrize("cell", [CPU, VULKAN, CUDA, ROCM, METAL])
def test_what_fits_is_not_complained_about(cell: str) -> None:
    facts = facts_of(cell)
    check_plan(facts)

    assert facts.problems == []


@pytest.mark.parametrize(
    ("cell", "gate", "measured", "says"),
    [
        (CPU, "size", {"packed": 4320}, "gate size measured packed 4320, the archive has 4321"),
        (CPU, "size", {"unpacked": 1}, "gate size measured unpacked 1, the archive has 9036"),
        (CPU, "size", {"files": 1}, "gate size measured files 1, the archive has 9"),
        (
            CPU,
            "backend",
            {"cpu_variants": ["x64"]},
            "gate backend found the CPU variants x64, BUILD_INFO.json promises haswell, x64, zen4",
        ),
        (
            CPU,
            "backend",
            {"libraries": ["libggml-sycl.so"]},
            "gate backend saw libggml-sycl.so, which the archive does not hold",
        ),
        (VULKAN, "backend", {"backends": []}, "gate backend found no GPU backend, BUILD_INFO.json says vulkan"),
        (CPU, "backend", {"backends": ["cuda"]}, "gate backend found cuda, BUILD_INFO.json says no GPU backend"),
        (
            CPU,
            "backend",
            {"backends": ["sycl"]},
            "gate backend found a 'sycl' library, which the manifest has no word for",
        ),
        (VULKAN, "backend", {"spirv_modules": 499}, "gate backend counted 499 SPIR-V modules, the plan wants 500"),
        (CUDA, "backend", {"sass": ["sm_86"]}, "gate backend found sass sm_86, the plan wants sm_86, sm_89"),
        (CUDA, "backend", {"ptx": None}, "gate backend found ptx none, the plan wants sm_50"),
        (ROCM, "backend", {"gfx": ["gfx906"]}, "gate backend found gfx gfx906, the plan wants gfx1100"),
        (METAL, "backend", {"metallib": 0}, "gate backend found no Metal library"),
        (CPU, "backend", {"sass": ["sm_86"]}, "gate backend found sass sm_86, the plan wants none"),
        (CPU, "abi", {"floor": "2.17"}, "gate abi judged by the floor 2.17, the plan says 2.28"),
        (METAL, "abi", {"floor": "11"}, "gate abi judged by the floor 11, the plan says 13.3"),
        (
            CPU,
            "closure",
            {"outside": ["libgomp.so.1"]},
            "gate closure saw libgomp.so.1, which the plan does not allow outside",
        ),
        (CPU, "tests", {"programs": 1}, "gate tests ran 1 programs, the plan has 2"),
        (CPU, "tests", {"failed": 1}, "gate tests counts 1 failed programs and passed"),
    ],
)
def test_what_does_not_fit_is_named(cell: str, gate: str, measured: Mapping[str, object], says: str) -> None:
    assert says in found(cell, gate, measured)


def test_the_repro_gate_judged_these_very_bytes() -> None:
    assert found(CPU, "repro", {"sha256": "ab" * 32})[0].startswith("gate repro judged the SHA-256 abab")


@pytest.mark.parametrize("value", [None, "7", True, -1, 1.5, [7]])
def test_a_number_that_is_none(value: object) -> None:
    assert f"gate size measured no number 'packed' but {value!r}" in found(CPU, "size", {"packed": value})


@pytest.mark.parametrize("value", [None, "", 2.28, []])
def test_a_text_that_is_none(value: object) -> None:
    assert f"gate abi measured no text 'floor' but {value!r}" in found(CPU, "abi", {"floor": value})


@pytest.mark.parametrize("value", [None, "libc.so.6", [1], {"a": 1}])
def test_a_list_that_is_none(value: object) -> None:
    assert f"gate closure measured no list 'outside' but {value!r}" in found(CPU, "closure", {"outside": value})


def test_a_waived_gate_may_differ_from_the_plan() -> None:
    bundle = measure(facts_of(VULKAN).bundle, "backend", spirv_modules=3)
    facts = Facts(regate(bundle, "backend", Status.WAIVED, reason="few shaders", until="2026-12-31"))
    check_plan(facts)

    assert facts.problems == []


def test_a_gate_without_a_verdict() -> None:
    bundle = facts_of(CPU).bundle
    kept = tuple(verdict for verdict in bundle.verdicts if verdict.gate != "timeout")
    facts = Facts(dataclasses.replace(bundle, verdicts=kept))
    check_plan(facts)

    assert facts.problems == [f"{CPU}: gate timeout is declared and gave no verdict"]


def test_backends_have_our_names() -> None:
    assert facts_of(ROCM).backends == (Backend.CPU, Backend.ROCM)
    assert facts_of(METAL).backends == (Backend.CPU, Backend.METAL)


@pytest.mark.parametrize(("key", "what"), [("max", "packed"), ("max_unpacked", "unpacked")])
def test_a_size_that_the_plan_does_not_allow_is_found_whatever_the_verdict_says(key: str, what: str) -> None:
    bundle = facts_of(CPU).bundle
    limits = bundle.cell.gates.size
    assert limits is not None
    gates = msgspec.structs.replace(bundle.cell.gates, size=msgspec.structs.replace(limits, **{key: "1kB"}))
    facts = Facts(dataclasses.replace(bundle, cell=dataclasses.replace(bundle.cell, gates=gates)))

    check_plan(facts)

    (problem,) = facts.problems
    assert problem.endswith(f"bytes {what}, and the plan allows 1000")
