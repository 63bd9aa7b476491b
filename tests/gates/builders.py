"""A good fake bundle that passes every static gate; each test breaks one thing of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec

from pipeline.bundle.archive import pack, unpack
from pipeline.bundle.info import INFO_NAME, BuildInfo, ComponentInfo, ProfileInfo, SourceInfo, ToolchainInfo
from pipeline.engines.base import Cancel
from pipeline.engines.device_code import hip_fatbin, nv_fatbin, spirv_module
from pipeline.engines.fake import FakeEngine
from pipeline.engines.forge import Import, elf
from pipeline.engines.forge_macho import macho
from pipeline.gates.base import Subject, Timing
from pipeline.matrix.cells import Cell
from pipeline.matrix.spec import (
    AbiGate,
    BackendGate,
    ClosureGate,
    Gates,
    LicencesGate,
    ReproGate,
    SizeGate,
    Waiver,
)

INIT, SCORE = "ggml_backend_init", "ggml_backend_score"
LIBC = ("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
VARIANTS = {"x86_64": ("x64", "haswell"), "aarch64": ("armv8.0_1",), "arm64": ("apple_m1",)}
EPOCH = 1790820708
TOP = "llama.cpp-0.1.0-linux-x86_64-vulkan"
GATES = Gates(
    size=SizeGate(warn="1MB", max="2MB", max_unpacked="4MB", growth="15%"),
    backend=BackendGate(),
    abi=AbiGate(glibc="2.28"),
    closure=ClosureGate(allow=(*LIBC, "libvulkan.so.1", "libcuda.so.1", "libamdhip64.so.6")),
    licences=LicencesGate(require=("LICENSE",)),
)
ASKED = {
    "vulkan": BackendGate(spirv_min=8),
    "cuda12": BackendGate(sass=("sm_86", "sm_120a"), ptx=("sm_75",)),
    "rocm-gfx1100": BackendGate(gfx=("gfx1100",)),
    "metal": BackendGate(metal=True),
}
GPU = {
    "vulkan": ("libggml-vulkan.so", "libvulkan.so.1", ((".rodata", b"odd" + spirv_module() * 8),)),
    "cuda12": ("libggml-cuda.so", "libcuda.so.1", ((".nv_fatbin", nv_fatbin(("sm_86", "sm_120a"), ("sm_75",))),)),
    "rocm-gfx1100": ("libggml-hip.so", "libamdhip64.so.6", ((".hip_fatbin", hip_fatbin(("gfx1100",)) * 2),)),
}


def glibc(version: str = "2.17") -> tuple[Import, ...]:
    return (Import(symbol="memcpy", library="libc.so.6", version=f"GLIBC_{version}"),)


def library(name: str, **fields: object) -> bytes:
    """A well-made shared library; fields override what forge.elf takes."""
    settings: dict[str, object] = {
        "soname": name,
        "needed": ("libggml-base.so.0",),
        "runpath": "$ORIGIN",
        "imports": glibc(),
        "mark": name,
    }
    return elf(**{**settings, **fields})  # type: ignore[arg-type]


def component(name: str, **fields: object) -> ComponentInfo:
    settings: dict[str, object] = {
        "id": f"llama.cpp/linux-x86_64/{name}",
        "recipe_key": "0" * 64,
        "options": {},
        "libraries": (),
        "programs": (),
        "cpu_variants": (),
        "licences": ("LICENSE",),
    }
    return ComponentInfo(**{**settings, **fields})  # type: ignore[arg-type]


def build_info(variant: str = "cpu", machine: str = "x86_64", *, backends: tuple[str, ...] = ()) -> BuildInfo:
    components = [
        component(
            "core",
            libraries=("libggml-base.so", "libggml-rpc.so", "libllama.so"),
            programs=("llama-cli",),
            cpu_variants=VARIANTS[machine],
        )
    ]
    names = {"metal": "libggml-metal.so", **{backend: entry[0] for backend, entry in GPU.items()}}
    components += [component(backend, libraries=(names[backend],)) for backend in backends]
    system = "darwin" if machine == "arm64" else "linux"
    return BuildInfo(
        project="llama.cpp",
        platform=f"{system}-{machine}",
        variant=variant,
        version="0.1.0",
        profile=ProfileInfo(name="release", description="what ships"),
        build_id="b" * 64,
        source=SourceInfo(name="llama.cpp", version="1", commit="c" * 40, epoch=EPOCH, proven=True, digest="d" * 64),
        components=tuple(components),
        backends=backends,
        pending={},
        toolchain=ToolchainInfo(name="zig", lock_sha256="e" * 64),
    )


def fill(root: Path, info: BuildInfo, machine: str = "x86_64") -> None:
    """Write the bundle's files."""
    root.mkdir(parents=True)
    (root / "licenses").mkdir()
    (root / "licenses" / "LICENSE").write_text("MIT License\n")
    (root / INFO_NAME).write_bytes(info.to_json())
    if machine == "arm64":
        _fill_darwin(root, info)
        return
    put(root, "libggml-base.so.0.1", library("libggml-base.so.0", machine=machine, needed=()))
    (root / "libggml-base.so.0").symlink_to("libggml-base.so.0.1")
    (root / "libggml-base.so").symlink_to("libggml-base.so.0")
    put(root, "libllama.so", library("libllama.so", machine=machine))
    put(root, "libggml-rpc.so", library("libggml-rpc.so", machine=machine, exports=(INIT,)))
    for variant in VARIANTS[machine]:
        name = f"libggml-cpu-{variant}.so"
        put(root, name, library(name, machine=machine, exports=(INIT, SCORE)))
    put(
        root,
        "llama-cli",
        elf(program=True, machine=machine, needed=("libllama.so",), runpath="$ORIGIN", imports=glibc()),
    )
    for backend in info.backends:
        name, needed, sections = GPU[backend]
        data = library(name, machine=machine, exports=(INIT,), needed=("libggml-base.so.0", needed), sections=sections)
        put(root, name, data)


