"""The command by which a client tells whether an installed bundle works on its machine.

What these programs print was measured on real bundles and is what the smoke gate reads: ``llama-cli --version`` writes
``version: 0.5.0-dev (build 0, commit 0c1e57098)`` to standard error; ``--list-devices`` writes ``Available devices:``
and one indented line for each device (``CUDA0``, ``ROCm0``, ``Vulkan0``, ``MTL0``) to standard output. A bundle for one
GPU family must show a device of it; ``all`` must only start, since it is for machines without one of those GPUs too.
"""

from __future__ import annotations

__all__ = ["probe_of"]

import re

from pipeline.model import Backend
from release.manifest.measured import Facts
from release.manifest.records import Probe

_PROGRAM = "llama-cli"
_COMMIT_DIGITS = 9
_START_SECONDS = 30
_DEVICE_SECONDS = 60  # a first look at a GPU may compile or load much
_DEVICES = {Backend.CUDA: "CUDA", Backend.ROCM: "ROCm", Backend.VULKAN: "Vulkan", Backend.METAL: "MTL"}


def probe_of(facts: Facts, backend: str) -> Probe | None:
    """Give the probe of one bundle, or note why there is none."""
    bundle = facts.bundle
    info = bundle.inspection.info
    if _PROGRAM not in {file.path for file in bundle.inspection.files} or _PROGRAM not in info.programs:
        facts.note(
            f"it holds no {_PROGRAM}, and no other program is known to probe with: teach release/manifest/probe.py"
        )
        return None
    device = next((name for known, name in _DEVICES.items() if known == backend), None)
    if device is not None:
        pattern = rf"(?m)^ +{device}[0-9]+: "
        _agree(facts, "devices", pattern)
        return Probe(argv=(_PROGRAM, "--list-devices"), expect=pattern, timeout_s=_DEVICE_SECONDS)
    commit = "local" if info.source.commit is None else info.source.commit[:_COMMIT_DIGITS]
    pattern = rf"version: {re.escape(info.source.version)} \(build [0-9]+, commit {re.escape(commit)}\)"
    _agree(facts, "version", pattern)
    return Probe(argv=(_PROGRAM, "--version"), expect=pattern, timeout_s=_START_SECONDS)


def _agree(facts: Facts, key: str, pattern: str) -> None:
    """What the smoke gate saw must satisfy the probe; where it was waived nobody saw anything."""
    if facts.bundle.cell.gates.smoke is None or facts.waived("smoke"):
        return
    if key == "version":
        seen = facts.text("smoke", key)
    else:
        seen = "\n".join(f"  {line}" for line in facts.texts("smoke", key))
    if not re.search(pattern, seen):
        facts.note(f"the smoke gate saw {seen.strip()!r}, which the probe's pattern {pattern!r} does not find")
