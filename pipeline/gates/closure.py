"""The closure gate.

Incidents: bundles that did not start because libgomp.so.1 was missing (llama.cpp#7731, lemonade#2793), because a
library was looked for in a folder of the build machine (llama.cpp#11321, six more), because tar had rewritten link
targets (llama.cpp#23115) or because libllama was not packed at all (ollama#6576).
"""

from __future__ import annotations

__all__ = ["ClosureGate"]

import os
import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.bundle.members import check_link
from pipeline.errors import BundleError
from pipeline.gates.base import Subject, failed, passed
from pipeline.gates.contents import Contents, Item, contents, platform_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.gates.elf import ElfFile
    from pipeline.gates.macho import MachoFile
    from pipeline.model import Verdict

_INTERPRETERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
_ADVICE = {
    "libgomp.so": "build with GGML_OPENMP=OFF, or bundle it",
    "libssl.so": "build with LLAMA_OPENSSL=OFF: OpenSSL's name changes between distributions",
    "libcrypto.so": "build with LLAMA_OPENSSL=OFF: OpenSSL's name changes between distributions",
}
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


class ClosureGate:
    """Everything the bundle needs is inside or on the cell's allow-list, and is looked for beside itself only."""

    name = "closure"

    def check(self, subject: Subject) -> Verdict:
        """Follow every NEEDED, run path, interpreter, link and permission."""
        gate = subject.cell.gates.closure
        if gate is None:
            return failed(self.name, "matrix.yaml gives no closure.allow for this cell")
        inside = contents(subject.root)
        if not inside.elves and not inside.machos:
            return failed(self.name, "there is no program or library in the bundle")
        allowed = frozenset(gate.allow)
        outside: set[str] = set()
        problems = [*_links(inside), *_modes(inside)]
        for elf in inside.elves:
            problems += _elf(elf, inside, allowed, outside, _INTERPRETERS.get(platform_machine(subject.cell.platform)))
        for macho in inside.machos:
            problems += _macho(macho, inside, allowed, outside)
        measured = {"binaries": len(inside.elves) + len(inside.machos), "links": len(inside.links),
                    "outside": sorted(outside)}  # fmt: skip
        if problems:
            return failed(self.name, problems[0], details=problems[1:], **measured)
        return passed(self.name, f"needs only {', '.join(sorted(outside)) or 'itself'} from the system", **measured)


def _elf(
    file: ElfFile, inside: Contents, allowed: frozenset[str], outside: set[str], interpreter: str | None
) -> Iterator[str]:
    local = [name for name in file.needed if _beside(file.name, name, inside)]
    for name in file.needed:
        if name in local:
            continue
        outside.add(name)
        if "/" in name or name not in allowed:
            yield f"{file.name} needs {name}, which is neither in the bundle nor allowed outside{_advice(name)}"
    if file.rpath:
        yield f"{file.name} has a DT_RPATH ({':'.join(file.rpath)}): link with --enable-new-dtags and $ORIGIN"
    if any(path != "$ORIGIN" for path in file.runpath) or len(file.runpath) > 1:
        yield f"{file.name} has the RUNPATH {':'.join(file.runpath)}, which must be $ORIGIN and nothing else"
    if local and not file.runpath:
        yield f"{file.name} needs {local[0]} from the bundle and has no RUNPATH: link with $ORIGIN"
    if file.program and file.interpreter != interpreter:
        yield f"{file.name} asks for the interpreter {file.interpreter}, not for {interpreter}"


def _macho(file: MachoFile, inside: Contents, allowed: frozenset[str], outside: set[str]) -> Iterator[str]:
    local = False
    for name in file.needed:
        base = name.rpartition("/")[2]
        if name in {f"@rpath/{base}", f"@loader_path/{base}"} and _beside(file.name, base, inside):
            local = True
            continue
        outside.add(name)
        if name not in allowed:
            yield f"{file.name} needs {name}, which is neither in the bundle nor allowed outside{_advice(base)}"
    if any(path != "@loader_path" for path in file.rpaths):
        yield f"{file.name} has the run path {':'.join(file.rpaths)}, which must be @loader_path and nothing else"
    if local and not file.rpaths:
        yield f"{file.name} needs a library from the bundle and has no run path: link with @loader_path"


def _beside(name: str, library: str, inside: Contents) -> bool:
    """Tell whether ``library`` lies in the folder of ``name``, where $ORIGIN makes the loader look."""
    folder = name.rpartition("/")[0]
    return inside.binary(f"{folder}/{library}" if folder else library) is not None


def _advice(library: str) -> str:
    for start, advice in _ADVICE.items():
        if library.startswith(start):
            return f"; {advice}"
    return ""


def _links(inside: Contents) -> Iterator[str]:
    there = {item.name for item in (*inside.items, *inside.folders)}
    targets = {item.name: item.target or "" for item in inside.links}
    for name, target in targets.items():
        try:
            check_link(name, target)
        except BundleError as error:
            yield f"{name}: {error.what}"
            continue
        at, steps = name, 0
        while at in targets and steps <= len(targets):
            at = os.path.normpath(PurePosixPath(at).parent / targets[at])
            steps += 1
        if at in targets or at not in there:
            yield f"{name} is a link to {target}, which does not lead to a file"


def _modes(inside: Contents) -> Iterator[str]:
    checked: tuple[Item, ...] = (*inside.files, *inside.folders)
    for item in checked:
        if item.mode & stat.S_IWOTH:
            yield f"{item.name} may be written by everyone (mode {item.mode:04o})"
        if item.mode & _SPECIAL:
            yield f"{item.name} has the set-user-id, set-group-id or sticky bit (mode {item.mode:04o})"
