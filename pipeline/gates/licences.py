"""The licences gate.

Incident: upstream's archives hold llama.cpp's own LICENSE and none of the libraries' built into it; Ollama's shell
``case`` over file names drops files it does not list, a licence among them, without a word.
"""

from __future__ import annotations

__all__ = ["LicencesGate"]

from typing import TYPE_CHECKING

from pipeline.bundle.compose import LICENCES
from pipeline.bundle.info import BuildInfo
from pipeline.gates.base import Subject, failed, passed
from pipeline.gates.contents import contents

if TYPE_CHECKING:
    from pipeline.model import Verdict


class LicencesGate:
    """The licence files the cell requires and those of every component are inside, and hold text."""

    name = "licences"

    def check(self, subject: Subject) -> Verdict:
        """Look for each file below ``licenses/``."""
        gate = subject.cell.gates.licences
        if gate is None or not gate.require:
            return failed(self.name, "matrix.yaml names no licence for this cell: give licences.require")
        wanted = dict.fromkeys(gate.require, "matrix.yaml")
        problems = []
        for component in BuildInfo.from_mapping(subject.info).components:
            if not component.licences:
                problems.append(f"the component {component.id} names no licence file")
            for name in component.licences:
                wanted.setdefault(name, component.id)
        inside = {item.name: item for item in contents(subject.root, binaries=False).files}
        found = sorted(name.removeprefix(f"{LICENCES}/") for name in inside if name.startswith(f"{LICENCES}/"))
        for name, owner in sorted(wanted.items()):
            item = inside.get(f"{LICENCES}/{name}")
            if item is None:
                problems.append(f"{LICENCES}/{name}, required by {owner}, is not in the bundle")
            elif not item.path.read_bytes().strip():
                problems.append(f"{LICENCES}/{name} is empty")
        if problems:
            return failed(self.name, problems[0], details=problems[1:], found=found)
        return passed(self.name, f"{len(found)} licence files inside", found=found)
