"""A small release as it could be: archives really packed, a report that fits them, and records made of both.

``make_dist`` writes a dist folder, ``make_collection`` gives what ``collect`` would make of it, ``make_sealed`` gives a
release ready to publish whose assets are small files of any content. Nothing here runs a program or opens a socket.
"""

from __future__ import annotations

__all__ = [
    "COMMIT",
    "EPOCH",
    "FORGED",
    "MATRIX_TEXT",
    "PUBLIC_KEY",
    "REAL",
    "RELEASE",
    "TODAY",
    "Dist",
    "load_matrix",
    "make_archive",
    "make_collection",
    "make_dist",
    "make_sealed",
    "make_verdicts",
    "references",
    "version_of",
]

import atexit
import datetime
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.bundle.archive import pack
from pipeline.bundle.info import BuildInfo, ComponentInfo, ProfileInfo, SourceInfo, ToolchainInfo
from pipeline.engines.forge import forge
from pipeline.gates.suite import declared
from pipeline.matrix.cells import Cell
from pipeline.matrix.expand import expand
from pipeline.matrix.loaded import LoadedMatrix
from pipeline.model import Status, Verdict
from pipeline.plan.components import component_id, kept_variants, promised_outputs
from pipeline.report.document import HTML_NAME, JSON_NAME, to_json
from pipeline.report.record import CellRecord, CellState, Material, RunReport
from release.inspection import inspect
from release.manifest.records import Reference
from release.model import (
    Asset,
    AssetKind,
    Collection,
    FileDigest,
    Inspection,
    Missing,
    ReleasedBundle,
    ReleaseId,
    Sealed,
)
from tests.matrix.builders import MATRIX, load_text

REAL, FORGED = "docker", "fake"
TODAY = datetime.date(2026, 11, 21)
EPOCH = 1_795_258_292
COMMIT = "5ea1" * 10
RELEASE = ReleaseId(repo="acme/llamatrix", tag="v0.1.0", commit=COMMIT)
PUBLIC_KEY = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
"""A well-formed key of nobody here."""

_EDITS = (
    ("  project: [llama.cpp]\n", "  project: [llama.cpp, ollama]\n"),
    ("  platform: [linux-x86_64]\n", "  platform: [linux-x86_64, linux-aarch64]\n"),
    ("  variant: [cpu, vulkan]\n", "  variant: [cpu, cuda12, vulkan, all]\n"),
)
_DEVICES = {
    "cuda": "CUDA0: NVIDIA GeForce RTX 3090 (24107 MiB, 23785 MiB free)",
    "rocm": "ROCm0: AMD Radeon RX 7900 XTX (24560 MiB, 24510 MiB free)",
    "vulkan": "Vulkan0: llvmpipe (LLVM 19.1.7, 256 bits) (24105 MiB, 22749 MiB free)",
    "metal": "MTL0: Apple M1 (10922 MiB, 10922 MiB free)",
}
_ADDED = {
    "platforms": "  linux-aarch64: {os: linux, arch: aarch64, target: aarch64-linux-gnu.2.28}\n",
    "variants": """\
  cuda12: {backend: cuda, description: "NVIDIA GPUs"}
  all: {description: "every backend of the platform"}
""",
    "projects": '  ollama: {source: ollama, description: "ollama/ollama"}\n',
    "sources": "  ollama: {version: 0.30.0}\n",
    "images": "  floor-aarch64: {suite: bullseye, architecture: arm64, packages: [dash]}\n",
    "components": """\
  llama.cpp/linux-aarch64/core:
    script: build/llama_cpp.sh
    toolchain: zig
    image: build
    engines: [docker, host]
    deadline: 60m
    memory: 8GiB
    libraries: [libggml-base.so, libggml.so, libllama.so]
    programs: [llama-cli, llama-server]
    tests: [test-sampling, test-gguf]
    cpu_variants: [armv8.0_1, armv8.2_1]
    licences: [LICENSE]
""",
}
_TAIL = """\
  - cells: "*/*/all"
    set:
      backends: [vulkan]
      pending: {cuda12: "a CUDA 12 image"}
      gates:
        size: {warn: 45MB, max: 60MB, max_unpacked: 250MB}
        backend: {spirv_min: 500}
        closure: {allow: [libvulkan.so.1, libc.so.6, libm.so.6]}
        smoke: {image: lavapipe, device: lavapipe, devices: {vulkan: "llvmpipe"}, startup: 100ms, deadline: 10m}
  - cells: "*/linux-aarch64/cpu"
    set:
      gates:
        smoke: {image: floor-aarch64, device: qemu-aarch64, startup: 100ms, deadline: 15m}
  - cells: "*/*/cuda12"
    set: {needs: "a CUDA 12 image"}
  - cells: "ollama/*/*"
    set: {needs: "an Ollama source that can be proved"}

exclude:
  - {cells: "*/linux-aarch64/{cuda12,vulkan,all}", reason: "not for aarch64 yet"}

release:
  epoch: 1
  lifetime_days: 180
  order: [cuda12, vulkan, cpu, all]
  defaults: {linux-x86_64: cpu, linux-aarch64: cpu}
  requires:
    cuda12: {nvidia: {min: "525.60.13", ptx_min: "550.54.14"}}
    vulkan: {vulkan: "1.2"}
"""


