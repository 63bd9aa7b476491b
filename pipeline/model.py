"""The vocabulary: what the pieces are called everywhere, in code, in files and on screen.

Everything here is a frozen record or an enum and imports nothing of ours, so any module may use it.
Units: sizes are bytes, times are seconds, paths inside bundles are POSIX and relative to the top folder.
"""

from __future__ import annotations

__all__ = [
    "Backend",
    "Bundle",
    "CellId",
    "EngineName",
    "LibraryKind",
    "Output",
    "ProfileName",
    "Status",
    "TaskKind",
    "TaskState",
    "Verdict",
    "machine_platform",
]

import platform as _platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

CellId = str
"""``project/platform/variant``; the id is the path."""


class Backend(StrEnum):
    """What computes: one value per ggml backend family."""

    CPU = "cpu"
    CUDA = "cuda"
    ROCM = "rocm"
    VULKAN = "vulkan"
    METAL = "metal"


class EngineName(StrEnum):
    """Where commands run."""

    DOCKER = "docker"
    HOST = "host"
    FAKE = "fake"


class ProfileName(StrEnum):
    """What a build is for: ``local`` ends in minutes, ``release`` ships."""

    LOCAL = "local"
    RELEASE = "release"


class TaskKind(StrEnum):
    """The kinds of node in the plan, in the order in which data flows."""

    SOURCE = "source"
    TOOLCHAIN = "toolchain"
    IMAGE = "image"
    CORE = "core"
    BACKEND = "backend"
    BUNDLE = "bundle"
    GATE = "gate"


class TaskState(StrEnum):
    """How a task ended, or why it did not run."""

    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    NOT_RUN = "not run"


class Status(StrEnum):
    """What a gate says. ``skipped`` is never ``passed``."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    WAIVED = "waived"


class LibraryKind(StrEnum):
    """What kind of file a compile step promises to leave behind."""

    LIBRARY = "library"
    PROGRAM = "program"
    LINK = "link"
    DATA = "data"


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One file a job must leave under its output folder.

    Real engines fail the job when it is missing or empty; the fake engine forges it. ``target`` is the
    link's target for ``link``; ``exports``, ``needed``, ``glibc`` and ``sections`` describe the ELF file
    to forge (``glibc`` is the highest ``GLIBC_x.y`` it asks for; sections are name and content).
    """

    path: str
    kind: LibraryKind
    machine: str = "x86_64"
    soname: str | None = None
    target: str | None = None
    exports: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    runpath: str | None = "$ORIGIN"
    glibc: str = "2.17"
    sections: tuple[tuple[str, bytes], ...] = ()
    content: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one gate found on one bundle.

    ``summary`` is one line for people; ``reason`` is set for every status but ``passed``; ``details`` are
    further lines (the ten largest files, each wrong symbol); ``measured`` are the numbers, JSON values only.
    """

    gate: str
    status: Status
    summary: str
    reason: str | None = None
    until: str | None = None
    details: tuple[str, ...] = ()
    measured: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A packed archive as the pack step measured it; ``tar_sha256`` is of the uncompressed tar."""

    path: Path
    top: str
    size: int
    unpacked_size: int
    sha256: str
    tar_sha256: str
    files: int


_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def machine_platform(system: str | None = None, machine: str | None = None) -> str:
    """Name this machine's platform, for example ``linux-x86_64`` or ``darwin-arm64``.

    Aliases such as ``amd64`` are accepted and never returned; an unknown machine comes back as it is.
    """
    os_name = (system or _platform.system()).lower()
    raw = (machine or _platform.machine()).lower()
    arch = _MACHINES.get(raw, raw)
    if os_name == "darwin" and arch == "aarch64":
        arch = "arm64"
    return f"{os_name}-{arch}"
