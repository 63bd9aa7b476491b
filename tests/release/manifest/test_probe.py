"""The probe runs what the smoke gate ran, and its pattern finds what real bundles print."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from pipeline.bundle.info import BuildInfo
from pipeline.model import Status, machine_platform
from release.manifest.measured import Facts
from release.manifest.probe import probe_of
from tests.release.manifest.paper import facts_of, measure, regate

LINUX = "llama.cpp/linux-x86_64"

# As printed by bundles built on 2026-11-21 from 0c1e57098, standard output and standard error.
VERSION = "version: 0.5.0-dev (build 0, commit 0c1e57098)\nbuilt with Clang 22.1.8 for Linux x86_64\n"
NO_DEVICES = "Available devices:\n  (none)\n"
DEVICES = "Available devices:\n  Vulkan0: llvmpipe (LLVM 19.1.7, 256 bits) (24105 MiB, 22749 MiB free)\n"


def finds(cell: str, backend: str, text: str) -> bool:
    facts = facts_of(cell)
    probe = probe_of(facts, backend)
    assert probe is not None
    assert facts.problems == []
    return re.search(probe.expect, text) is not None


def test_a_cpu_bundle_says_its_version() -> None:
    assert finds(f"{LINUX}/cpu", "cpu", VERSION)
    assert not finds(f"{LINUX}/cpu", "cpu", VERSION.replace("0c1e57098", "aaaaaaaaa"))
    assert not finds(f"{LINUX}/cpu", "cpu", VERSION.replace("0.5.0", "0x5y0"))
    assert not finds(f"{LINUX}/cpu", "cpu", "")


def test_a_gpu_bundle_shows_a_device_of_its_own() -> None:
    assert finds(f"{LINUX}/vulkan", "vulkan", DEVICES)
    assert not finds(f"{LINUX}/vulkan", "vulkan", NO_DEVICES)
    assert not finds(f"{LINUX}/vulkan", "vulkan", DEVICES.replace("Vulkan0", "CUDA0"))
    assert not finds(f"{LINUX}/vulkan", "vulkan", "ggml_vulkan: 0 = llvmpipe Vulkan0: \n")


@pytest.mark.parametrize(
    ("cell", "backend", "line"),
    [
        (f"{LINUX}/cuda12", "cuda", "  CUDA0: NVIDIA H200 (143156 MiB, 142000 MiB free)\n"),
        (f"{LINUX}/rocm-gfx1100", "rocm", "  ROCm0: AMD Radeon RX 7900 XTX (24560 MiB, 24510 MiB free)\n"),
        ("llama.cpp/darwin-arm64/metal", "metal", "  MTL0: Apple M1 (10922 MiB, 10922 MiB free)\n"),
    ],
)
def test_every_family_has_its_name(cell: str, backend: str, line: str) -> None:
    assert finds(cell, backend, f"Available devices:\n{line}")
    assert not finds(cell, backend, NO_DEVICES)


def test_all_only_has_to_start() -> None:
    assert finds(f"{LINUX}/all", "all", VERSION)


def test_a_bundle_without_the_program() -> None:
    facts = facts_of(f"{LINUX}/cpu")
    seen = facts.bundle.inspection
    files = tuple(file for file in seen.files if file.path != "llama-cli")
    facts = Facts(dataclasses.replace(facts.bundle, inspection=dataclasses.replace(seen, files=files)))

    assert probe_of(facts, "cpu") is None
    assert "it holds no llama-cli" in facts.problems[0]


@pytest.mark.parametrize(
    ("cell", "backend", "measured"),
    [
        (f"{LINUX}/cpu", "cpu", {"version": "version: 0.4.0 (build 0, commit 0c1e57098)"}),
        (f"{LINUX}/vulkan", "vulkan", {"devices": ["CUDA0: something"]}),
    ],
)
def test_what_the_smoke_gate_saw_must_satisfy_it(cell: str, backend: str, measured: dict[str, object]) -> None:
    facts = Facts(measure(facts_of(cell).bundle, "smoke", **measured))
    probe_of(facts, backend)

    assert "the smoke gate saw" in facts.problems[0]


def test_a_waived_smoke_gate_saw_nothing() -> None:
    bundle = regate(
        facts_of(f"{LINUX}/cpu").bundle, "smoke", Status.WAIVED, reason="x", until="2026-12-31", measured={}
    )
    facts = Facts(bundle)

    assert probe_of(facts, "cpu") is not None
    assert facts.problems == []


def test_a_source_without_a_commit_calls_itself_local() -> None:
    facts = facts_of(f"{LINUX}/cpu")
    info = facts.bundle.inspection.info
    local = msgspec.structs.replace(info, source=msgspec.structs.replace(info.source, commit=None))
    bundle = dataclasses.replace(facts.bundle, inspection=dataclasses.replace(facts.bundle.inspection, info=local))
    probe = probe_of(Facts(measure(bundle, "smoke", version="version: 0.5.0-dev (build 0, commit local)")), "cpu")

    assert probe is not None
    assert re.search(probe.expect, "version: 0.5.0-dev (build 0, commit local)")


@pytest.mark.bundle
def test_real_bundles_answer_as_expected(request: pytest.FixtureRequest) -> None:
    tried = 0
    for path in sorted(Path(request.config.getoption("--bundles")).resolve().glob("*/BUILD_INFO.json")):
        info = BuildInfo.from_json(path.read_bytes())
        if info.platform != machine_platform() or info.variant not in {"cpu", "all"}:
            continue  # the others need a device
        facts = facts_of(f"{LINUX}/cpu")
        gates = msgspec.structs.replace(facts.bundle.cell.gates, smoke=None)
        cell = dataclasses.replace(facts.bundle.cell, gates=gates)
        seen = dataclasses.replace(facts.bundle.inspection, info=info)
        probe = probe_of(Facts(dataclasses.replace(facts.bundle, cell=cell, inspection=seen)), info.variant)
        assert probe is not None
        top = path.parent
        argv = [str(top / probe.argv[0]), *probe.argv[1:]]
        ran = subprocess.run(argv, cwd=top, capture_output=True, text=True, timeout=probe.timeout_s, check=True)
        assert re.search(probe.expect, ran.stdout + ran.stderr)
        tried += 1
    assert tried