def _matrix_text() -> str:
    text = MATRIX
    for old, new in _EDITS:
        assert old in text, f"tests/matrix/builders.py no longer has {old!r}"
        text = text.replace(old, new, 1)
    for section, more in _ADDED.items():
        head = f"\n{section}:\n"
        assert head in text, f"tests/matrix/builders.py no longer has {section!r}"
        text = text.replace(head, head + more, 1)
    return text + _TAIL


MATRIX_TEXT = _matrix_text()
"""Two projects, two platforms; llama.cpp's cpu, vulkan and all can be built, Ollama's cells still need something."""


@functools.lru_cache(maxsize=8)
def load_matrix(text: str = MATRIX_TEXT) -> LoadedMatrix:
    """Load a matrix without a file."""
    return load_text(text)


def version_of(matrix: LoadedMatrix) -> str:
    """The version in asset names of the release profile."""
    return matrix.file.version + matrix.file.profiles["release"].suffix


def asset_name(matrix: LoadedMatrix, cell: Cell) -> str:
    """The archive's name, spelled out here so that a change of the scheme is noticed."""
    return f"{cell.project}-{version_of(matrix)}-{cell.platform}-{cell.variant}.tar.zst"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dist:
    """A dist folder with one version in it."""

    root: Path
    matrix: LoadedMatrix
    report: RunReport

    @property
    def folder(self) -> Path:
        """Where the archives lie."""
        return self.root / self.report.version

    def rewrite(self, report: RunReport) -> Dist:
        """Write another report over the one there is."""
        (self.folder / JSON_NAME).write_text(to_json(report), encoding="utf-8")
        return replace(self, report=report)

    def change(self, cell: str, **values: object) -> Dist:
        """Change one cell's record."""
        assert any(record.id == cell for record in self.report.cells), cell
        cells = tuple(
            replace(record, **values) if record.id == cell else record  # type: ignore[arg-type]  # tests give the right ones
            for record in self.report.cells
        )
        return self.rewrite(replace(self.report, cells=cells))


def build_info(matrix: LoadedMatrix, cell: Cell, *, proven: bool = True) -> BuildInfo:
    """What a bundle of this cell says about itself."""
    source_name = matrix.file.projects[cell.project].source
    source = matrix.file.sources[source_name]
    profile = matrix.file.profiles["release"]
    components = []
    for name in ("core", *cell.backends):
        ident = component_id(cell.project, cell.platform, name)
        spec = matrix.file.components[ident]
        components.append(
            ComponentInfo(
                id=ident,
                recipe_key=hashlib.sha256(ident.encode()).hexdigest()[:32],
                options=dict(spec.options),
                libraries=spec.libraries,
                programs=spec.programs,
                cpu_variants=kept_variants(spec, profile, cell.platform),
                licences=tuple(PurePosixPath(path).name for path in spec.licences),
            )
        )
    return BuildInfo(
        project=cell.project,
        platform=cell.platform,
        variant=cell.variant,
        version=version_of(matrix),
        profile=ProfileInfo(name="release", description=profile.description),
        build_id="52770a3c8006a78d",
        source=SourceInfo(
            name=source_name,
            version=source.version,
            commit=source.commit,
            epoch=source.epoch or 0,
            proven=proven,
            digest="f4e31d28" * 8,
        ),
        components=tuple(components),
        backends=cell.backends,
        pending=dict(cell.pending),
        toolchain=ToolchainInfo(name="zig", lock_sha256="c0a22e33" * 8),
    )


