"""What stands in manifest.json: one frozen record for each mapping, the single source of its JSON Schema.

The schema is a public contract and is only ever extended. A field that is added later has a default and is left out of
the file when it has it (``omit_defaults``), so that a manifest written earlier still reads back to its own bytes.

Two kinds of reader: ours (``reading.py``) takes nothing it does not know, since it vouches for what it read. A client
must ignore keys it does not know, with one exception: a variant whose ``requires`` has a key the client does not know
is not for that machine. So ``requires`` holds only what is really required, and nothing that is null.
"""

from __future__ import annotations

__all__ = [
    "KIND",
    "MOST",
    "READER",
    "SCHEMA_ID",
    "SCHEMA_VERSION",
    "Amd",
    "Artifact",
    "Attest",
    "BundledLibrary",
    "Condition",
    "Environment",
    "Manifest",
    "MissingCell",
    "Nvidia",
    "PlatformEntry",
    "Previous",
    "Probe",
    "ProjectEntry",
    "Reference",
    "ReleaseEntry",
    "Requires",
    "RevokedArchive",
    "SourceEntry",
    "TestCounts",
    "ToolchainEntry",
    "VariantEntry",
    "Vulkan",
    "WaivedGate",
]

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

SCHEMA_VERSION: Literal[1] = 1
SCHEMA_ID: Literal["urn:llamatrix:manifest:1"] = "urn:llamatrix:manifest:1"
KIND: Literal["llamatrix-manifest"] = "llamatrix-manifest"
READER = 1
"""What this version of llamatrix can read; a manifest may ask for more with ``min_reader``."""

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="a SHA-256 digest in hex")]
Commit = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}$", description="a full git commit id")]
# The largest number that every JSON reader keeps exactly; larger ones never come from us.
Bytes = Annotated[int, Meta(ge=1, le=2**53 - 1, description="a size in bytes")]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
MOST = 2**31 - 1
"""The last epoch and manifest version there can be."""
Serial = Annotated[int, Meta(ge=1, le=MOST)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$", description="an asset's name")]
Key = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
File = Annotated[str, Meta(min_length=1, max_length=512, description="a path below the bundle's top folder")]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Moment = Annotated[
    str,
    Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$", description="a time in UTC, such as 2026-11-21T07:00:00Z"),
]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="a day such as 2026-12-31")]
Numbers = Annotated[str, Meta(pattern=r"^\d+(\.\d+)*$", description="a version made of numbers, such as 2.28")]
Gfx = Annotated[str, Meta(pattern=r"^gfx[0-9a-f]{3,8}(:[a-z+:-]+)?$", description="an AMD GPU target such as gfx1100")]
Sm = Annotated[str, Meta(pattern=r"^sm_\d{2,3}[af]?$", description="an NVIDIA architecture such as sm_86")]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s\"'\\]+$", max_length=1000)]
BackendName = Literal["cpu", "cuda", "metal", "rocm", "vulkan"]
VariantBackend = Literal["cpu", "cuda", "metal", "rocm", "vulkan", "all"]
GateStatus = Literal["passed", "waived"]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every record: frozen, keywords only, unknown keys refused, defaults left out."""


class Reference(Record, frozen=True, kw_only=True):
    """Another asset of the same release, tied by its digest."""

    name: Name
    sha256: Sha256


class Artifact(Record, frozen=True, kw_only=True):
    """An archive to download."""

    name: Name
    size: Bytes
    """What a client downloads; it reads at most so many bytes."""
    unpacked_size: Bytes
    """What its files have together."""
    sha256: Sha256
    urls: tuple[Url, ...]
    """Where it is; every one gives the same bytes."""
    top: Name
    """The one folder the archive unpacks to."""


class Nvidia(Record, frozen=True, kw_only=True):
    """What an NVIDIA variant asks for."""

    driver_min: Numbers
    """The oldest driver its machine code runs with."""
    ptx_driver_min: Numbers | None = None
    """The oldest driver that translates its PTX, for a GPU no machine code is inside for."""
    sass: tuple[Sm, ...]
    """GPUs it has machine code for."""
    ptx: tuple[Sm, ...]
    """PTX versions inside; the driver translates them for GPUs as new or newer."""


class Amd(Record, frozen=True, kw_only=True):
    """What an AMD variant asks for."""

    gfx: tuple[Gfx, ...]
    """GPUs it works on: those its code is for, and those that run it with a variable of ``env``."""
    kernel_driver: Key
    """The kernel driver of the GPU."""


class Vulkan(Record, frozen=True, kw_only=True):
    """What a Vulkan variant asks for."""

    api: Annotated[str, Meta(pattern=r"^1\.\d+$")]
    """The oldest Vulkan version of the driver."""


class Requires(Record, frozen=True, kw_only=True):
    """What a machine must have. Each key that is there must hold; one a client does not know never does."""

    glibc: Numbers | None = None
    macos: Numbers | None = None
    cpu: Key
    """The lowest processor level: x86-64-v1 to -v4, armv8.0-a or apple-m1."""
    nvidia: Nvidia | None = None
    amd: Amd | None = None
    vulkan: Vulkan | None = None
    libs: tuple[Text, ...] = ()
    """Libraries the system must have besides its C library, by soname."""


class Condition(Record, frozen=True, kw_only=True):
    """When a variable is set; a client that does not know a condition does not set it."""

    gfx: tuple[Gfx, ...] = ()
    """The machine's GPU is one of these; empty: on every machine."""


