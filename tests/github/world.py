"""Everything the handlers of all connections share."""

from __future__ import annotations

__all__ = ["World"]

import itertools
from dataclasses import dataclass, field

from tests.github.bodies import Bodies
from tests.github.exchanges import Exchange
from tests.github.faults import Faults
from tests.github.state import State


@dataclass(kw_only=True, slots=True)
class World:
    """One fake's state, schedule and record; ``errors`` are bugs of the fake itself."""

    state: State
    bodies: Bodies
    faults: Faults
    exchanges: list[Exchange] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