def make_archive(  # noqa: PLR0913  one thing each that can be wrong
    folder: Path,
    matrix: LoadedMatrix,
    cell: Cell,
    *,
    proven: bool = True,
    edit: Callable[[BuildInfo], BuildInfo] | None = None,
    name: str | None = None,
    top: str | None = None,
) -> Path:
    """Pack a forged bundle of a cell; ``edit`` changes what it says of itself, ``name`` and ``top`` its names."""
    asset = name or asset_name(matrix, cell)
    info = build_info(matrix, cell, proven=proven)
    platform = matrix.file.platforms[cell.platform]
    with tempfile.TemporaryDirectory() as scratch:
        staging = Path(scratch)
        for part in info.components:
            for output in promised_outputs(matrix.file.components[part.id], platform, part.cpu_variants):
                where, _, rest = output.path.partition("/")
                if where == "tests":
                    continue
                path = staging / (rest if where == "bundle" else output.path)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(forge(output))
                path.chmod(0o644 if where == "licenses" else 0o755)
        (staging / "libllama.so.0").symlink_to("libllama.so")
        (staging / "BUILD_INFO.json").write_bytes((edit(info) if edit else info).to_json())
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / asset
        pack(staging, path, top=top or asset.removesuffix(".tar.zst"), level=1, mtime=1_790_820_708)
    return path


def make_verdicts(cell: Cell, inspection: Inspection) -> tuple[Verdict, ...]:
    """Passed verdicts with what the gates would have measured, one for each gate the cell declares."""
    return tuple(
        Verdict(
            gate=gate.name,
            status=Status.PASSED,
            summary="as it should be",
            measured=_measured(gate.name, cell, inspection),
        )
        for gate in declared(cell)
    )


def _measured(gate: str, cell: Cell, inspection: Inspection) -> Mapping[str, object]:
    info = inspection.info
    variants = sorted(name for part in info.components for name in part.cpu_variants)
    asked = cell.gates.backend
    device: dict[str, object] = {}
    if asked is not None:
        device |= {"spirv_modules": 1515} if asked.spirv_min else {}
        device |= {"sass": sorted(asked.sass)} if asked.sass else {}
        device |= {"ptx": sorted(asked.ptx)} if asked.ptx else {}
        device |= {"gfx": sorted(asked.gfx)} if asked.gfx else {}
        device |= {"metallib": 4096} if asked.metal else {}
    allowed = cell.gates.closure.allow if cell.gates.closure else ()
    abi = cell.gates.abi
    floor: dict[str, object] = {}
    if abi is not None and abi.glibc is not None:
        floor = {"files": 10, "floor": abi.glibc, "glibc": "2.27"}
    elif abi is not None:
        floor = {"files": 10, "floor": abi.macos, "macos": abi.macos}
    families = {"cuda": "cuda", "rocm": "hip", "vulkan": "vulkan", "metal": "metal"}
    commit = (info.source.commit or "local")[:9]
    found: dict[str, Mapping[str, object]] = {
        "timeout": {"seconds": {"core": 168.2}},
        "size": {
            "files": len(inspection.files),
            "growth_percent": None,
            "packed": inspection.size,
            "unpacked": inspection.unpacked_size,
            "warned": False,
        },
        "licences": {"found": ["LICENSE"]},
        "backend": {
            "backends": sorted(
                {family for start, family in families.items() for name in info.backends if name.startswith(start)}
            ),
            "cpu_variants": variants,
            "libraries": sorted(info.libraries),
            **device,
        },
        "abi": floor,
        "closure": {"binaries": 10, "links": 1, "outside": sorted(allowed)},
        "smoke": {
            "version": f"version: {info.source.version} (build 0, commit {commit})",
            "startup_ms": 4.2,
            "devices": [line for start, line in _DEVICES.items() for name in info.backends if name.startswith(start)],
            "cpu_variants": dict.fromkeys(variants, "passed"),
        },
        "tests": {"failed": 0, "programs": len(cell.gates.tests.programs) if cell.gates.tests else 0},
        "repro": {"sha256": inspection.sha256, "twin_sha256": inspection.sha256},
    }
    return found[gate]


