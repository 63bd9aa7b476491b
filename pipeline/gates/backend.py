"""The backend gate.

Incidents: releases whose GPU backend silently was not inside (shimmy 1.9.0; Ollama built without a backend list; an
install rule whose GLOB matched nothing), a library that does not export its entry point (llama.cpp#11700), a missing
GPU architecture found by users (ollama#12316), one gfx target missing from one of two hand-kept lists
(llama.cpp#28421).
A file's name proves nothing, so the proof is read from its bytes.
"""

from __future__ import annotations

__all__ = ["BackendGate"]

import mmap
import re
from collections import defaultdict
from hashlib import file_digest
from typing import TYPE_CHECKING, TypeVar

from pipeline.bundle.info import BuildInfo
from pipeline.gates.base import Subject, failed, passed
from pipeline.gates.contents import Contents, contents, platform_machine
from pipeline.gates.device_code import Cuda, cuda_code, hip_targets, spirv_modules
from pipeline.gates.elf import ElfFile
from pipeline.matrix.spec import BackendGate as Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.gates.macho import MachoFile
    from pipeline.model import Verdict

_Found = TypeVar("_Found")

_INIT, _SCORE = "ggml_backend_init", "ggml_backend_score"
_BACKEND = re.compile(r"libggml-([a-z0-9]+)(?:-[\w.]+)?\.(?:so|dylib)")
_VERSION = re.compile(r"(?:\.\d+)+(?=\.dylib$)|(?<=\.so)(?:\.\d+)+$")
_NOT_BACKENDS = frozenset({"base"})
_FAMILIES = {"cuda": "cuda", "rocm": "hip", "vulkan": "vulkan", "metal": "metal"}
_VULKAN_LOADER = "libvulkan.so.1"
_METAL_SECTION = ("__DATA", "__ggml_metallib")


class BackendGate:
    """Every promised library and program is there, is of the platform, and holds the device code asked for."""

    name = "backend"

    def check(self, subject: Subject) -> Verdict:
        """Hold the files against BUILD_INFO.json, and their bytes against matrix.yaml."""
        asked = subject.cell.gates.backend
        if asked is None:
            return failed(self.name, "matrix.yaml declares no backend gate for this cell")
        info = BuildInfo.from_mapping(subject.info)
        inside = contents(subject.root)
        families = _families(info.libraries)
        measured: dict[str, object] = {}
        problems = [
            *_identity(subject, info),
            *_presence(info, inside),
            *_machines(inside, platform_machine(subject.cell.platform)),
            *_unexpected(info, inside),
            *_entry_points(families, inside),
            *_copies(inside),
            *_wanted_families(info, families, asked),
        ]
        checks = {"vulkan": _vulkan, "cuda": _cuda, "hip": _hip, "metal": _metal}
        for family, check in checks.items():
            for name in families.get(family, ()):
                binary = inside.binary(name)
                if binary is not None:
                    problems += check(binary, asked, measured)
        measured["cpu_variants"] = _variants(families, inside)
        measured["backends"] = sorted(set(families) - {"cpu", "rpc"})
        measured["libraries"] = sorted(name for name in info.libraries if inside.binary(name))
        if problems:
            return failed(self.name, problems[0], details=problems[1:], **measured)
        return passed(self.name, _summary(measured), **measured)


