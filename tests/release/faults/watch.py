"""Time and death of a client under test: a clock nobody waits for, a hang cut at once, a kill without a process.

A client waits 60 s for an answer, and 120 s and more for an upload. Here the server says when it begins to hang, and
the client's own cut (``Exchange._cut``, what its timer runs) happens that moment; the clock moves by what it would have
taken.
"""

from __future__ import annotations

__all__ = ["Clock", "EndlessError", "Killed", "Watch", "watched"]

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from release.github import client, downloads
from release.github.wire import Exchange

_REQUEST = 0.2  # seconds that any request takes
_MANY = 3000  # requests; the longest run that ends by itself makes some hundred


class Killed(BaseException):
    """The client ends here, whatever it was doing."""


class EndlessError(BaseException):
    """The client makes requests without end."""


@dataclass(kw_only=True, slots=True)
class Clock:
    """Seconds that only pass when somebody sleeps, or waits for an answer."""

    now: float = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass(kw_only=True, slots=True)
class Watch:
    """The exchanges that are open: several, if a second publisher runs inside a request of the first."""

    clock: Clock
    open: list[_Watched] = field(default_factory=list)
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begun(self, exchange: _Watched) -> None:
        """Count a request."""
        with self._lock:
            self.requests += 1
            self.open.append(exchange)
            self.clock.sleep(_REQUEST)
        if self.requests > _MANY:
            raise EndlessError

    def ended(self, exchange: _Watched) -> None:
        """Forget a request."""
        with self._lock:
            self.open.remove(exchange)

    def hang(self) -> None:
        """Called by the server: the client has waited for as long as it does, and gives up."""
        exchange = self.open[-1]
        self.clock.sleep(exchange.seconds)
        exchange._cut()

    def kill(self) -> None:
        """Called by the server: the client is dead from now on."""
        exchange = self.open[-1]
        exchange.killed = True
        exchange._cut()


class _Watched(Exchange):
    """An exchange that can be cut, or its client killed, by whoever serves it."""

    keeper: Watch
    killed = False

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.keeper.begun(self)
        except BaseException:
            super().__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.keeper.ended(self)
        if self.killed:
            raise Killed


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Let every client in this process use such exchanges."""
    bound = type("_Bound", (_Watched,), {"keeper": watch})
    kept = [(module, module.Exchange) for module in (client, downloads)]
    for module, _ in kept:
        module.Exchange = bound  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, exchange in kept:
            module.Exchange = exchange  # type: ignore[attr-defined]