def _materials() -> tuple[Material, ...]:
    image, lock = "ab12" * 16, "c0a22e33" * 8
    return (
        Material(
            id=f"image:build@{image[:12]}",
            kind="image",
            name="build",
            digest=image,
            origin="bootstrapped: debian trixie",
            packages=(("libc6", "2.41-12"), ("zstd", "1.5.7+dfsg-1")),
        ),
        Material(
            id=f"toolchain:zig@{lock[:12]}",
            kind="toolchain",
            name="zig",
            digest=lock,
            origin="containers/toolchain/zig.txt",
            packages=(("cmake", "4.1.2"), ("ninja", "1.13.0"), ("ziglang", "0.17.0")),
        ),
    )


def make_dist(root: Path, *, engine: str = REAL, text: str = MATRIX_TEXT) -> Dist:
    """Write ``root/VERSION`` with every archive that can be built, report.json and report.html."""
    matrix = load_matrix(text)
    version = version_of(matrix)
    source = _packed(text, engine)
    shutil.copytree(source / version, root / version)
    inspections = _inspections(text, engine)
    materials = _materials() if engine == REAL else ()
    records = []
    for cell in expand(matrix).cells:
        base = CellRecord(
            id=cell.id, project=cell.project, platform=cell.platform, variant=cell.variant, state=CellState.NOT_RUN
        )
        if cell.needs is not None:
            records.append(replace(base, reason=f"needs {cell.needs}", asset=asset_name(matrix, cell)))
            continue
        inspection = inspections[cell.id]
        records.append(
            replace(
                base,
                state=CellState.PASSED,
                asset=asset_name(matrix, cell),
                size=inspection.size,
                unpacked_size=inspection.unpacked_size,
                sha256=inspection.sha256,
                verdicts=make_verdicts(cell, inspection),
                materials=tuple(material.id for material in materials),
            )
        )
    report = RunReport(
        version=version,
        profile="release",
        engine=engine,
        engine_reason=f"{engine}: a test",
        machine="linux-x86_64",
        tool="llamatrix test",
        started=EPOCH - 100.5,
        ended=EPOCH + 0.25,
        tasks=(),
        cells=tuple(records),
        left_out=tuple((left.id, left.reason) for left in expand(matrix).left_out),
        materials=materials,
    )
    dist = Dist(root=root, matrix=matrix, report=report)
    (dist.folder / HTML_NAME).write_text("<!doctype html><title>report</title>\n", encoding="utf-8")
    (dist.folder / "logs").mkdir()
    (dist.folder / "logs" / "core.log").write_text("compiled\n", encoding="utf-8")
    return dist.rewrite(report)


