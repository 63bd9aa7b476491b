"""The real ``minisign``, run beside our own verifier where it is installed: two implementations must agree.

It gets an argument list and never a shell, a bare environment (the surroundings may hold signing secrets), no input,
and a time limit. What it prints is shown only after it was made harmless.
"""

from __future__ import annotations

__all__ = ["Minisign", "Opinion", "find_minisign"]

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.report.text import clean

_SECONDS = 60.0
_VERSION = re.compile(r"minisign (\d+(?:\.\d+)*)")
_KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT")
_MAX_LENGTH = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What the program says of one file; ``reason`` is one line and None when it agrees."""

    agrees: bool
    reason: str | None = None


class Minisign(Protocol):
    """A second verifier."""

    version: str

    def verify(self, file: Path, signature: Path, public_key: str) -> Opinion:
        """Say whether ``signature`` holds for ``file`` and the key."""
        ...


class _Program:
    def __init__(self, path: str, version: str, seconds: float) -> None:
        self.version = version
        self._path = path
        self._seconds = seconds

    def verify(self, file: Path, signature: Path, public_key: str) -> Opinion:
        """Run ``minisign -V``; any end but exit code 0 is a no."""
        argv = ["-V", "-m", str(file.resolve()), "-x", str(signature.resolve()), "-P", public_key]
        ended = _run(self._path, argv, self._seconds)
        if isinstance(ended, str):
            return Opinion(agrees=False, reason=ended)
        if ended.returncode != 0:
            said = clean(f"{ended.stderr} {ended.stdout}", _MAX_LENGTH) or "no reason"
            return Opinion(agrees=False, reason=f"exit code {ended.returncode}: {said}")
        return Opinion(agrees=True)


def find_minisign(name: str = "minisign", *, seconds: float = _SECONDS) -> Minisign | None:
    """Find the program; None when it is not installed, or what is there does not answer as minisign does.

    Args:
        name: Its name, looked for on PATH, or its path.
        seconds: How long one call may take.
    """
    path = shutil.which(name)
    if path is None:
        return None
    ended = _run(path, ["-v"], seconds)
    match = None if isinstance(ended, str) else _VERSION.search(f"{ended.stdout} {ended.stderr}")
    return _Program(path, match[1], seconds) if match else None


def _run(path: str, argv: list[str], seconds: float) -> subprocess.CompletedProcess[str] | str:
    """Give how it ended, or one line saying why it did not."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"LC_ALL": "C"}
    try:
        return subprocess.run(
            [path, *argv],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=environment,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {seconds:g} s"
    except OSError as error:
        return f"it cannot be started: {error.strerror or error}"
