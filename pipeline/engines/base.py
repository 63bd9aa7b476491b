"""The engine protocol: run one job somewhere, within its deadline, and leave nothing behind.

An engine knows commands, folders, limits and logs. It does not know projects, components or bundles.
"""

from __future__ import annotations

__all__ = ["Cancel", "Ending", "Engine", "Folder", "Job", "JobResult", "LineSink"]

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pipeline.model import EngineName, Output

LineSink = Callable[[str], None]
"""Called with every line a job prints (no newline, decoded with replacement), from any thread."""


class Ending(StrEnum):
    """How a job ended."""

    OK = "ok"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "out of memory"
    CANCELLED = "cancelled"
    NO_OUTPUT = "output missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder of this machine that the job sees.

    ``name`` (upper case) becomes the environment variable ``LLAMATRIX_<NAME>`` holding the path as the job
    sees it: the host engine passes the real path, the docker engine binds it at ``/llamatrix/<name lower>``.
    """

    name: str
    path: Path
    writable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One command with everything it may touch.

    ``argv`` may contain ``{NAME}``-style references to folders, e.g. ``("sh", "{RECIPES}/build/llama_cpp.sh")``;
    the engine substitutes the path the job sees. ``image`` is an image reference for container engines (None on
    the host). ``memory`` is bytes, ``deadline`` and ``cpus`` are seconds and cores. ``outputs`` are relative to
    the folder named ``OUT``. ``log`` gets every line. Networks are off unless ``network``.
    """

    title: str
    argv: tuple[str, ...]
    folders: tuple[Folder, ...]
    log: Path
    deadline: float
    memory: int
    cpus: int
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResult:
    """How a job ended; ``tail`` is its last lines, ``message`` one line a person can act on."""

    ending: Ending
    exit_code: int | None
    seconds: float
    message: str
    tail: tuple[str, ...] = ()


class Cancel:
    """A switch that stops a run: engines wait on it and kill what they started."""

    def __init__(self) -> None:
        """Start uncancelled."""
        self._event = threading.Event()

    def set(self) -> None:
        """Ask everything to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Tell whether a stop was asked for."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to ``seconds``; True as soon as a stop is asked for."""
        return self._event.wait(seconds)


class Engine(Protocol):
    """What the scheduler needs of an engine."""

    name: EngineName

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> JobResult:
        """Run ``job`` to its end, deadline or cancellation; always return, never leave a process behind."""
        ...

    def sweep(self) -> tuple[str, ...]:
        """Remove what an earlier, killed run of this store left; name each thing removed."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
