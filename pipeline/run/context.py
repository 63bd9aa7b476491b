"""What every task may use while it runs."""

from __future__ import annotations

__all__ = ["RunContext"]

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipeline.engines.base import Cancel, Engine
from pipeline.errors import InternalError
from pipeline.model import EngineName
from pipeline.plan.records import Task
from pipeline.run.store import Entry, Store

T = TypeVar("T")


@dataclass(kw_only=True)
class RunContext:
    """One run. ``results`` maps a finished task to what it left; tasks only read those they need."""

    root: Path
    store: Store
    dist: Path
    tasks: Mapping[str, Task]
    engines: Mapping[EngineName, Engine]
    line: Callable[[str, str], None]
    cancel: Cancel
    jobs: int
    today: datetime.date
    emulators: Mapping[str, Path] = field(default_factory=dict)
    results: dict[str, object] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)

    def result(self, name: str, kind: type[T]) -> T:
        """Give what a needed task left, checked to be what the caller expects."""
        found = self.results.get(name)
        if not isinstance(found, kind):
            msg = f"task {name} left {type(found).__name__}, not {kind.__name__}"
            raise InternalError(msg)
        return found
