"""The stateful fake of GitHub's release API: a real HTTP server that a test starts, drives, breaks and looks into."""

from __future__ import annotations

__all__ = ["FakeGitHub"]

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.github.bodies import Bodies
from tests.github.exchanges import Exchange
from tests.github.faults import Faults
from tests.github.server import Server
from tests.github.state import HEAD, NO_TOKEN, PUSH_TOKEN, READ_TOKEN, Access, State, Token
from tests.github.world import World

KEEP_LIMIT = 32 << 20


class FakeGitHub:
    """One repository on a GitHub of its own; API, uploads and web host share one address.

    A client whose HTTP proxy is ``url`` may also call it ``http://api.github.localhost``: then the hosts are apart.

    ``state`` is what it knows, ``faults`` what shall go wrong, ``requests`` what was asked and answered. It may be
    stopped and started again: the state stays, the address changes.
    """

    observers: ClassVar[list[Callable[[list[Exchange]], None]]] = []
    """Called with every exchange when a fake stops; the test run holds them all to GitHub's description."""

    def __init__(  # noqa: PLR0913 - what a test wants to set up, each by name
        self,
        repo: str = "o/r",
        *,
        tags: Mapping[str, str] | None = None,
        tokens: Mapping[str, Token] | None = None,
        port: int = 0,
        keep_limit: int = KEEP_LIMIT,
        spool: Path | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """``tags`` are lightweight ones, name to commit; bodies above ``keep_limit`` go to ``spool`` or are counted."""
        self.state = State(repo=repo, tokens=dict(_TOKENS if tokens is None else tokens))
        if clock is not None:
            self.state.clock = clock
        self.state.commits.add(HEAD)
        for name, commit in (tags or {}).items():
            self.state.add_tag(name, commit)
        self.faults = Faults()
        self._world = World(state=self.state, bodies=Bodies(keep_limit=keep_limit, spool=spool), faults=self.faults)
        self._port = port
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Where it listens: base address of the API, the uploads and the web alike."""
        if self._server is None:
            msg = "the fake GitHub is not running: use it in a with statement"
            raise RuntimeError(msg)
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> list[Exchange]:
        """Every exchange so far, in the order of their arrival."""
        return self._world.exchanges

    def start(self) -> Self:
        """Listen."""
        self.faults.released.clear()
        self._server = Server(self._world, self._port)
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop listening, end all connections, and raise what went wrong inside the fake itself."""
        if self._server is None:
            return
        self._server.stop()
        self._server = None
        for observe in self.observers:
            observe(self.requests)
        if self._world.errors:
            msg = "the fake GitHub itself failed"
            raise RuntimeError(msg) from self._world.errors[0]

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


_TOKENS = {
    PUSH_TOKEN: Token(login="publisher", access=Access.PUSH),
    READ_TOKEN: Token(login="reader", access=Access.READ),
    NO_TOKEN: Token(login="outsider", access=Access.NONE),
}
