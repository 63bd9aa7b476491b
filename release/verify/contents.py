"""Inside the bundles: what the manifest says of each is compared with what its own bytes say."""

from __future__ import annotations

__all__ = ["check_contents"]

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.bundle.reading import unpack
from pipeline.report.text import count
from release.manifest.records import Attest, ProjectEntry, VariantEntry
from release.model import Inspection
from release.verify.case import Case
from release.verify.names import MANIFEST
from release.verify.remeasure import GATES, remeasure

_LIBRARY = re.compile(r".*\.(?:so(?:\.\d+)*|dylib)")
_PROFILE = "release"


def check_contents(case: Case) -> None:
    """Open every bundle that the manifest offers and that is what SHA256SUMS lists; nothing else is opened further."""
    if case.expected.vouchers:
        return
    if not case.expected.deep:
        case.findings.note(f"the bundles were not opened: what {MANIFEST} says of their contents was not checked")
        return
    offered = {entry.artifact.name: (cell, entry) for cell, entry in case.entries().items()}
    names = [name for name in case.inspections if name in case.genuine and name in offered]
    if not names:
        case.findings.note("no bundle was opened: what is inside was not compared with anything")
        return
    with case.findings.check() as say:
        for name in names:
            _check_bundle(case, *offered[name], case.inspections[name])
        waived = {name: _waived(offered[name][1]) for name in names}
        excepted = ", but what is waived" if any(waived.values()) else ""
        say(
            f"{count(len(names), 'bundle')} opened: BUILD_INFO.json, sizes and every library as in {MANIFEST}; "
            f"measured again: {', '.join(GATES)}{excepted}"
        )
        for name, gates in waived.items():
            if gates:
                say(f"{name}: waived, so not held against it: {', '.join(gates)}")


def _waived(entry: VariantEntry) -> list[str]:
    return [gate for gate in GATES if entry.attest.gates.get(gate) == "waived"]


def _check_bundle(case: Case, cell: str, entry: VariantEntry, seen: Inspection) -> None:
    assert case.manifest is not None  # the offer comes from it
    name = entry.artifact.name
    project = case.manifest.projects[cell.partition("/")[0]]
    for problem in (
        *_identity(cell, entry, project, case.manifest.release.version, seen),
        *_libraries(entry.attest, seen),
    ):
        case.findings.add(f"{name}: {problem}")
    with case.findings.check(), tempfile.TemporaryDirectory(prefix="llamatrix-verify-") as scratch:
        root = unpack(seen.path, Path(scratch), max_bytes=max(seen.unpacked_size, 1))
        for problem in remeasure(cell, entry, seen, root, case.expected.today):
            case.findings.add(f"{name}: {problem}")


def _identity(cell: str, entry: VariantEntry, project: ProjectEntry, version: str, seen: Inspection) -> Iterator[str]:
    """Compare what the archive and its BUILD_INFO.json say with what it is offered as."""
    info = seen.info
    source, told = info.source, entry.attest.toolchain
    for what, says, wanted in (
        ("top folder", seen.top, entry.artifact.top),
        ("unpacked size", seen.unpacked_size, entry.artifact.unpacked_size),
        ("cell", f"{info.project}/{info.platform}/{info.variant}", cell),
        ("version", info.version, version),
        ("profile", info.profile.name, _PROFILE),
        ("build id", info.build_id, entry.attest.build_id),
        ("toolchain", info.toolchain.lock_sha256, told.lock_sha256 if told is not None else None),
        ("source", source.name, project.source.name),
        ("source version", source.version, project.source.version),
        ("source commit", source.commit, project.source.commit),
        ("source digest", source.digest, project.source.digest),
        ("proof of its source", source.proven, entry.attest.source_proven),
    ):
        if says != wanted:
            yield f"its {what} is {says}, {MANIFEST} says {wanted}"


def _libraries(attest: Attest, seen: Inspection) -> Iterator[str]:
    """Compare the list of libraries with the files, both ways."""
    inside = {file.path: (file.size, file.sha256) for file in seen.files}
    told = {library.name: (library.size, library.sha256) for library in attest.bundled}
    for path, facts in told.items():
        if path not in inside:
            yield f"{MANIFEST} lists the library {path}, which is not inside"
        elif inside[path] != facts:
            size, digest = inside[path]
            yield f"the library {path} has {size} bytes and the SHA-256 {digest}, not as in {MANIFEST}"
    for path in inside:
        if _LIBRARY.fullmatch(path) and path not in told:
            yield f"the library {path} is inside, and {MANIFEST} does not list it"
