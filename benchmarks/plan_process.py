"""How long the plan command takes, as a process, and what it imports."""

from __future__ import annotations

__all__ = ["HEAVY", "heavy_imports", "measure"]

import re
import subprocess
import sys

from benchmarks.rows import Goal, NotRunError, Row, paired, row
from benchmarks.setting import ROOT, Setting
from benchmarks.timing import alternating, process

HEAVY = ("docker", "requests", "urllib3", "lief", "rich", "zstandard", "jinja2", "cryptography", "dulwich", "gguf",
         "numpy", "pypi_simple", "tenacity", "asyncio")  # fmt: skip
"""Packages a plan has no use for."""

_PLAN = ("-m", "pipeline", "plan", "--all")
_IMPORT = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)")


def measure(setting: Setting) -> list[Row]:
    """Time ``python -m pipeline plan --all`` in turns with ``python -c pass``."""
    times = alternating(
        {
            "plan": process((sys.executable, *_PLAN), cwd=ROOT),
            "nothing": process((sys.executable, "-c", "pass"), cwd=ROOT),
        },
        runs=setting.repeat(15),
        warm=2,
    )
    loaded = heavy_imports(_imports())
    return [
        row("plan --all, wall time", times["plan"], " s", goal=Goal(limit=0.3)),
        row("python -c pass, wall time", times["nothing"], " s"),
        row("plan --all / python -c pass", paired(times["plan"], times["nothing"]), " x"),
        row("heavy packages it imports", [len(loaded)], goal=Goal(limit=0), note=", ".join(loaded)),
    ]


def _imports() -> list[str]:
    done = subprocess.run(
        (sys.executable, "-X", "importtime", *_PLAN), cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = [match[2] for line in done.stderr.splitlines() if (match := _IMPORT.match(line))]
    if done.returncode or "pipeline.session" not in names:
        msg = "its imports could not be listed"
        raise NotRunError(msg)
    return names


def heavy_imports(names: list[str]) -> list[str]:
    """Give the packages of :data:`HEAVY` among imported modules."""
    packages = {name.partition(".")[0] for name in names}
    return sorted(packages & set(HEAVY))
