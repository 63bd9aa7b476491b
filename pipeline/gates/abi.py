"""The abi gate.

Incidents: llama.cpp's ROCm job moved to a newer runner and from b10830 its libraries asked for GLIBC_2.38, so they no
longer started on Ubuntu 22.04 (csglite#150, llama.cpp#9794). A floor that only a runner's label keeps is not a floor.
"""

from __future__ import annotations

__all__ = ["AbiGate"]

import re
from typing import TYPE_CHECKING

from pipeline.gates.base import Subject, failed, passed
from pipeline.gates.contents import contents

if TYPE_CHECKING:
    from pipeline.gates.elf import ElfFile
    from pipeline.gates.macho import MachoFile
    from pipeline.matrix.spec import AbiGate as Floor
    from pipeline.model import Verdict

Version = tuple[int, ...]

_STDCXX = "libstdc++.so.6"
_NUMBERED = re.compile(r"(GLIBC|GLIBCXX|CXXABI)_(\d+(?:\.\d+)*)")
# Names without a number that stand for one.
_NAMED = {"GLIBC_ABI_DT_RELR": (2, 36)}
# Which GLIBCXX came with each CXXABI: both are one library's, so one floor serves both.
_CXXABI = (
    ((1, 3, 15), (3, 4, 33)),
    ((1, 3, 14), (3, 4, 31)),
    ((1, 3, 13), (3, 4, 29)),
    ((1, 3, 12), (3, 4, 26)),
    ((1, 3, 11), (3, 4, 23)),
    ((1, 3, 10), (3, 4, 22)),
    ((1, 3, 9), (3, 4, 21)),
    ((1, 3, 8), (3, 4, 20)),
)


class AbiGate:
    """No file asks for a C library, C++ library or macOS newer than the cell's floor."""

    name = "abi"

    def check(self, subject: Subject) -> Verdict:
        """Read the version of every imported symbol, or the minimum system of every Mach-O file."""
        floor = subject.cell.gates.abi
        if floor is None or (floor.glibc is None) == (floor.macos is None):
            return failed(self.name, "matrix.yaml must set exactly one of abi.glibc and abi.macos for this cell")
        inside = contents(subject.root)
        if floor.macos is not None:
            return self._macos(inside.machos, floor.macos)
        return self._linux(inside.elves, floor)

    def _linux(self, files: tuple[ElfFile, ...], floor: Floor) -> Verdict:
        if not files:
            return failed(self.name, "there is no ELF file in the bundle")
        assert floor.glibc is not None  # check() saw to it
        highest: dict[str, Version] = {}
        problems: list[str] = []
        for file in files:
            if floor.glibcxx is None and _STDCXX in file.needed:
                problems.append(f"{file.name} needs {_STDCXX}, which the floor does not allow: link it statically")
            for wanted in file.wanted:
                label = f"{file.name}: {wanted.symbol or 'the file itself'} needs {wanted.version} of {wanted.library}"
                match = _NUMBERED.fullmatch(wanted.version)
                if match is not None:
                    family, version = match[1], _version(match[2])
                elif wanted.version in _NAMED:
                    family, version = "GLIBC", _NAMED[wanted.version]
                elif wanted.version.startswith(("GLIBC_", "GLIBCXX_", "CXXABI_")):
                    problems.append(f"{label}, which no release of the library promises to keep")
                    continue
                else:
                    continue  # other libraries' versions: the closure gate decides whether they may be needed
                highest[family] = max(highest.get(family, ()), version)
                problem = _above(family, version, floor)
                if problem:
                    problems.append(f"{label}, {problem}")
        found = {family.lower(): _text(version) for family, version in sorted(highest.items())}
        measured = {"files": len(files), "floor": floor.glibc, **found}
        if problems:
            details = sorted(problems)[:100]
            return failed(self.name, details[0], details=details[1:], violations=len(problems), **measured)
        shown = ", ".join(f"{family.upper()}_{version}" for family, version in found.items()) or "no versioned symbol"
        return passed(self.name, f"needs at most {shown}; the floor is GLIBC_{floor.glibc}", **measured)

    def _macos(self, files: tuple[MachoFile, ...], floor: str) -> Verdict:
        if not files:
            return failed(self.name, "there is no Mach-O file in the bundle")
        problems = []
        highest: Version = ()
        for file in files:
            if file.minos is None:
                problems.append(f"{file.name} does not say which macOS it needs")
                continue
            highest = max(highest, _trimmed(file.minos))
            if _trimmed(file.minos) > _trimmed(_version(floor)):
                problems.append(f"{file.name} needs macOS {_text(_trimmed(file.minos))}, above the floor {floor}")
        measured = {"files": len(files), "floor": floor, "macos": _text(highest)}
        if problems:
            return failed(self.name, problems[0], details=problems[1:], **measured)
        return passed(self.name, f"needs macOS {_text(highest)}; the floor is {floor}", **measured)


def _above(family: str, version: Version, floor: Floor) -> str | None:
    if family == "GLIBC":
        assert floor.glibc is not None
        return f"above the floor GLIBC_{floor.glibc}" if version > _version(floor.glibc) else None
    if floor.glibcxx is None:
        return "and the floor allows no libstdc++ of the system: link it statically"
    if family == "CXXABI":
        version = next((glibcxx for cxxabi, glibcxx in _CXXABI if version >= cxxabi), ())
        if version > _version(floor.glibcxx):
            return f"which came with GLIBCXX_{_text(version)}, above the floor GLIBCXX_{floor.glibcxx}"
        return None
    return f"above the floor GLIBCXX_{floor.glibcxx}" if version > _version(floor.glibcxx) else None


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.removeprefix("GLIBCXX_").split("."))


def _trimmed(version: Version) -> Version:
    while len(version) > 1 and version[-1] == 0:
        version = version[:-1]
    return version


def _text(version: Version) -> str:
    return ".".join(map(str, version))
