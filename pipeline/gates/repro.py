"""The repro gate.

Incident: the same llama.cpp commit built on two machines gave different libggml-cpu.so files (llama.cpp#11735) and the
Vulkan shaders came out in another order each time (llama.cpp#11306). Only a second build shows it.
"""

from __future__ import annotations

__all__ = ["ReproGate"]

import shutil
from typing import TYPE_CHECKING

from pipeline.bundle.archive import measure, unpack
from pipeline.gates.base import Subject, failed, passed, skipped
from pipeline.gates.contents import Item, contents
from pipeline.gates.elf import is_elf, read_elf

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.model import Verdict

_SHOWN = 20


class ReproGate:
    """The cell built a second time, by another engine, has the same bytes."""

    name = "repro"

    def check(self, subject: Subject) -> Verdict:
        """Read both archives; when they differ, unpack them and name what differs."""
        if subject.twin is None:
            return skipped(self.name, subject.twin_reason or "there is no second build to compare with")
        ours, theirs = measure(subject.bundle.path), measure(subject.twin.path)
        measured = {
            "sha256": ours.sha256,
            "twin_sha256": theirs.sha256,
            "tar_sha256": ours.tar_sha256,
            "twin_tar_sha256": theirs.tar_sha256,
        }
        if ours.sha256 == theirs.sha256:
            return passed(self.name, f"both builds have the SHA-256 {ours.sha256}", **measured)
        if ours.tar_sha256 == theirs.tar_sha256:
            return failed(
                self.name,
                "both builds hold the same files and were compressed differently: use one zstandard version and level",
                **measured,
            )
        work = subject.work / "repro"
        shutil.rmtree(work, ignore_errors=True)
        try:
            first = unpack(subject.bundle.path, work / "first")
            second = unpack(subject.twin.path, work / "second")
            differences = _compare(first, second)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if not differences:
            differences = ["only names, order, times or modes in the archives differ"]
        return failed(
            self.name,
            f"the two builds differ: {differences[0]}",
            details=[*differences[1:_SHOWN], *_more(len(differences))],
            differences=len(differences),
            **measured,
        )


def _more(count: int) -> list[str]:
    return [f"and {count - _SHOWN} more"] if count > _SHOWN else []


def _compare(first: Path, second: Path) -> list[str]:
    ours = {item.name: item for item in contents(first, binaries=False).items}
    theirs = {item.name: item for item in contents(second, binaries=False).items}
    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in theirs:
            found.append(f"{name} is only in the first")
        elif name not in ours:
            found.append(f"{name} is only in the second")
        else:
            found += _differences(ours[name], theirs[name])
    return found


def _differences(ours: Item, theirs: Item) -> list[str]:
    if ours.target != theirs.target:
        return [f"{ours.name} points to {ours.target} and {theirs.target}"]
    if ours.mode != theirs.mode and ours.target is None:
        return [f"{ours.name} has the modes {ours.mode:04o} and {theirs.mode:04o}"]
    if ours.target is not None:
        return []
    first, second = ours.path.read_bytes(), theirs.path.read_bytes()
    if first == second:
        return []
    where = ""
    if is_elf(first) and is_elf(second):
        one, two = _parts(ours, first), _parts(theirs, second)
        sections = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
        where = f", in {', '.join(sections) or 'the headers'}"
    return [f"{ours.name} differs ({ours.size} and {theirs.size} bytes{where})"]


def _parts(item: Item, data: bytes) -> dict[str, bytes]:
    return {
        section.name: data[section.offset : section.offset + section.size]
        for section in read_elf(item.path, item.name).sections
    }
