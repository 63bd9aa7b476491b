"""What may stand in matrix.yaml: one frozen record per mapping, the single source of the JSON Schema.

Sizes are written ``40MB`` or ``2GiB`` and times ``90s``, ``45m`` or ``1h30m``; records keep them as written,
``parse_size`` and ``parse_duration`` give numbers. Unknown keys are errors everywhere.
"""

from __future__ import annotations

__all__ = [
    "AbiGate",
    "Axes",
    "BackendGate",
    "Cells",
    "ClosureGate",
    "Component",
    "DriverFloor",
    "EnvironmentRule",
    "Exclude",
    "Gates",
    "Image",
    "LicencesGate",
    "MatrixFile",
    "Mirror",
    "Override",
    "Platform",
    "Profile",
    "Project",
    "Release",
    "ReproGate",
    "Revoked",
    "SizeGate",
    "SmokeGate",
    "Source",
    "TestProgram",
    "TestsGate",
    "Toolchain",
    "VariantLine",
    "VariantRequires",
    "Waiver",
    "field_names",
    "parse_duration",
    "parse_size",
]

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

_SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(B|kB|MB|GB|KiB|MiB|GiB)")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")

Size = Annotated[str, Meta(pattern=r"^\d+(\.\d+)?(B|kB|MB|GB|KiB|MiB|GiB)$", description="a size such as 40MB or 2GiB")]
Duration = Annotated[
    str,
    Meta(pattern=r"^(?=\d)(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$", description="a time such as 90s, 45m, 1h30m or 100ms"),
]
Glob = Annotated[
    str, Meta(min_length=1, description="a glob over cell ids; * and ? do not cross /, {a,b} lists choices")
]
Commit = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}$", description="a full git commit id")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="a SHA-256 digest in hex")]
Text = Annotated[str, Meta(min_length=1)]
Percent = Annotated[str, Meta(pattern=r"^\d+%$", description="a share such as 15%")]
GlibcVersion = Annotated[str, Meta(pattern=r"^2\.\d+$", description="a glibc version such as 2.28")]
Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="a day such as 2026-12-31")]


def parse_size(text: str) -> int:
    """Turn ``40MB`` or ``2GiB`` into bytes."""
    match = _SIZE.fullmatch(text)
    if match is None:
        msg = f"not a size: {text!r}"
        raise ValueError(msg)
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_duration(text: str) -> float:
    """Turn ``1h30m``, ``90s`` or ``100ms`` into seconds."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        msg = f"not a duration: {text!r}"
        raise ValueError(msg)
    hours, minutes, seconds, millis = (int(group or 0) for group in match.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


class Strict(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every record: frozen, keywords only, unknown keys refused."""


class Platform(Strict, frozen=True, kw_only=True):
    """One operating system and processor the bundles run on."""

    os: Literal["linux", "darwin"]
    arch: Literal["x86_64", "aarch64", "arm64"]
    target: Text
    """The compiler's target triple, with the C library floor where there is one."""


class VariantLine(Strict, frozen=True, kw_only=True):
    """A variant: a backend with its line. ``all`` has no backend of its own."""

    backend: Literal["cpu", "cuda", "rocm", "vulkan", "metal"] | None = None
    description: Text


class Mirror(Strict, frozen=True, kw_only=True):
    """One place a source can come from; exactly one of ``git`` and ``sdist`` is set."""

    git: Text | None = None
    """A git remote that serves the pinned commit."""
    sdist: Text | None = None
    """``name==version`` of a source distribution that vendors the commit with its git objects."""
    sha256: Sha256 | None = None
    objects: Text | None = None
    """The git directory inside the sdist, as a path under its top folder."""


class Source(Strict, frozen=True, kw_only=True):
    """Upstream source, pinned. Without ``commit`` every cell that needs it must say what it still needs."""

    version: Text
    commit: Commit | None = None
    epoch: int | None = None
    """The commit's own time; it becomes SOURCE_DATE_EPOCH of everything built from it."""
    mirrors: tuple[Mirror, ...] = ()


class Toolchain(Strict, frozen=True, kw_only=True):
    """A compiler and its build tools, locked with hashes and installed the same for every engine."""

    lock: Text
    """A requirements file with hashes."""
    wrappers: Text
    """The folder of compiler wrappers."""
    hosts: tuple[Text, ...]
    """Platforms this toolchain runs on."""


