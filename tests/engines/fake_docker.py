"""A Docker client made of plain objects: it plays one container's life as a test scripts it."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

from docker.errors import ImageNotFound

if TYPE_CHECKING:
    from pathlib import Path


def frame(data: bytes, source: int = 1) -> bytes:
    return bytes([source, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class FakeContainer:
    """One container; ``ends`` is its exit status, None means that it runs until it is killed."""

    def __init__(self, **script: Any) -> None:  # noqa: ANN401 - whatever a test scripts
        self.output: bytes = script.get("output", b"")
        self.ends: int | None = script.get("ends", 0)
        self.oom: bool = script.get("oom", False)
        self.errors: dict[str, Exception] = script.get("errors", {})
        self.deaf: bool = script.get("deaf", False)
        self.leaves: Path | None = None
        self.name = "llamatrix-fake"
        self.labels: dict[str, str] = script.get("labels", {})
        self.attrs: dict[str, Any] = {}
        self.calls: list[str] = []
        self._ended = threading.Event()
        self._ours, self._theirs = socket.socketpair()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.errors:
            raise self.errors[name]

    def attach_socket(self, params: dict[str, int]) -> socket.socket:
        self._called("attach")
        return self._theirs

    def start(self) -> None:
        self._called("start")
        self._ours.sendall(self.output)
        if self.leaves is not None:
            self.leaves.write_bytes(b"x")
        if self.ends is not None:
            self._end()

    def wait(self, timeout: float | None) -> dict[str, int]:
        self._called("wait")
        self._ended.wait(30)
        return {"StatusCode": 137 if self.ends is None else self.ends}

    def kill(self) -> None:
        self._called("kill")
        if not self.deaf:
            self._end()

    def reload(self) -> None:
        self._called("reload")
        self.attrs = {"State": {"OOMKilled": self.oom}}

    def remove(self, *, force: bool, v: bool) -> None:
        assert force
        assert v
        self._called("remove")
        self._end()

    def _end(self) -> None:
        self._ours.close()
        self._ended.set()

    def close(self) -> None:
        self._end()
        self._theirs.close()


class FakeClient:
    """A client with one container to give."""

    def __init__(self, container: FakeContainer | None = None, **facts: Any) -> None:  # noqa: ANN401 - as above
        self.container = container
        self.existing: list[FakeContainer] = []
        self.api_version: str = facts.get("api", "1.41")
        self.os: str = facts.get("os", "linux")
        self.security: list[str] = facts.get("security", ["name=seccomp,profile=default"])
        self.error: Exception | None = facts.get("error")
        self.created: dict[str, Any] = {}
        self.filters: list[dict[str, str]] = []
        self.closed = False
        self.containers = self

    def version(self) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        return {"Version": "20.10.24", "ApiVersion": self.api_version, "Os": self.os, "Arch": "amd64"}

    def info(self) -> dict[str, Any]:
        return {"NCPU": 2, "SecurityOptions": self.security}

    def create(self, **arguments: Any) -> FakeContainer:  # noqa: ANN401 - the SDK's
        self.created = arguments
        if self.container is None:
            msg = "no such image"
            raise ImageNotFound(msg)
        return self.container

    def list(self, *, all: bool, filters: dict[str, str], ignore_removed: bool) -> list[FakeContainer]:  # noqa: A002 - the SDK's
        if self.error is not None:
            raise self.error
        self.filters.append(filters)
        return self.existing

    def close(self) -> None:
        self.closed = True
