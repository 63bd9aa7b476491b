"""The wire beneath the handler: reading and draining bodies, writing heads and answers, resetting a connection."""

from __future__ import annotations

__all__ = ["Wire"]

import contextlib
import io
import json
import socket
import struct
from collections.abc import Iterable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Protocol, cast

from tests.github.bodies import CHUNK
from tests.github.exchanges import DroppedError, Exchange, Reply
from tests.github.world import World

_JSON_LIMIT = 4 << 20


class _HasWorld(Protocol):
    world: World


class Wire(BaseHTTPRequestHandler):
    """HTTP as GitHub's front end speaks it; ``unread`` is what the client still has to send of its body."""

    protocol_version = "HTTP/1.1"
    server_version = "github.com"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.world = cast("_HasWorld", self.server).world
        self.unread = 0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header, by the server's own clock."""
        return formatdate(self.world.state.now() if timestamp is None else timestamp, usegmt=True)

    def handle_one_request(self) -> None:
        """Serve one request; that the client is gone is not our error."""
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def read_json(self, exchange: Exchange) -> None:
        if not 0 < self.unread <= _JSON_LIMIT:
            return
        data = self.rfile.read(self.unread)
        self.unread = 0
        with contextlib.suppress(ValueError):
            exchange.json = json.loads(data)

    def drain(self) -> None:
        """Read what the client still sends, so that it gets to hear the answer."""
        buffer = memoryview(bytearray(min(self.unread, CHUNK)))
        while self.unread > 0:
            got = self.rfile.readinto(buffer[: min(self.unread, CHUNK)])
            if not got:
                raise DroppedError
            self.unread -= got

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Every reference must go before the socket really closes, and that at once: a FIN first is no reset.
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        self.rfile, self.wfile = io.BytesIO(), io.BytesIO()  # for http.server's own tidying
        raise DroppedError

    def reply_headers(self, exchange: Exchange, reply: Reply, length: int) -> dict[str, str]:
        used = min(exchange.number, 4999)
        headers = {
            **exchange.reply_headers,
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(5000 - used),
            "X-RateLimit-Used": str(used),
            "X-RateLimit-Resource": "core",
            "X-RateLimit-Reset": str(int(self.world.state.now()) + 3600),
        }
        if exchange.token is not None and exchange.token.scopes is not None:
            headers["X-OAuth-Scopes"] = ", ".join(exchange.token.scopes)
        if reply.json is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        if reply.status != 204:
            headers["Content-Length"] = str(length)
        if self.close_connection:
            headers["Connection"] = "close"
        return {**headers, **reply.headers}

    def head(self, status: int, headers: dict[str, str]) -> bytes:
        self._headers_buffer: list[bytes] = []
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        head = b"".join([*self._headers_buffer, b"\r\n"])
        self._headers_buffer = []
        return head

    def write(self, head: bytes, chunks: Iterable[bytes]) -> None:
        # One write for a head and a small body: two would wait for each other's acknowledgement.
        for chunk in chunks:
            self.wfile.write(head + chunk)
            head = b""
        if head:
            self.wfile.write(head)

    def truncated(self, reply: Reply, *, framed: bool) -> None:
        data = json.dumps(reply.json).encode() if reply.json is not None else b""
        half = data[: len(data) // 2]
        headers = {"Content-Type": "application/json; charset=utf-8", "Connection": "close"}
        headers["Content-Length"] = str(len(half) if framed else len(data) + 1)
        self.wfile.write(self.head(reply.status if data else 200, headers) + half)
        raise DroppedError
