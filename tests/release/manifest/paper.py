"""Bundles on paper: every kind of variant, also those that cannot be packed here, without an archive."""

from __future__ import annotations

__all__ = [
    "GPU_TEXT",
    "PROVENANCE",
    "bundle_of",
    "facts_of",
    "gpu_collection",
    "manifest_of",
    "measure",
    "regate",
    "rules",
    "swap",
    "write",
]

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from pipeline.matrix.cells import Cell
from pipeline.matrix.expand import expand
from pipeline.matrix.loaded import LoadedMatrix
from pipeline.matrix.spec import ClosureGate
from pipeline.model import Status, Verdict
from pipeline.report.record import RunReport
from release.manifest.generate import generate
from release.manifest.measured import Facts
from release.manifest.reading import read
from release.manifest.records import Manifest, Reference
from release.model import Collection, Missing, ReleasedBundle, ReleaseId
from tests.release.builders import (
    EPOCH,
    MATRIX_TEXT,
    RELEASE,
    asset_name,
    load_matrix,
    make_inspection,
    make_verdicts,
    references,
    version_of,
)

PROVENANCE = Reference(name="provenance.intoto.jsonl", sha256=hashlib.sha256(b"provenance").hexdigest())

_MACOS = ("/System/Library/Frameworks/Metal.framework/Versions/A/Metal", "/usr/lib/libSystem.B.dylib")
_CORE = """\
    script: build/llama_cpp.sh
    toolchain: zig
    image: build
    engines: [docker]
    deadline: 60m
    memory: 8GiB
    licences: [LICENSE]
"""
_VARIANTS = """\
  rocm-gfx1100: {backend: rocm, description: AMD GPUs}
  metal: {backend: metal, description: Apple GPUs}
"""
_COMPONENTS = f"""\
  llama.cpp/darwin-arm64/core:
{_CORE}\
    libraries: [libggml-base.so, libllama.so]
    programs: [llama-cli]
    tests: [test-sampling, test-gguf]
    cpu_variants: [apple_m1]
  llama.cpp/darwin-arm64/metal:
{_CORE}\
    libraries: [libggml-metal.so]
  llama.cpp/linux-x86_64/cuda12:
{_CORE}\
    libraries: [libggml-cuda.so]
  llama.cpp/linux-x86_64/rocm-gfx1100:
{_CORE}\
    libraries: [libggml-hip.so]
"""
_EDITS = (
    (
        '      pending: {cuda12: "a CUDA 12 image"}\n',
        '      pending: {cuda12: "a CUDA 12 image", rocm-gfx1100: "a ROCm image"}\n',
    ),
    ("  platform: [linux-x86_64, linux-aarch64]\n", "  platform: [linux-x86_64, linux-aarch64, darwin-arm64]\n"),
    ("  variant: [cpu, cuda12, vulkan, all]\n", "  variant: [cpu, cuda12, rocm-gfx1100, vulkan, metal, all]\n"),
    ("\nplatforms:\n", "\nplatforms:\n  darwin-arm64: {os: darwin, arch: arm64, target: arm64-apple-macos13.3}\n"),
    ("\nvariants:\n", f"\nvariants:\n{_VARIANTS}"),
    ("\ncomponents:\n", f"\ncomponents:\n{_COMPONENTS}"),
    (
        '  - cells: "*/*/cuda12"\n    set: {needs: "a CUDA 12 image"}\n',
        """\
  - cells: "*/*/cuda12"
    set:
      backends: [cuda12]
      gates:
        size: {max: 220MB, max_unpacked: 900MB}
        smoke: {image: floor, device: cuda, devices: {cuda: "[0-9]+:"}, startup: 100ms, deadline: 10m}
        abi: {glibc: "2.31"}
        backend: {sass: [sm_86, sm_89], ptx: [sm_50]}
        closure: {allow: [libcuda.so.1, libc.so.6]}
  - cells: "*/*/rocm-gfx1100"
    set:
      backends: [rocm-gfx1100]
      gates:
        size: {max: 220MB, max_unpacked: 900MB}
        smoke: {image: floor, device: rocm, devices: {rocm: "[0-9]+:"}, startup: 100ms, deadline: 10m}
        abi: {glibc: "2.35"}
        backend: {gfx: [gfx1100]}
        closure: {allow: [libdrm.so.2, libc.so.6]}
  - cells: "*/*/metal"
    set:
      backends: [metal]
      gates:
        size: {max: 220MB, max_unpacked: 900MB}
        smoke: {image: floor, device: metal, devices: {metal: "[0-9]+:"}, startup: 100ms, deadline: 10m}
        abi: {macos: "13.3"}
        backend: {metal: true}
        closure: {allow: [libSystem.B.dylib]}
""",
    ),
    (
        "exclude:\n",
        """\
exclude:
  - {cells: "*/darwin-arm64/{cpu,cuda12,rocm-gfx1100,vulkan,all}", reason: "Metal is for all of them"}
  - {cells: "*/linux-*/metal", reason: "Metal exists on macOS only"}
  - {cells: "*/linux-aarch64/rocm-gfx1100", reason: "there is no ROCm for aarch64"}
""",
    ),
    ("  order: [cuda12, vulkan, cpu, all]\n", "  order: [cuda12, rocm-gfx1100, metal, vulkan, cpu, all]\n"),
    (
        "  defaults: {linux-x86_64: cpu, linux-aarch64: cpu}\n",
        "  defaults: {linux-x86_64: cpu, linux-aarch64: cpu, darwin-arm64: metal}\n",
    ),
    ('    vulkan: {vulkan: "1.2"}\n', '    vulkan: {vulkan: "1.2"}\n    rocm-gfx1100: {amd_driver: amdgpu}\n'),
)
_TAIL = """\
  environment:
    - cells: "*/*/rocm-gfx1100"
      name: HSA_OVERRIDE_GFX_VERSION
      value: 11.0.0
      gfx: [gfx1101, gfx1102]
      reason: they run its code
    - {cells: "*/*/cuda12", name: GGML_CUDA_INIT, value: "1", engine_below: "0.5.0", reason: mended in 0.5.0}
  revoked:
    - {sha256: 1f1e1d1c1f1e1d1c1f1e1d1c1f1e1d1c1f1e1d1c1f1e1d1c1f1e1d1c1f1e1d1c, reason: it crashed}
"""