def _fill_darwin(root: Path, info: BuildInfo) -> None:
    system = "/usr/lib/libSystem.B.dylib"
    for name in sorted(info.libraries):
        exports = () if name in {"libggml-base.so", "libllama.so"} else (INIT, SCORE)
        metallib = b"kernel void add() {}" if "metal" in name else b""
        put(root, name, macho(name=f"@rpath/{name}", exports=exports, needed=(system,), metallib=metallib))
    put(root, "llama-cli", macho(program=True, needed=("@rpath/libllama.so", system)))


def put(root: Path, name: str, data: bytes, mode: int = 0o755) -> Path:
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def subject(
    tmp_path: Path,
    *,
    backends: tuple[str, ...] = (),
    machine: str = "x86_64",
    gates: Gates | None = None,
    waivers: tuple[Waiver, ...] = (),
) -> Subject:
    """A bundle that passes every static gate, packed and unpacked for real."""
    variant = backends[0] if backends else "cpu"
    info = build_info(variant, machine, backends=backends)
    staging = tmp_path / "staging"
    fill(staging, info, machine)
    bundle = pack(staging, tmp_path / f"{TOP}.tar.zst", top=TOP, level=1, mtime=EPOCH)
    if gates is None:
        gates = GATES
        for backend in backends:
            gates = with_gates(gates, backend=ASKED[backend])
        if machine == "arm64":
            mac = ("/usr/lib/libSystem.B.dylib",)
            gates = with_gates(gates, abi=AbiGate(macos="13.3"), closure=ClosureGate(allow=mac))
    work = tmp_path / "work"
    work.mkdir()
    return Subject(
        cell=Cell(
            id=f"llama.cpp/{info.platform}/{variant}",
            project="llama.cpp",
            platform=info.platform,
            variant=variant,
            backends=backends,
            gates=gates,
            waivers=waivers,
        ),
        bundle=bundle,
        root=unpack(bundle.path, tmp_path / "unpacked"),
        info=as_mapping(info),
        work=work,
        engine=FakeEngine(),
        cancel=Cancel(),
        timings=tuple(Timing(component=part.id, seconds=60, deadline=3600) for part in info.components),
    )


def as_mapping(info: BuildInfo) -> dict[str, object]:
    content: dict[str, object] = json.loads(info.to_json())
    return content


def with_gates(gates: Gates, **changes: object) -> Gates:
    changed: Gates = msgspec.structs.replace(gates, **changes)
    return changed


def asking(base: Subject, **changes: object) -> Subject:
    """The same bundle under other gates."""
    return replace(base, cell=replace(base.cell, gates=with_gates(base.cell.gates, **changes)))


REPRO = ReproGate(engine="host")
