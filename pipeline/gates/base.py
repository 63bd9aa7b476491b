"""What a gate is: a named check of one packed bundle that can fail.

Gates read the bundle's own bytes, unpacked from the archive into ``Subject.root``; never a build folder.
"""

from __future__ import annotations

__all__ = ["Gate", "Subject", "Timing", "failed", "passed", "skipped"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.engines.base import Cancel, Engine
from pipeline.matrix.cells import Cell
from pipeline.model import Bundle, Status, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long a component took, against its deadline; seconds."""

    component: str
    seconds: float
    deadline: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One bundle with what the gates may ask about it.

    ``root`` is the unpacked top folder. ``info`` is BUILD_INFO.json. ``tests`` holds the test programs compiled
    beside the core. ``engine`` runs programs; ``images`` maps an image's name in matrix.yaml to a reference that
    engine understands (empty on the host). ``emulators`` maps a processor to a user-mode emulator on this machine.
    ``work`` is a folder the gate may write to. ``twin`` is the same cell built by another engine. ``previous_size``
    is the size of this asset in the previous release.
    """

    cell: Cell
    bundle: Bundle
    root: Path
    info: Mapping[str, object]
    work: Path
    engine: Engine
    cancel: Cancel
    images: Mapping[str, str] = field(default_factory=dict)
    emulators: Mapping[str, Path] = field(default_factory=dict)
    timings: tuple[Timing, ...] = ()
    tests: Path | None = None
    twin: Bundle | None = None
    twin_reason: str | None = None
    previous_size: int | None = None


class Gate(Protocol):
    """One check. ``name`` is the key under ``gates`` in matrix.yaml."""

    name: str

    def check(self, subject: Subject) -> Verdict:
        """Measure the bundle and give a verdict; raise only for bugs."""
        ...


def passed(gate: str, summary: str, **measured: object) -> Verdict:
    """Say that the bundle is as promised."""
    return Verdict(gate=gate, status=Status.PASSED, summary=summary, measured=measured)


def failed(gate: str, summary: str, *, details: Iterable[str] = (), **measured: object) -> Verdict:
    """Say that it is not; ``summary`` tells what is wrong and what to do."""
    return Verdict(
        gate=gate,
        status=Status.FAILED,
        summary=summary,
        reason=summary,
        details=tuple(details),
        measured=measured,
    )


def skipped(gate: str, reason: str, **measured: object) -> Verdict:
    """Say that it was not looked at, and why. This never counts as passed."""
    return Verdict(gate=gate, status=Status.SKIPPED, summary=f"skipped: {reason}", reason=reason, measured=measured)