# Packing takes most of the time and gives the same bytes every time, so it is done once in a test run.
@functools.lru_cache(maxsize=8)
def _packed(text: str, engine: str) -> Path:
    matrix = load_matrix(text)
    root = Path(tempfile.mkdtemp(prefix="llamatrix-tests-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for cell in expand(matrix).cells:
        if cell.needs is None:
            make_archive(root / version_of(matrix), matrix, cell, proven=engine == REAL)
    return root


@functools.lru_cache(maxsize=8)
def _inspections(text: str, engine: str) -> Mapping[str, Inspection]:
    matrix = load_matrix(text)
    folder = _packed(text, engine) / version_of(matrix)
    cells = [cell for cell in expand(matrix).cells if cell.needs is None]
    return {cell.id: inspect(folder / asset_name(matrix, cell)) for cell in cells}


def make_collection(root: Path, *, engine: str = REAL, text: str = MATRIX_TEXT) -> Collection:
    """Give what ``collect`` makes of ``make_dist(root)``: four bundles, and Ollama's cells missing."""
    dist = make_dist(root, engine=engine, text=text)
    inspections = _inspections(text, engine)
    records = {record.id: record for record in dist.report.cells}
    cells = expand(dist.matrix).cells
    return Collection(
        folder=dist.folder,
        version=dist.report.version,
        epoch=EPOCH,
        forged=engine == FORGED,
        matrix=dist.matrix.file,
        report=dist.report,
        bundles=tuple(
            ReleasedBundle(
                cell=cell,
                asset=asset_name(dist.matrix, cell),
                inspection=replace(inspections[cell.id], path=dist.folder / asset_name(dist.matrix, cell)),
                verdicts=records[cell.id].verdicts,
                materials=dist.report.materials,
            )
            for cell in cells
            if cell.needs is None
        ),
        missing=tuple(Missing(cell=cell.id, reason=cell.needs) for cell in cells if cell.needs is not None),
    )


def make_inspection(matrix: LoadedMatrix, cell: Cell) -> Inspection:
    """What an archive of this cell would show, without one: for cells that cannot be packed here."""
    info = build_info(matrix, cell)
    names = sorted({*info.libraries, *info.programs, "BUILD_INFO.json"})
    files = tuple(
        FileDigest(path=name, size=1000 + at, sha256=hashlib.sha256(f"{cell.platform} {name}".encode()).hexdigest())
        for at, name in enumerate(names)
    )
    name = asset_name(matrix, cell)
    return Inspection(
        path=Path(name),
        top=name.removesuffix(".tar.zst"),
        size=4321,
        unpacked_size=sum(file.size for file in files),
        sha256=hashlib.sha256(cell.id.encode()).hexdigest(),
        files=files,
        links=(),
        info=info,
    )


def references(collection: Collection) -> dict[str, Reference]:
    """An SBOM for each bundle, by the bundle's asset name, as ``generate`` takes them."""
    return {
        bundle.asset: Reference(
            name=bundle.asset.removesuffix(".tar.zst") + ".cdx.json",
            sha256=hashlib.sha256(bundle.asset.encode()).hexdigest(),
        )
        for bundle in collection.bundles
    }


def make_sealed(
    folder: Path,
    *,
    release: ReleaseId = RELEASE,
    bundles: Mapping[str, bytes] | None = None,
    forged: bool = False,
    seed: str = "",
) -> Sealed:
    """Write a small release into ``folder`` and give it as sealed; ``bundles`` are name to content.

    The content is made up: publishing looks at names, sizes and digests only. Another ``seed`` gives other bytes under
    the same names.
    """
    version = release.version
    content = dict(
        bundles
        or {
            f"llama.cpp-{version}-linux-x86_64-cpu.tar.zst": f"cpu {seed}".encode() * 900,
            f"llama.cpp-{version}-linux-x86_64-vulkan.tar.zst": f"vulkan {seed}".encode() * 1100,
        }
    )
    files: list[tuple[str, bytes, AssetKind]] = [(name, data, AssetKind.BUNDLE) for name, data in content.items()]
    files += [
        (name.removesuffix(".tar.zst") + ".cdx.json", b'{"bomFormat": "CycloneDX"}\n' + name.encode(), AssetKind.SBOM)
        for name in content
    ]
    manifest = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in content.items()}, indent=1).encode()
    files += [
        (JSON_NAME, b'{"schema": 1}\n', AssetKind.REPORT),
        (HTML_NAME, b"<!doctype html>\n", AssetKind.REPORT),
        ("provenance.intoto.jsonl", b'{"mediaType": "made up"}\n', AssetKind.PROVENANCE),
        ("manifest.json", manifest, AssetKind.MANIFEST),
    ]
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data, _ in sorted(files)).encode()
    files += [
        ("SHA256SUMS", sums, AssetKind.SUMS),
        ("manifest.json.minisig", b"untrusted comment: made up\n", AssetKind.SIGNATURE),
        ("SHA256SUMS.minisig", b"untrusted comment: made up as well\n", AssetKind.SIGNATURE),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    assets = []
    for name, data, kind in files:
        path = folder / name
        path.write_bytes(data)
        assets.append(Asset(name=name, path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest(), kind=kind))
    return Sealed(
        id=release,
        version=version,
        assets=tuple(assets),
        notes=f"# {release.tag}\n\nBundles of a test.",
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        public_key=PUBLIC_KEY,
        prerelease="-" in version,
        forged=forged,
    )
