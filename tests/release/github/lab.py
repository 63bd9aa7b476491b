"""A server that takes a step of its script for each connection: whole answers, or whatever bytes a step sends."""

from __future__ import annotations

__all__ = ["Lab", "Seen", "answer", "dribble", "hold", "json_answer", "reset", "steady"]

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

Step = Callable[["Lab", socket.socket], None]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as it arrived; ``headers`` by lower-case name."""

    line: str
    headers: Mapping[str, str]
    body: bytes


class Lab:
    """Steps are taken in their order; the last one again and again."""

    def __init__(self, *steps: Step, context: ssl.SSLContext | None = None) -> None:
        self.steps = list(steps)
        self.seen: list[Seen] = []
        self.over = threading.Event()
        self._context = context
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.005)
        self._start(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                sock, _ = self._listener.accept()
                sock.settimeout(0.005)
                step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                self._start(self._serve, sock, step)

    def _serve(self, sock: socket.socket, step: Step) -> None:
        # A client that is gone is what many tests are about.
        with sock, contextlib.suppress(OSError):
            if self._context is None:
                step(self, sock)
                return
            sock.settimeout(60)
            with self._context.wrap_socket(sock, server_side=True) as wrapped:
                wrapped.settimeout(0.005)
                step(self, wrapped)

    def receive(self, sock: socket.socket, size: int = 65536) -> bytes:
        """Wait for bytes; nothing when the client or the test is over."""
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                return sock.recv(size)
        return b""

    def read(self, sock: socket.socket) -> Seen:
        """Read one request and remember it."""
        data = b""
        while b"\r\n\r\n" not in data:
            block = self.receive(sock)
            if not block:
                raise ConnectionError
            data += block
        head, _, body = data.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (each.partition(":") for each in fields)}
        while len(body) < int(headers.get("content-length", "0")):
            block = self.receive(sock)
            if not block:
                raise ConnectionError
            body += block
        seen = Seen(line=line.removesuffix(" HTTP/1.1"), headers=headers, body=body)
        self.seen.append(seen)
        return seen


def answer(status: int, body: bytes = b"", *, length: int | None = None, **headers: str) -> Step:
    """Read the request and answer it; underscores in a header's name are hyphens, ``{url}`` is ours."""

    def step(lab: Lab, sock: socket.socket) -> None:
        lab.read(sock)
        sent = body.replace(b"{url}", lab.url.encode())
        fields = {"Content-Length": str(len(sent) if length is None else length), "Connection": "close"}
        fields |= {key.replace("_", "-"): value.replace("{url}", lab.url) for key, value in headers.items()}
        head = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        sock.settimeout(60)
        sock.sendall(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + sent)

    return step


def json_answer(status: int, body: object, **headers: str) -> Step:
    return answer(status, json.dumps(body).encode(), length=None, **headers)


def dribble(start: bytes, *, read: bool = True) -> Step:
    """Send a start, then a byte every 20 ms for ever."""

    def step(lab: Lab, sock: socket.socket) -> None:
        if read:
            lab.read(sock)
        sock.sendall(start)
        while not lab.over.wait(0.02):
            sock.sendall(b"y")

    return step


def hold(*, read: bool) -> Step:
    """Say nothing, and read either everything or nothing."""

    def step(lab: Lab, sock: socket.socket) -> None:
        while read and not lab.over.is_set() and lab.receive(sock):
            pass
        lab.over.wait()

    return step


def steady(size: int, then: Step) -> Step:
    """Take a little every 20 ms, never pausing long enough for a timeout of one block, then go on with a step."""

    def step(lab: Lab, sock: socket.socket) -> None:
        taken = 0
        while taken < size and not lab.over.wait(0.02):
            taken += len(lab.receive(sock, 64 * 1024))
        then(lab, sock)

    return step


def reset(lab: Lab, sock: socket.socket) -> None:
    """Break the connection after the head of the request."""
    lab.receive(sock, 100)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