def _gpu_text() -> str:
    text = MATRIX_TEXT
    for old, new in _EDITS:
        assert old in text, f"the builders' matrix no longer has {old!r}"
        text = text.replace(old, new, 1)
    return text + _TAIL


GPU_TEXT = _gpu_text()
"""The builders' matrix with CUDA, ROCm and Metal cells that can be built."""


def bundle_of(matrix: LoadedMatrix, cell: Cell) -> ReleasedBundle:
    """A bundle as it would be, with passed verdicts that fit it."""
    if cell.platform.startswith("darwin"):
        # Install names are paths, which matrix.yaml's check of closure.allow does not take yet.
        cell = replace(cell, gates=msgspec.structs.replace(cell.gates, closure=ClosureGate(allow=_MACOS)))
    inspection = make_inspection(matrix, cell)
    return ReleasedBundle(
        cell=cell,
        asset=asset_name(matrix, cell),
        inspection=inspection,
        verdicts=make_verdicts(cell, inspection),
        materials=(),
    )


def facts_of(cell: str, text: str = GPU_TEXT) -> Facts:
    """The facts of one cell's bundle."""
    matrix = load_matrix(text)
    found = next(one for one in expand(matrix).cells if one.id == cell)
    return Facts(bundle_of(matrix, found))


def gpu_collection(text: str = GPU_TEXT) -> Collection:
    """Every cell that can be built, on paper."""
    matrix = load_matrix(text)
    cells = expand(matrix).cells
    version = version_of(matrix)
    return Collection(
        folder=Path(),
        version=version,
        epoch=EPOCH,
        forged=False,
        matrix=matrix.file,
        report=RunReport(
            version=version,
            profile="release",
            engine="docker",
            engine_reason="docker: a test",
            machine="linux-x86_64",
            tool="llamatrix test",
            started=EPOCH - 1.0,
            ended=float(EPOCH),
            tasks=(),
            cells=(),
            left_out=(),
        ),
        bundles=tuple(bundle_of(matrix, cell) for cell in cells if cell.needs is None),
        missing=tuple(Missing(cell=cell.id, reason=cell.needs) for cell in cells if cell.needs is not None),
    )


def write(
    collection: Collection,
    release: ReleaseId = RELEASE,
    *,
    sboms: Mapping[str, Reference] | None = None,
    previous: Manifest | None = None,
) -> bytes:
    """Generate with made-up references."""
    wanted = references(collection) if sboms is None else sboms
    return generate(collection, release, sboms=wanted, provenance=PROVENANCE, previous=previous)


def manifest_of(collection: Collection | None = None) -> Manifest:
    """Generate and read back."""
    return read(write(collection or gpu_collection()))


def measure(bundle: ReleasedBundle, gate: str, **measured: object) -> ReleasedBundle:
    """The same bundle with other measurements of one gate; None removes one."""
    assert any(verdict.gate == gate for verdict in bundle.verdicts), gate

    def changed(verdict: Verdict) -> Verdict:
        if verdict.gate != gate:
            return verdict
        values = {key: value for key, value in {**verdict.measured, **measured}.items() if value is not None}
        return replace(verdict, measured=values)

    return replace(bundle, verdicts=tuple(map(changed, bundle.verdicts)))


def regate(bundle: ReleasedBundle, gate: str, status: Status, **values: object) -> ReleasedBundle:
    """The same bundle with one gate's status changed."""
    assert any(verdict.gate == gate for verdict in bundle.verdicts), gate
    verdicts = tuple(
        replace(verdict, status=status, **values) if verdict.gate == gate else verdict  # type: ignore[arg-type]  # right ones
        for verdict in bundle.verdicts
    )
    return replace(bundle, verdicts=verdicts)


def swap(collection: Collection, cell: str, change: Callable[[ReleasedBundle], ReleasedBundle]) -> Collection:
    """The same collection with one bundle changed."""
    assert any(bundle.cell.id == cell for bundle in collection.bundles), cell
    return replace(
        collection,
        bundles=tuple(change(bundle) if bundle.cell.id == cell else bundle for bundle in collection.bundles),
    )


def rules(collection: Collection, **changes: object) -> Collection:
    """The same collection with other release rules in its matrix."""
    assert collection.matrix.release is not None
    changed = msgspec.structs.replace(collection.matrix.release, **changes)
    return replace(collection, matrix=msgspec.structs.replace(collection.matrix, release=changed))