class Image(Strict, frozen=True, kw_only=True):
    """A container image: pulled by digest, or bootstrapped from the signed Debian archive."""

    pull: Annotated[str, Meta(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$")] | None = None
    suite: Text | None = None
    packages: tuple[Text, ...] = ()
    architecture: Literal["amd64", "arm64"] = "amd64"
    needs: Text | None = None


class Component(Strict, frozen=True, kw_only=True):
    """What is compiled once and shared by the bundles of its platform; its id is project/platform/name."""

    script: Text
    """The build script under containers/."""
    toolchain: Text
    engines: tuple[Literal["docker", "host"], ...]
    image: Text
    deadline: Duration
    memory: Size
    options: dict[Text, Text] = {}
    """CMake cache entries on top of the script's own."""
    libraries: tuple[Text, ...]
    """Shared libraries it must leave, each with its exported entry point checked by the backend gate."""
    programs: tuple[Text, ...] = ()
    tests: tuple[Text, ...] = ()
    """Test programs it also compiles; they are kept beside the bundle, never inside."""
    cpu_variants: tuple[Text, ...] = ()
    """The CPU variants of a core; a profile may keep only some of them."""
    licences: tuple[Text, ...] = ()
    """Licence files of the source tree, as paths; each must be there."""


class SizeGate(Strict, frozen=True, kw_only=True):
    """Limits for the archive; 2 GiB, GitHub's limit for an asset, always holds as well."""

    max: Size
    warn: Size | None = None
    max_unpacked: Size
    growth: Percent | None = None


class BackendGate(Strict, frozen=True, kw_only=True):
    """What the libraries must hold, read from their bytes."""

    spirv_min: int | None = None
    """At least so many SPIR-V modules in the Vulkan library."""
    sass: tuple[Text, ...] | None = None
    """Exactly these SM architectures in the CUDA library."""
    ptx: tuple[Text, ...] | None = None
    gfx: tuple[Text, ...] | None = None
    """Exactly these GPU targets in the HIP library."""
    metal: bool | None = None
    """A Metal library must be embedded."""


class AbiGate(Strict, frozen=True, kw_only=True):
    """The oldest system the bundle starts on; exactly one of ``glibc`` and ``macos`` is set."""

    glibc: GlibcVersion | None = None
    glibcxx: Text | None = None
    """Highest GLIBCXX version, when libstdc++ is taken from the system; absent: no libstdc++ at all."""
    macos: Text | None = None


class ClosureGate(Strict, frozen=True, kw_only=True):
    """Libraries that may be left outside the bundle."""

    allow: tuple[Text, ...]


class SmokeGate(Strict, frozen=True, kw_only=True):
    """A run of the packed archive in a bare image of the floor distribution."""

    image: Text
    device: Literal["cpu", "lavapipe", "qemu-aarch64", "cuda", "rocm", "metal"]
    devices: dict[Text, Text] = {}
    """Device name pattern expected of --list-devices, by backend; empty for CPU-only bundles."""
    startup: Duration
    deadline: Duration


class TestProgram(Strict, frozen=True, kw_only=True):
    """One of the project's own test programs with its arguments."""

    run: Text
    args: tuple[Text, ...] = ()


class TestsGate(Strict, frozen=True, kw_only=True):
    """The project's own test programs that need no model download."""

    programs: tuple[TestProgram, ...]
    deadline: Duration


class LicencesGate(Strict, frozen=True, kw_only=True):
    """Licence files that must be inside; every component's own are required anyway."""

    require: tuple[Text, ...]


class ReproGate(Strict, frozen=True, kw_only=True):
    """A second build by another engine must give the same bytes."""

    engine: Literal["docker", "host"]


class Gates(Strict, frozen=True, kw_only=True):
    """The gates of a cell; a gate that is not named here does not apply to the cell."""

    size: SizeGate | None = None
    backend: BackendGate | None = None
    abi: AbiGate | None = None
    closure: ClosureGate | None = None
    smoke: SmokeGate | None = None
    tests: TestsGate | None = None
    licences: LicencesGate | None = None
    repro: ReproGate | None = None


class Waiver(Strict, frozen=True, kw_only=True):
    """A gate that failed or was skipped and is accepted for a while; after ``until`` it counts again."""

    gate: Literal["timeout", "size", "backend", "abi", "closure", "smoke", "tests", "licences", "repro"]
    reason: Text
    until: Date


class Project(Strict, frozen=True, kw_only=True):
    """A project and the source it is built from."""

    source: Text
    description: Text


class Profile(Strict, frozen=True, kw_only=True):
    """What a build is for; the difference is written here and in every BUILD_INFO.json."""

    description: Text
    suffix: str
    """Appended to the version in asset names, so that a local build is never mistaken for a release."""
    cpu_variants: dict[Text, tuple[Text, ...]] = {}
    """Platform to the CPU variants kept; a platform that is not named keeps all."""
    compression: Annotated[int, Meta(ge=1, le=22)]
    """The zstd level."""
    repro: bool
    """Whether the repro gate makes its second build."""


class Axes(Strict, frozen=True, kw_only=True):
    """The three axes whose product is the set of cells."""

    project: tuple[Text, ...]
    platform: tuple[Text, ...]
    variant: tuple[Text, ...]


class Exclude(Strict, frozen=True, kw_only=True):
    """Cells that do not exist, and why."""

    cells: Glob
    reason: Text


class Cells(Strict, frozen=True, kw_only=True):
    """What a cell is made of; overrides fill it in."""

    backends: tuple[Text, ...] | None = None
    """Backend components composed with the core, by component name."""
    pending: dict[Text, Text] = {}
    """Backends that later work adds to this cell, and what they still need."""
    needs: Text | None = None
    """What the cell still needs before it can be built; such a cell is planned and never runnable."""
    gates: Gates = Gates()
    waivers: tuple[Waiver, ...] = ()


class Override(Strict, frozen=True, kw_only=True):
    """Settings for the cells a glob matches, applied in order; the last one wins, gates merge one by one."""

    cells: Glob
    set: Cells


class DriverFloor(Strict, frozen=True, kw_only=True):
    """The oldest driver a GPU variant works with. Facts of the vendors, which no artifact can tell."""

    min: Annotated[str, Meta(pattern=r"^\d+(\.\d+)*$")]
    ptx_min: Annotated[str, Meta(pattern=r"^\d+(\.\d+)*$")] | None = None
    """NVIDIA only: the driver that can translate the PTX inside, where there is no machine code for the GPU."""


class VariantRequires(Strict, frozen=True, kw_only=True):
    """What a variant asks of a machine besides what its own bytes tell."""

    nvidia: DriverFloor | None = None
    amd_driver: Text | None = None
    """The kernel driver of an AMD GPU, for example amdgpu."""
    vulkan: Annotated[str, Meta(pattern=r"^1\.\d+$")] | None = None
    """The oldest Vulkan version of the driver."""


class EnvironmentRule(Strict, frozen=True, kw_only=True):
    """A variable a client sets when it runs a bundle, under a condition."""

    cells: Glob
    name: Annotated[str, Meta(pattern=r"^(OLLAMA|GGML|HSA|HIP|ROCR|CUDA|VK)_[A-Z0-9_]+$")]
    value: Text
    gfx: tuple[Text, ...] = ()
    """Only on these AMD GPUs; empty: on every machine."""
    engine_below: Text | None = None
    """Only for a project's version below this one."""
    reason: Text


class Revoked(Strict, frozen=True, kw_only=True):
    """An archive published earlier that clients must not use any more."""

    sha256: Sha256
    reason: Text


class Release(Strict, frozen=True, kw_only=True):
    """What the published manifest says besides what is measured."""

    epoch: Annotated[int, Meta(ge=1)]
    """Raised when manifest versions start anew, for example after the loss of a key."""
    lifetime_days: Annotated[int, Meta(ge=1, le=730)]
    """A fetched manifest is refused this many days after its release."""
    order: tuple[Text, ...]
    """Every variant, in the order in which a client tries them."""
    defaults: dict[Text, Text]
    """Platform to the variant that runs on every machine of it."""
    requires: dict[Text, VariantRequires] = {}
    """Variant to what it asks of a machine."""
    environment: tuple[EnvironmentRule, ...] = ()
    revoked: tuple[Revoked, ...] = ()


class MatrixFile(Strict, frozen=True, kw_only=True):
    """matrix.yaml."""

    schema: Literal[1]
    version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$")]
    axes: Axes
    platforms: dict[Text, Platform]
    variants: dict[Text, VariantLine]
    projects: dict[Text, Project]
    sources: dict[Text, Source]
    toolchains: dict[Text, Toolchain]
    images: dict[Text, Image]
    components: dict[Text, Component]
    profiles: dict[Literal["local", "release"], Profile]
    include: tuple[Text, ...] = ()
    """Cell ids outside the product of the axes."""
    exclude: tuple[Exclude, ...] = ()
    defaults: Cells
    overrides: tuple[Override, ...] = ()
    release: Release | None = None
    """Without it the matrix can be built and not released."""


def field_names(record: type[Struct]) -> tuple[str, ...]:
    """Give the keys a record allows, for messages."""
    return tuple(field.encode_name for field in msgspec.structs.fields(record))
