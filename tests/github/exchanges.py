"""What went over the wire, as the tests and the contract check read it: tokens left out, big bodies as digests."""

from __future__ import annotations

__all__ = ["DroppedError", "Exchange", "Hosts", "Reply"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from tests.github.routes import Call, Route
from tests.github.state import Token


class DroppedError(Exception):
    """The connection is over, without an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hosts:
    """Three base addresses: one and the same, or ``api.X``, ``uploads.X`` and ``X`` for who comes through a proxy.

    PyGithub opens a connection of its own for uploads only where their host differs, as it does on the real GitHub.
    """

    api: str
    uploads: str
    web: str

    @classmethod
    def of(cls, host: str) -> Self:
        """Find the three by the host of one of them."""
        name = host.removesuffix(":80").removeprefix("api.").removeprefix("uploads.")
        if "github" not in name:
            return cls(api=f"http://{host}", uploads=f"http://{host}", web=f"http://{host}")
        return cls(api=f"http://api.{name}", uploads=f"http://uploads.{name}", web=f"http://{name}")


@dataclass(kw_only=True, slots=True)
class Reply:
    """An answer: JSON, or a stream of ``length`` bytes, or nothing."""

    status: int
    json: object = None
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    length: int = 0


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request and what was answered. ``status`` None: nothing was, or not yet.

    ``faults`` names what was done to it, ``carried_out``: what was asked was done, whatever was answered;
    ``uploaded`` is the size and SHA-256 of an upload.
    """

    number: int
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    route: Route
    host: str
    token: Token | None = None
    json: object = None
    uploaded: tuple[int, str] | None = None
    status: int | None = None
    reply_headers: Mapping[str, str] = field(default_factory=dict)
    reply: object = None
    faults: tuple[str, ...] = ()
    carried_out: bool = False

    @property
    def call(self) -> Call:
        """What was asked for."""
        return self.route.call

    @property
    def hosts(self) -> Hosts:
        """The addresses the client knows us by."""
        return Hosts.of(self.host)

    def __str__(self) -> str:
        """One line for a failing test's message."""
        faults = f" ({', '.join(self.faults)})" if self.faults else ""
        return f"#{self.number} {self.method} {self.path} -> {self.status}{faults}"