def _families(libraries: frozenset[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(libraries):
        match = _BACKEND.fullmatch(name)
        if match is not None and match[1] not in _NOT_BACKENDS:
            found[match[1]].append(name)
    return dict(found)


def _identity(subject: Subject, info: BuildInfo) -> Iterator[str]:
    cell = subject.cell
    for label, ours, theirs in (
        ("project", cell.project, info.project),
        ("platform", cell.platform, info.platform),
        ("variant", cell.variant, info.variant),
        ("backends", sorted(cell.backends), sorted(info.backends)),
    ):
        if ours != theirs:
            yield f"BUILD_INFO.json says {label} {theirs}, the cell is {ours}"


def _presence(info: BuildInfo, inside: Contents) -> Iterator[str]:
    if not info.libraries:
        yield "BUILD_INFO.json promises no library: the core is not in the bundle"
    for name in sorted(info.libraries):
        if inside.binary(name) is None:
            what = "the CPU variant" if name.startswith("libggml-cpu-") else "the library"
            yield f"{what} {name} is promised and is not there, or is neither ELF nor Mach-O"
    modes = {item.name: item.mode for item in inside.items}
    for name in sorted(info.programs):
        binary = inside.binary(name)
        if binary is None:
            yield f"the program {name} is promised and is not there, or is neither ELF nor Mach-O"
        elif not binary.program or not modes[binary.name] & 0o100:
            yield f"the program {name} is there and cannot be started"


def _machines(inside: Contents, machine: str) -> Iterator[str]:
    for binary in inside.binaries:
        if binary.machine != machine:
            yield f"{binary.name} is for {binary.machine}, the platform is {machine}"


def _unexpected(info: BuildInfo, inside: Contents) -> Iterator[str]:
    """Any backend library ggml would load though nobody asked for it, wherever it lies and whatever it is."""
    for item in inside.items:
        base = item.name.rpartition("/")[2]
        promised = _VERSION.sub("", base) in info.libraries and "/" not in item.name
        if base.startswith("libggml-") and not promised:
            yield f"{item.name} is in the bundle and BUILD_INFO.json does not name it"


def _entry_points(families: dict[str, list[str]], inside: Contents) -> Iterator[str]:
    for family, names in families.items():
        wanted = (_INIT, _SCORE) if family == "cpu" else (_INIT,)
        for name in names:
            binary = inside.binary(name)
            missing = [entry for entry in wanted if binary is not None and entry not in binary.exports]
            if missing:
                yield f"{name} does not export {' and '.join(missing)}: build it with GGML_BACKEND_DL=ON"


def _copies(inside: Contents) -> Iterator[str]:
    """Backend libraries of equal bytes: one of them is not what its name says."""
    first: dict[str, str] = {}
    for binary in inside.binaries:
        if not binary.name.startswith("libggml-"):
            continue
        with binary.path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        if first.setdefault(digest, binary.name) != binary.name:
            yield f"{binary.name} is a copy of {first[digest]}"


def _wanted_families(info: BuildInfo, families: dict[str, list[str]], asked: Asked) -> Iterator[str]:
    if "cpu" not in families:
        yield "BUILD_INFO.json promises no CPU library; without one nothing runs"
    for backend in info.backends:
        family = next((known for start, known in _FAMILIES.items() if backend.startswith(start)), backend)
        if family not in families:
            yield f"the backend {backend} is in the bundle's name and no component promises a libggml-{family} library"
    for family, setting, value in (
        ("vulkan", "spirv_min", asked.spirv_min),
        ("cuda", "sass or ptx", asked.sass if asked.sass is not None else asked.ptx),
        ("hip", "gfx", asked.gfx),
        ("metal", "metal", asked.metal or None),
    ):
        if value is not None and family not in families:
            yield f"matrix.yaml asks for {setting} and no libggml-{family} library is promised"
        if value is None and family in families:
            yield f"nothing says what {families[family][0]} must hold: give backend.{setting} in matrix.yaml"


def _vulkan(binary: ElfFile | MachoFile, asked: Asked, measured: dict[str, object]) -> Iterator[str]:
    wanted = max(1, asked.spirv_min or 1)
    count = 0
    if isinstance(binary, ElfFile):
        if _VULKAN_LOADER not in binary.needed:
            yield f"{binary.name} does not need {_VULKAN_LOADER}: it is not a Vulkan backend"
        count = sum(
            _read(binary, spirv_modules, section.offset, section.size) for section in binary.sections if section.loaded
        )
    measured["spirv_modules"] = count
    if count < wanted:
        yield f"{binary.name} holds {count} SPIR-V modules, fewer than {wanted}: its shaders are not inside"


def _cuda(binary: ElfFile | MachoFile, asked: Asked, measured: dict[str, object]) -> Iterator[str]:
    sections = [part for part in binary.sections if part.name == ".nv_fatbin"] if isinstance(binary, ElfFile) else []
    if not sections or not isinstance(binary, ElfFile):
        yield f"{binary.name} has no .nv_fatbin section: it holds no CUDA code"
        return
    codes: list[Cuda] = [_read(binary, cuda_code, section.offset, section.size) for section in sections]
    for label, found, wanted in (
        ("sass", {name for code in codes for name in code.sass}, asked.sass),
        ("ptx", {name for code in codes for name in code.ptx}, asked.ptx),
    ):
        measured[label] = sorted(found)
        yield from _compare(binary.name, label.upper(), found, set(wanted or ()))


def _hip(binary: ElfFile | MachoFile, asked: Asked, measured: dict[str, object]) -> Iterator[str]:
    sections = [part for part in binary.sections if part.name == ".hip_fatbin"] if isinstance(binary, ElfFile) else []
    if not sections or not isinstance(binary, ElfFile):
        yield f"{binary.name} has no .hip_fatbin section: it holds no GPU code"
        return
    found = {name for section in sections for name in _read(binary, hip_targets, section.offset, section.size)}
    measured["gfx"] = sorted(found)
    yield from _compare(binary.name, "code", found, set(asked.gfx or ()))


def _metal(binary: ElfFile | MachoFile, _: Asked, measured: dict[str, object]) -> Iterator[str]:
    sizes = [] if isinstance(binary, ElfFile) else [part[2] for part in binary.sections if part[:2] == _METAL_SECTION]
    measured["metallib"] = sum(sizes)
    if not sum(sizes):
        yield f"{binary.name} embeds no Metal library: build it with GGML_METAL_EMBED_LIBRARY=ON"


def _compare(name: str, kind: str, found: set[str], wanted: set[str]) -> Iterator[str]:
    if wanted - found:
        yield f"{name} lacks {kind} for {', '.join(sorted(wanted - found))}"
    if found - wanted:
        yield f"{name} has {kind} for {', '.join(sorted(found - wanted))}, which nobody asked for"


def _read(binary: ElfFile, reader: Callable[[mmap.mmap, int, int], _Found], offset: int, size: int) -> _Found:
    with binary.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return reader(data, offset, offset + size)


def _variants(families: dict[str, list[str]], inside: Contents) -> list[str]:
    there = [name for name in families.get("cpu", ()) if inside.binary(name)]
    return [name.removeprefix("libggml-cpu").removeprefix("-").rpartition(".")[0] or "cpu" for name in there]


def _summary(measured: dict[str, object]) -> str:
    variants = measured["cpu_variants"]
    assert isinstance(variants, list)
    parts = [f"{len(variants)} CPU variants"]
    if "spirv_modules" in measured:
        parts.append(f"{measured['spirv_modules']} SPIR-V modules")
    for key in ("sass", "ptx", "gfx"):
        found = measured.get(key)
        if isinstance(found, list) and found:
            parts.append(f"{key}: {' '.join(found)}")
    if "metallib" in measured:
        parts.append(f"a Metal library of {measured['metallib']} bytes")
    return ", ".join(parts)