class Environment(Record, frozen=True, kw_only=True):
    """A variable to set when the bundle's programs run."""

    name: Annotated[str, Meta(pattern=r"^(OLLAMA|GGML|HSA|HIP|ROCR|CUDA|VK)_[A-Z0-9_]+$", max_length=100)]
    value: Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,200}$")]
    policy: Literal["if-unset"]
    """Only when the user has not set it."""
    when: Condition
    reason: Text


class BundledLibrary(Record, frozen=True, kw_only=True):
    """A library inside the bundle."""

    name: File
    size: Bytes
    sha256: Sha256


class TestCounts(Record, frozen=True, kw_only=True):
    """The project's own test programs that were run on the bundle."""

    programs: Count
    failed: Count


class ToolchainEntry(Record, frozen=True, kw_only=True):
    """The compiler a bundle was made with, by the digest of its lock file."""

    name: Key
    lock_sha256: Sha256


class Attest(Record, frozen=True, kw_only=True):
    """What was measured on these very bytes."""

    build_id: Key
    source_proven: bool
    """The source's content was proved equal to its commit."""
    backends: tuple[BackendName, ...]
    cpu_variants: tuple[Key, ...]
    """CPU libraries inside; the best one for the processor is chosen at run time."""
    spirv_modules: Count | None = None
    metallib: Count | None = None
    """Bytes of the embedded Metal library."""
    sass: tuple[Sm, ...] = ()
    ptx: tuple[Sm, ...] = ()
    gfx: tuple[Gfx, ...] = ()
    glibc: Numbers | None = None
    """The highest glibc symbol version any file asks for."""
    macos: Numbers | None = None
    """The highest macOS version any file asks for."""
    needed: tuple[Text, ...]
    """Every library looked for outside of the bundle."""
    bundled: tuple[BundledLibrary, ...]
    gates: dict[Key, GateStatus]
    tests: TestCounts | None = None
    toolchain: ToolchainEntry | None = None


class WaivedGate(Record, frozen=True, kw_only=True):
    """A gate that did not pass and is accepted until a day."""

    gate: Key
    reason: Text
    until: Day


class Probe(Record, frozen=True, kw_only=True):
    """A command that tells whether the installed bundle works on this machine."""

    argv: Annotated[tuple[Text, ...], Meta(min_length=1)]
    """The program, as a path below the top folder, and its arguments; run with that folder as working folder."""
    expect: Text
    """A regular expression (RE2 syntax) that is found in what the program writes to standard output or error."""
    timeout_s: Annotated[int, Meta(ge=1, le=600)]


class VariantEntry(Record, frozen=True, kw_only=True):
    """One bundle."""

    backend: VariantBackend
    description: Text
    artifact: Artifact
    companions: tuple[Artifact, ...]
    """Further archives a client must fetch and unpack beside it."""
    requires: Requires
    env: tuple[Environment, ...]
    attest: Attest
    waivers: tuple[WaivedGate, ...]
    probe: Probe
    sbom: Reference


class PlatformEntry(Record, frozen=True, kw_only=True):
    """The bundles of a project on one platform."""

    default: Key
    """The variant that runs on every machine of the platform."""
    order: Annotated[tuple[Key, ...], Meta(min_length=1)]
    """Every variant here, in the order in which a client tries them."""
    variants: dict[Key, VariantEntry]


class SourceEntry(Record, frozen=True, kw_only=True):
    """The source a project is built from; ``commit`` is null as long as nobody has proved one."""

    name: Key
    version: Text
    commit: Commit | None
    digest: Sha256 | None
    """Of the source tree, as it was built."""
    purl: Text | None


class ProjectEntry(Record, frozen=True, kw_only=True):
    """One project with its platforms; none when nothing of it is released yet."""

    description: Text
    source: SourceEntry
    platforms: dict[Key, PlatformEntry]


class Previous(Record, frozen=True, kw_only=True):
    """The manifest before this one."""

    tag: Text
    manifest_version: Serial
    sha256: Sha256


class ReleaseEntry(Record, frozen=True, kw_only=True):
    """The release the manifest belongs to."""

    server: Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$")]
    repo: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    tag: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")]
    commit: Commit
    version: Key
    previous: Previous | None


class MissingCell(Record, frozen=True, kw_only=True):
    """A cell of the matrix that is not released, and what it still needs."""

    cell: Annotated[str, Meta(pattern=r"^[^/\s]+/[^/\s]+/[^/\s]+$")]
    reason: Text


class RevokedArchive(Record, frozen=True, kw_only=True):
    """An archive published earlier that must not be used any more."""

    sha256: Sha256
    reason: Text


class Manifest(Record, frozen=True, kw_only=True):
    """manifest.json."""

    schema: Literal["urn:llamatrix:manifest:1"] = field(name="$schema")
    schema_version: Literal[1]
    kind: Literal["llamatrix-manifest"]
    min_reader: Serial
    """The lowest reader that understands this manifest; a lower one refuses it."""
    epoch: Serial
    """Raised when manifest versions start anew; a client takes no lower one."""
    manifest_version: Serial
    """Grows with every release of an epoch; a client takes no lower one."""
    generated_at: Moment
    expires_at: Moment
    """A fetched manifest is refused after this; one a client came with only warns."""
    release: ReleaseEntry
    projects: dict[Key, ProjectEntry]
    missing: tuple[MissingCell, ...]
    revoked: tuple[RevokedArchive, ...]
    provenance: Reference
