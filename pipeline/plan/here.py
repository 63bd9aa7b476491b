"""What this machine can do: the facts a plan depends on besides matrix.yaml."""

from __future__ import annotations

__all__ = ["Here"]

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.model import EngineName


@dataclass(frozen=True, kw_only=True, slots=True)
class Here:
    """``engine`` is the one taken, ``engines`` are all that answer; ``emulators`` maps a processor to a program."""

    platform: str
    engine: EngineName
    engine_reason: str
    engines: tuple[EngineName, ...]
    emulators: Mapping[str, str] = field(default_factory=dict)
    sysroots: tuple[str, ...] = ()

    def second_engine(self) -> EngineName | None:
        """The engine a second, independent build can use."""
        return next((name for name in self.engines if name is not self.engine), None)
