"""The size gate.

Incidents: a ROCm archive of 9.6 GB met GitHub's limit of 2 GiB only at upload (atomic-llama-cpp-turboquant#53), and an
Ollama candidate's archive failed to upload for the same reason (ollama#13651). Nobody checks size or growth before.
A size of 0 is the mark of a missing file and must never pass as small.
"""

from __future__ import annotations

__all__ = ["ASSET_LIMIT", "SizeGate"]

from typing import TYPE_CHECKING

from pipeline.gates.base import Subject, failed, passed
from pipeline.gates.contents import Contents, contents
from pipeline.matrix.spec import parse_size

if TYPE_CHECKING:
    from pipeline.model import Verdict

ASSET_LIMIT = 2 << 30
"""What GitHub accepts for one asset of a release."""
_LARGEST = 10


class SizeGate:
    """Packed and unpacked bytes are within the limits, and nothing inside is empty."""

    name = "size"

    def check(self, subject: Subject) -> Verdict:
        """Measure the archive on disk and every file inside it."""
        limits = subject.cell.gates.size
        if limits is None:
            return failed(self.name, "matrix.yaml sets no size limits for this cell")
        inside = contents(subject.root, binaries=False)
        packed = subject.bundle.path.stat().st_size if subject.bundle.path.is_file() else 0
        unpacked = sum(item.size for item in inside.files)
        growth = None
        if subject.previous_size:
            growth = round(100 * (packed / subject.previous_size - 1), 1)
        warned = limits.warn is not None and packed > parse_size(limits.warn)
        measured: dict[str, object] = {
            "packed": packed,
            "unpacked": unpacked,
            "files": len(inside.files),
            "growth_percent": growth,
            "warned": warned,
        }
        problems = []
        if packed == 0:
            problems.append("the archive is missing or empty")
        elif packed != subject.bundle.size:
            problems.append(f"the archive has {packed} bytes, not the {subject.bundle.size} it was packed with")
        problems += [f"{item.name} is empty" for item in inside.files if item.size == 0]
        if packed >= ASSET_LIMIT:
            problems.append(f"packed {_shown(packed)} reaches GitHub's limit of 2 GiB for an asset")
        if packed > parse_size(limits.max):
            problems.append(f"packed {_shown(packed)} is over the maximum of {limits.max}")
        if unpacked > parse_size(limits.max_unpacked):
            problems.append(f"unpacked {_shown(unpacked)} is over the maximum of {limits.max_unpacked}")
        if limits.growth is not None and growth is not None and growth > float(limits.growth.removesuffix("%")):
            problems.append(f"it grew by {growth} % since the previous release, more than {limits.growth}")
        if problems:
            details = [*problems[1:], "the largest files:", *_largest(inside)]
            return failed(self.name, problems[0], details=details, **measured)
        note = f", warning: over {limits.warn}" if warned else ""
        since = "" if growth is None else f", {growth:+} % since the previous release"
        fits = f"packed {_shown(packed)} of {limits.max}, unpacked {_shown(unpacked)} of {limits.max_unpacked}"
        return passed(self.name, f"{fits}{since}{note}", **measured)


def _largest(inside: Contents) -> list[str]:
    files = sorted(inside.files, key=lambda item: (-item.size, item.name))
    return [f"{item.size:>12} {item.name}" for item in files[:_LARGEST]]


def _shown(size: int) -> str:
    return f"{size / 10**6:.1f} MB" if size >= 10**5 else f"{size} B"
