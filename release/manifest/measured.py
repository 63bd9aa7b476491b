"""What the gates measured on one bundle, taken out with types, and held against the plan.

Verdicts come out of a JSON file, so each value is looked at before it is used, and each number that the plan also
names must agree with it: the gates judged these bytes, but perhaps by another matrix.yaml than the release's.
"""

from __future__ import annotations

__all__ = ["FAMILIES", "Facts", "check_plan"]

from collections.abc import Iterator

from pipeline.gates.suite import declared
from pipeline.matrix.spec import BackendGate, parse_size
from pipeline.model import Backend, Status
from release.model import ReleasedBundle

FAMILIES = {
    "cuda": Backend.CUDA,
    "hip": Backend.ROCM,
    "vulkan": Backend.VULKAN,
    "metal": Backend.METAL,
}
"""ggml's library names to our backends."""


class Facts:
    """One bundle's measurements; what is missing or impossible is noted, and an empty value stands in for it."""

    def __init__(self, bundle: ReleasedBundle) -> None:
        """Begin with nothing noted."""
        self.bundle = bundle
        self.problems: list[str] = []

    def note(self, problem: str) -> None:
        """Keep one problem, with the cell it belongs to."""
        self.problems.append(f"{self.bundle.cell.id}: {problem}")

    def waived(self, gate: str) -> bool:
        """Tell whether a gate's word does not count, because it was waived."""
        return any(verdict.gate == gate for verdict in self.bundle.waived)

    def has(self, gate: str, key: str) -> bool:
        """Tell whether a gate measured this at all."""
        return key in self.bundle.measured(gate)

    def number(self, gate: str, key: str) -> int:
        """Give a whole number that is not negative."""
        value = self.bundle.measured(gate).get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        self.note(f"gate {gate} measured no number {key!r} but {value!r}")
        return 0

    def text(self, gate: str, key: str) -> str:
        """Give a text that is not empty."""
        value = self.bundle.measured(gate).get(key)
        if isinstance(value, str) and value:
            return value
        self.note(f"gate {gate} measured no text {key!r} but {value!r}")
        return ""

    def texts(self, gate: str, key: str) -> tuple[str, ...]:
        """Give a list of texts, sorted."""
        value = self.bundle.measured(gate).get(key)
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(sorted(value))
        self.note(f"gate {gate} measured no list {key!r} but {value!r}")
        return ()

    def code(self, key: str) -> tuple[str, ...]:
        """Give the device code found: ``sass``, ``ptx`` or ``gfx``; empty where the bundle has no such library."""
        return self.texts("backend", key) if self.has("backend", key) else ()

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Every backend that was found inside, the CPU among them."""
        found = {Backend.CPU}
        for family in self.texts("backend", "backends"):
            if family in FAMILIES:
                found.add(FAMILIES[family])
            else:
                self.note(f"gate backend found a {family!r} library, which the manifest has no word for")
        return tuple(sorted(found))


def check_plan(facts: Facts) -> None:
    """Note every measurement that the archive or the plan contradicts; a waived gate may differ, that is its point."""
    for gate, problems in (
        ("size", _size(facts)),
        ("backend", _backend(facts)),
        ("abi", _abi(facts)),
        ("closure", _closure(facts)),
        ("tests", _tests(facts)),
        ("repro", _repro(facts)),
    ):
        if getattr(facts.bundle.cell.gates, gate) is not None and not facts.waived(gate):
            for problem in problems:
                facts.note(problem)
    for problem in _verdicts(facts):
        facts.note(problem)


def _verdicts(facts: Facts) -> Iterator[str]:
    bundle = facts.bundle
    given = {verdict.gate for verdict in bundle.verdicts}
    for gate in declared(bundle.cell):
        if gate.name not in given:
            yield f"gate {gate.name} is declared and gave no verdict"
    for verdict in bundle.verdicts:
        if verdict.status not in {Status.PASSED, Status.WAIVED}:
            yield f"gate {verdict.gate} is {verdict.status}: only what passed or is waived is released"
        elif verdict.status is Status.WAIVED and not (verdict.reason and verdict.until):
            yield f"gate {verdict.gate} is waived without a reason or an end"


def _size(facts: Facts) -> Iterator[str]:
    archive = facts.bundle.inspection
    for key, ours in (("packed", archive.size), ("unpacked", archive.unpacked_size), ("files", len(archive.files))):
        theirs = facts.number("size", key)
        if theirs != ours:
            yield f"gate size measured {key} {theirs}, the archive has {ours}"
    limits = facts.bundle.cell.gates.size
    assert limits is not None  # check_plan looked
    for what, ours, most in (
        ("packed", archive.size, limits.max),
        ("unpacked", archive.unpacked_size, limits.max_unpacked),
    ):
        if ours > parse_size(most):
            yield f"it has {ours} bytes {what}, and the plan allows {parse_size(most)}"


def _backend(facts: Facts) -> Iterator[str]:
    info, asked = facts.bundle.inspection.info, facts.bundle.cell.gates.backend
    assert asked is not None  # check_plan looked
    promised = sorted(name for part in info.components for name in part.cpu_variants)
    measured = facts.texts("backend", "cpu_variants")
    if list(measured) != promised:
        yield f"gate backend found the CPU variants {', '.join(measured) or 'none'}, BUILD_INFO.json promises " + (
            ", ".join(promised) or "none"
        )
    inside = {file.path for file in facts.bundle.inspection.files}
    inside |= {link.path for link in facts.bundle.inspection.links}
    gone = [name for name in facts.texts("backend", "libraries") if name not in inside]
    if gone:
        yield f"gate backend saw {', '.join(gone)}, which the archive does not hold"
    wanted = {backend for name in info.backends for family, backend in FAMILIES.items() if _starts(name, family)}
    found = set(facts.backends) - {Backend.CPU}
    if found != wanted:
        yield f"gate backend found {_names(found)}, BUILD_INFO.json says {_names(wanted)}"
    yield from _device_code(facts, asked)


def _starts(name: str, family: str) -> bool:
    return name.startswith("rocm" if family == "hip" else family)


def _names(backends: set[Backend]) -> str:
    return ", ".join(sorted(backends)) or "no GPU backend"


def _device_code(facts: Facts, asked: BackendGate) -> Iterator[str]:
    if asked.spirv_min is not None:
        modules = facts.number("backend", "spirv_modules")
        if modules < asked.spirv_min:
            yield f"gate backend counted {modules} SPIR-V modules, the plan wants {asked.spirv_min}"
    if asked.metal and facts.number("backend", "metallib") == 0:
        yield "gate backend found no Metal library"
    for key, wanted in (("sass", asked.sass), ("ptx", asked.ptx), ("gfx", asked.gfx)):
        if sorted(wanted or ()) != list(facts.code(key)):
            yield f"gate backend found {key} {', '.join(facts.code(key)) or 'none'}, the plan wants " + (
                ", ".join(sorted(wanted or ())) or "none"
            )


def _abi(facts: Facts) -> Iterator[str]:
    gate = facts.bundle.cell.gates.abi
    assert gate is not None  # check_plan looked
    floor = gate.glibc or gate.macos
    measured = facts.text("abi", "floor")
    if measured != floor:
        yield f"gate abi judged by the floor {measured}, the plan says {floor}"


def _closure(facts: Facts) -> Iterator[str]:
    gate = facts.bundle.cell.gates.closure
    assert gate is not None  # check_plan looked
    foreign = [name for name in facts.texts("closure", "outside") if name not in gate.allow]
    if foreign:
        yield f"gate closure saw {', '.join(foreign)}, which the plan does not allow outside"


def _tests(facts: Facts) -> Iterator[str]:
    gate = facts.bundle.cell.gates.tests
    assert gate is not None  # check_plan looked
    programs, failed = facts.number("tests", "programs"), facts.number("tests", "failed")
    if programs != len(gate.programs):
        yield f"gate tests ran {programs} programs, the plan has {len(gate.programs)}"
    if failed:
        yield f"gate tests counts {failed} failed programs and passed"


def _repro(facts: Facts) -> Iterator[str]:
    measured = facts.text("repro", "sha256")
    if measured != facts.bundle.inspection.sha256:
        yield f"gate repro judged the SHA-256 {measured}, the archive has {facts.bundle.inspection.sha256}"
