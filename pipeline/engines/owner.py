"""Which process owns what an engine started, so that only leftovers of dead runs are swept.

A process id alone is not enough: ids are used again. The start time and the boot tell two processes with the same id
apart, and the PID namespace tells whether an id means anything here at all.
"""

from __future__ import annotations

__all__ = ["is_dead", "start_time", "this_process"]

import os
from pathlib import Path

_PARTS = 4


def start_time(pid: int) -> str | None:
    """Give when ``pid`` started, in ticks since boot; None when it is gone or a zombie, "0" where it cannot be told."""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return "0"
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return "0"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")[:12]
    except OSError:
        return "0"


def this_process() -> str:
    """Name this process as ``pid.start.namespace.boot``."""
    return f"{os.getpid()}.{start_time(os.getpid()) or 0}.{_namespace()}.{_boot()}"


def is_dead(owner: str) -> bool:
    """Tell whether ``owner`` is surely gone; what cannot be judged from here counts as alive."""
    parts = owner.split(".")
    if len(parts) != _PARTS or not parts[0].isdigit():
        return False
    pid, start, namespace, boot = parts
    if boot != _boot():
        return True
    if namespace != _namespace():
        return False
    return start_time(int(pid)) != start
