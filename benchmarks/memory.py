"""The most memory that this process ever held."""

from __future__ import annotations

__all__ = ["peak_megabytes"]

from pathlib import Path


def peak_megabytes() -> float:
    """Give the peak of the resident memory in MB.

    Not getrusage: its peak begins with that of the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
