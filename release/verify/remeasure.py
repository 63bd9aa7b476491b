"""Measure an unpacked bundle again with the gates of the build, and compare with what the manifest claims.

The gates run with the manifest's claims in the place of matrix.yaml's wishes: the device code, the floor and the
libraries it names are exactly what may be found, no more and no less.
"""

from __future__ import annotations

__all__ = ["GATES", "remeasure"]

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec

from pipeline.engines.base import Cancel, Job, LineSink
from pipeline.errors import InternalError
from pipeline.gates.abi import AbiGate
from pipeline.gates.backend import BackendGate
from pipeline.gates.base import Gate, Subject
from pipeline.gates.closure import ClosureGate
from pipeline.gates.licences import LicencesGate
from pipeline.gates.suite import judge
from pipeline.matrix import spec
from pipeline.matrix.cells import Cell
from pipeline.model import Backend, Bundle, EngineName, Status, Verdict
from release.manifest.measured import FAMILIES
from release.manifest.records import Attest, VariantEntry
from release.model import Inspection
from release.verify.names import MANIFEST

_SUITE: tuple[Gate, ...] = (LicencesGate(), BackendGate(), AbiGate(), ClosureGate())
GATES = tuple(gate.name for gate in _SUITE)
"""The gates that need nothing but the bundle itself; the others ran programs, and their word is the report's."""

_STDCXX = "libstdc++.so.6"
_ANY_GLIBCXX = "GLIBCXX_9999"
_SHOWN = 5


def remeasure(cell: str, entry: VariantEntry, seen: Inspection, root: Path, today: datetime.date) -> Iterator[str]:
    """Yield every claim about the bundle unpacked at ``root`` that its bytes do not bear out."""
    subject = _subject(cell, entry, seen, root)
    for verdict in judge(subject, today, _SUITE):
        if entry.attest.gates.get(verdict.gate) == "waived":
            continue  # it is known not to pass; what it measured is no claim
        if verdict.status is not Status.PASSED:
            yield from _failed(verdict)
        for what, found, claimed in _claims(verdict, entry.attest):
            if found != claimed:
                yield f"its {what} measured again: {_shown(found)}; {MANIFEST} says {_shown(claimed)}"


def _failed(verdict: Verdict) -> Iterator[str]:
    lines = [verdict.summary, *verdict.details]
    for line in lines[:_SHOWN]:
        yield f"gate {verdict.gate}: {line}"
    if len(lines) > _SHOWN:
        yield f"gate {verdict.gate}: and {len(lines) - _SHOWN} more"


def _claims(verdict: Verdict, attest: Attest) -> Iterator[tuple[str, object, object]]:
    """Pair what a gate measured now with what the manifest says it measured then."""
    measured = verdict.measured
    if verdict.gate == "backend":
        families = _texts(measured.get("backends"))
        backends = {Backend.CPU.value, *(str(FAMILIES.get(family, family)) for family in families)}
        yield "backends", tuple(sorted(backends)), tuple(sorted(attest.backends))
        yield "CPU variants", _texts(measured.get("cpu_variants")), tuple(sorted(attest.cpu_variants))
        yield "SPIR-V modules", measured.get("spirv_modules"), attest.spirv_modules
        yield "Metal library", measured.get("metallib"), attest.metallib
        for key, claimed in (("sass", attest.sass), ("ptx", attest.ptx), ("gfx", attest.gfx)):
            yield key, _texts(measured.get(key)), tuple(sorted(claimed))
    elif verdict.gate == "abi":
        yield "highest glibc symbol", measured.get("glibc"), attest.glibc
        yield "highest macOS", measured.get("macos"), attest.macos
    elif verdict.gate == "closure":
        yield "needs from the system", _texts(measured.get("outside")), tuple(sorted(attest.needed))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(sorted(map(str, value))) if isinstance(value, list | tuple) else ()


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _subject(cell: str, entry: VariantEntry, seen: Inspection, root: Path) -> Subject:
    info = seen.info
    project, platform, variant = cell.split("/")
    return Subject(
        cell=Cell(
            id=cell,
            project=project,
            platform=platform,
            variant=variant,
            backends=info.backends,
            gates=_wishes(entry, seen),
        ),
        bundle=Bundle(
            path=seen.path,
            top=seen.top,
            size=seen.size,
            unpacked_size=seen.unpacked_size,
            sha256=seen.sha256,
            tar_sha256="",  # of no interest to these gates
            files=len(seen.files),
        ),
        root=root,
        info=msgspec.to_builtins(info),
        work=root,
        engine=_NoEngine(),
        cancel=Cancel(),
    )


def _wishes(entry: VariantEntry, seen: Inspection) -> spec.Gates:
    """Turn what the manifest claims into what the gates ask for."""
    attest, requires = entry.attest, entry.requires
    licences = {name for component in seen.info.components for name in component.licences}
    return spec.Gates(
        licences=spec.LicencesGate(require=tuple(sorted(licences)) or ("LICENSE",)),
        backend=spec.BackendGate(
            spirv_min=max(attest.spirv_modules or 0, 1) if Backend.VULKAN in attest.backends else None,
            sass=attest.sass if Backend.CUDA in attest.backends else None,
            ptx=attest.ptx if Backend.CUDA in attest.backends else None,
            gfx=attest.gfx if Backend.ROCM in attest.backends else None,
            metal=True if Backend.METAL in attest.backends else None,
        ),
        # Which GLIBCXX may be asked for is no claim of the manifest; that libstdc++ is looked for at all is one.
        abi=spec.AbiGate(
            glibc=requires.glibc, macos=requires.macos, glibcxx=_ANY_GLIBCXX if _STDCXX in attest.needed else None
        ),
        closure=spec.ClosureGate(allow=attest.needed),
    )


class _NoEngine:
    """Nothing out of a downloaded bundle is ever run."""

    name = EngineName.HOST

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> NoReturn:  # noqa: ARG002  the protocol's
        """Refuse."""
        msg = f"verifying never runs anything, and {job.title} was asked for"
        raise InternalError(msg)

    def sweep(self) -> tuple[str, ...]:
        """There is nothing to remove."""
        return ()

    def close(self) -> None:
        """There is nothing to close."""
