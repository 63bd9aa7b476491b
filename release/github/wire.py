"""One request on the wire: it never hangs, never follows, never repeats, and never fills the memory.

Measured on PyGithub 2.10: its timeout does not reach uploads at all; a read timeout starts anew with every byte, so a
server that trickles holds a client for ever; a 202 is asked again without end, a 301 is followed with the token; and a
download is read into memory whole. So PyGithub gets connections of ours (by its own ``injectConnectionClasses``, on a
subclass: the class attributes of everybody else's ``Requester`` stay as they are), and each request runs inside an
``Exchange``, which shuts the socket down when the time is over, whatever the thread is blocked in.
"""

from __future__ import annotations

__all__ = ["Answer", "Exchange", "PatientRequester", "UnfollowedError", "address", "read_body"]

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import requests
from github.Requester import HTTPRequestsConnectionClass, HTTPSRequestsConnectionClass, Requester, RequestsResponse
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from release.github.hosts import is_loopback
from release.github.parcel import BLOCK, Parcel

CONNECT = 30.0  # seconds for connecting, and for any one block to be taken
WAIT = 180.0  # seconds of silence before an answer; big uploads were answered only after two minutes
LARGEST = 64 * 1024 * 1024  # an answer in JSON; a page of 100 full releases has about 20 MB
_FOUND, _MOVED = 300, 400


def address(url: str) -> SplitResult:
    """Take an address of GitHub's apart; one that is none has no host."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back: ``headers`` are found in any case, ``body`` is empty for a stream."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class UnfollowedError(Exception):
    """The answer is a redirect or asks to come again: it is kept, and PyGithub is stopped from acting on it."""


class Exchange:
    """One request and its answer. Used as a context; its connection is cut when ``seconds`` are over."""

    def __init__(self, seconds: float) -> None:
        """Nothing runs before the context is entered."""
        self.answer: Answer | None = None
        self.over = False
        self.requests = 0
        self.seconds = seconds
        self._end = 0.0
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(max(seconds, 0.0), self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._end = time.monotonic() + self.seconds
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if threading.current_thread() is not self._timer:  # a generator may be collected in any thread
            self._timer.join()
        self._socket = None

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Let connections that are made inside belong to this exchange."""
        outer = _current.set(self)
        try:
            yield
        finally:
            _current.reset(outer)

    @property
    def left(self) -> float:
        """Seconds until the cut; never 0, which would mean to requests that there is no limit."""
        return max(0.001, self._end - time.monotonic())

    def watch(self, sock: object) -> None:
        """Take charge of a socket: the one that is cut."""
        # A tunnel inside TLS wraps its socket once more.
        inner = sock if isinstance(sock, socket.socket) else getattr(sock, "socket", None)
        with self._lock:
            self._socket = inner if isinstance(inner, socket.socket) else None
            if self.over:
                self._shut()

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            # Of the plain socket, also under TLS: ssl's own method pulls the session away from the thread that is
            # blocked in it. A socket that is closed already cannot be cut, and need not.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def send(
        self, verb: str, url: str, *, headers: Mapping[str, str], data: object = None, own: bool
    ) -> Iterator[requests.Response]:
        """Send one request over a connection of its own and give the answer, its body unread.

        A fresh connection each time: a kept one may have been closed by the server meanwhile, and the write that finds
        out has an unknown result.

        Args:
            verb: ``GET`` and so on.
            url: Where to, complete.
            headers: What is sent besides the length.
            data: The body, as requests takes it.
            own: The address is a loopback one: no proxy of the environment is asked, and plain http is allowed.
        """
        self.requests += 1
        session = requests.Session()
        session.auth = Requester.noopAuth  # else requests sends what it finds in ~/.netrc
        session.trust_env = not own
        session.mount("https://", _Adapter())
        if own:
            session.mount("http://", _Adapter())
        else:
            del session.adapters["http://"]
        limits = (min(CONNECT, self.left), min(WAIT, self.left))
        try:
            with self.current():
                body: Any = data
                response = session.request(
                    verb, url, headers=dict(headers), data=body, timeout=limits, allow_redirects=False, stream=True
                )
            with response:
                yield response
        finally:
            session.close()


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def _watch(sock: object) -> None:
    exchange = _current.get()
    if exchange is not None:
        exchange.watch(sock)


class _WatchedHTTP(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _watch(self.sock)


class _WatchedHTTPS(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _watch(sock)  # for the tunnel of a proxy; the handshake itself is held to the connect timeout
        return sock

    def connect(self) -> None:
        super().connect()
        _watch(self.sock)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class _Adapter(HTTPAdapter):
    """requests' adapter with watched connections, big blocks and no retries."""

    def __init__(self) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  as requests has it
        super().init_poolmanager(*args, **kwargs, blocksize=BLOCK)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401  as requests has it
        manager = super().proxy_manager_for(proxy, **kwargs, blocksize=BLOCK)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _HTTPPool, "https": _HTTPSPool}


def read_body(exchange: Exchange, response: requests.Response) -> bytes:
    """Read a whole answer, in bounded memory and time."""
    body = bytearray()
    for piece in response.iter_content(64 * 1024):
        body += piece
        if len(body) > LARGEST:
            msg = f"the answer is longer than {LARGEST} bytes"
            raise requests.exceptions.ContentDecodingError(msg)
    if exchange.over:
        # Without a length the cut looks like the regular end of the answer.
        raise requests.exceptions.ReadTimeout
    return bytes(body)


class _Response(RequestsResponse):
    """What PyGithub reads; the body was read already."""

    def __init__(self, response: requests.Response, body: bytes) -> None:
        super().__init__(response)
        self._body = body

    def read(self) -> str:
        return self._body.decode("utf-8", "replace")


def _exchange(connection: HTTPRequestsConnectionClass | HTTPSRequestsConnectionClass) -> _Response:
    exchange = _current.get()
    assert exchange is not None, "a request outside an exchange would have no end"
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    url = f"{connection.protocol}://{host}:{connection.port}{connection.url}"
    data: object = connection.input  # whatever was handed to PyGithub, which declares less
    if isinstance(data, Parcel) and data.size == 0:
        data = None  # requests sends a stream of no length in chunks, which GitHub's upload does not take
    with exchange.send(
        connection.verb, url, headers=connection.headers, data=data, own=is_loopback(connection.host)
    ) as response:
        body = read_body(exchange, response)
    exchange.answer = Answer(status=response.status_code, headers=CaseInsensitiveDict(response.headers), body=body)
    if _FOUND <= response.status_code < _MOVED or response.status_code == requests.codes.accepted:
        raise UnfollowedError
    return _Response(response, body)


class _PatientHTTP(HTTPRequestsConnectionClass):
    def getresponse(self) -> RequestsResponse:
        return _exchange(self)


class _PatientHTTPS(HTTPSRequestsConnectionClass):
    def getresponse(self) -> RequestsResponse:
        return _exchange(self)


class PatientRequester(Requester):
    """PyGithub's requester with our connections; only this class has them."""


PatientRequester.injectConnectionClasses(_PatientHTTP, _PatientHTTPS)
