"""One bundle becomes one variant: every number out of the archive's bytes or the gates' verdicts on those bytes."""

from __future__ import annotations

__all__ = ["Setting", "variant_of"]

import re
from dataclasses import dataclass

from pipeline.matrix.spec import MatrixFile, Release
from pipeline.model import Backend
from release.manifest.environment import environment_of
from release.manifest.measured import Facts, check_plan
from release.manifest.probe import probe_of
from release.manifest.records import (
    Artifact,
    Attest,
    BundledLibrary,
    GateStatus,
    Reference,
    TestCounts,
    ToolchainEntry,
    VariantBackend,
    VariantEntry,
    WaivedGate,
)
from release.manifest.requires import ALL, requires_of
from release.model import ReleasedBundle, ReleaseId

_LIBRARY = re.compile(r".*\.(?:so(?:\.\d+)*|dylib)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What a variant needs to know besides its bundle; ``base`` is the platform's default bundle, if it is there."""

    matrix: MatrixFile
    rules: Release
    release: ReleaseId
    base: ReleasedBundle | None


def variant_of(facts: Facts, setting: Setting, sbom: Reference) -> VariantEntry | None:
    """Make the entry of one bundle; None when it cannot be told, and ``facts`` then says why."""
    bundle = facts.bundle
    check_plan(facts)
    line = setting.matrix.variants[bundle.cell.variant]
    backend: VariantBackend = line.backend or ALL
    requires = requires_of(
        facts,
        release=setting.rules,
        backend=backend,
        base=setting.base,
        macos=setting.matrix.platforms[bundle.cell.platform].os == "darwin",
    )
    probe = probe_of(facts, backend)
    attest = _attest(facts)
    environment = environment_of(facts, setting.rules)
    if facts.problems or probe is None:
        return None
    return VariantEntry(
        backend=backend,
        description=" ".join(line.description.split()),
        artifact=artifact_of(bundle, setting.release),
        companions=(),
        requires=requires,
        env=environment,
        attest=attest,
        waivers=tuple(
            WaivedGate(gate=verdict.gate, reason=" ".join((verdict.reason or "").split()), until=verdict.until or "")
            for verdict in bundle.waived
        ),
        probe=probe,
        sbom=sbom,
    )


def artifact_of(bundle: ReleasedBundle, release: ReleaseId) -> Artifact:
    """Describe the archive as it was measured."""
    archive = bundle.inspection
    return Artifact(
        name=bundle.asset,
        size=archive.size,
        unpacked_size=archive.unpacked_size,
        sha256=archive.sha256,
        urls=(release.url(bundle.asset),),
        top=archive.top,
    )


def _attest(facts: Facts) -> Attest:
    bundle = facts.bundle
    archive, gates = bundle.inspection, bundle.cell.gates
    macos = gates.abi is not None and gates.abi.macos is not None
    highest = facts.text("abi", "macos" if macos else "glibc")
    backends = facts.backends
    return Attest(
        build_id=archive.info.build_id,
        source_proven=archive.info.source.proven,
        backends=tuple(backend.value for backend in backends),
        cpu_variants=facts.texts("backend", "cpu_variants"),
        spirv_modules=facts.number("backend", "spirv_modules") if Backend.VULKAN in backends else None,
        metallib=facts.number("backend", "metallib") if Backend.METAL in backends else None,
        sass=facts.code("sass"),
        ptx=facts.code("ptx"),
        gfx=facts.code("gfx"),
        glibc=None if macos else highest,
        macos=highest if macos else None,
        needed=facts.texts("closure", "outside"),
        bundled=tuple(
            BundledLibrary(name=file.path, size=file.size, sha256=file.sha256)
            for file in sorted(archive.files, key=lambda file: file.path)
            if _LIBRARY.fullmatch(file.path)
        ),
        gates={verdict.gate: _status(verdict.status.value) for verdict in bundle.verdicts},
        tests=_tests(facts),
        toolchain=ToolchainEntry(name=archive.info.toolchain.name, lock_sha256=archive.info.toolchain.lock_sha256),
    )


def _status(value: str) -> GateStatus:
    # Anything else was noted by check_plan, and no entry is made.
    return "waived" if value == "waived" else "passed"


def _tests(facts: Facts) -> TestCounts | None:
    """Count what ran; a waived gate may not have run anything, and then there is nothing to count."""
    if not facts.has("tests", "programs"):
        return None
    return TestCounts(programs=facts.number("tests", "programs"), failed=facts.number("tests", "failed"))
