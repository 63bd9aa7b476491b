"""Which engine runs the jobs, and why: one sentence for people.

The probe speaks to Docker's socket itself and takes milliseconds when nothing is there; the SDK, which is slow to
import, is loaded only for an engine that answered.
"""

from __future__ import annotations

__all__ = ["MINIMUM_API", "Choice", "Probe", "choose", "docker_endpoint", "open_engine", "probe_docker"]

import hashlib
import http.client
import json
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.engines.fake import FakeEngine
from pipeline.engines.host import HostEngine
from pipeline.errors import EngineError
from pipeline.model import EngineName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.engines.base import Engine

MINIMUM_API = (1, 41)
"""Docker 20.10: the oldest engine whose hardening options are all there."""

_DEFAULT = "unix:///var/run/docker.sock"
_SECONDS = 2.0
_START = "start Docker, or use --engine host"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The engine taken, one sentence that says why, and every engine that could be used here."""

    name: EngineName
    reason: str
    available: tuple[EngineName, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What an endpoint said: ``version`` when an engine answers, else ``problem`` and a ``hint``."""

    endpoint: str
    version: str | None = None
    problem: str | None = None
    hint: str = _START


def docker_endpoint(environ: Mapping[str, str]) -> str:
    """Find the engine as Docker's own command line does: DOCKER_HOST, the current context, the default socket."""
    if environ.get("DOCKER_HOST"):
        return environ["DOCKER_HOST"]
    home = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/")) / ".docker")
    context = environ.get("DOCKER_CONTEXT") or _entry(home / "config.json", "currentContext")
    if not context or context == "default":
        return _DEFAULT
    folder = hashlib.sha256(context.encode()).hexdigest()
    host = _entry(home / "contexts" / "meta" / folder / "meta.json", "Endpoints", "docker", "Host")
    if host is None:
        msg = f"Docker's current context {context!r} does not exist or names no host"
        raise EngineError(msg, hint="run: docker context use default")
    return host


def _entry(path: Path, *keys: str) -> str | None:
    try:
        value: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def probe_docker(endpoint: str, *, seconds: float = _SECONDS) -> Probe:
    """Ask an endpoint for its version, for at most about ``seconds``."""
    scheme, _, path = endpoint.partition("://")
    if scheme != "unix":
        return Probe(
            endpoint=endpoint,
            problem=f"{endpoint} is another machine, whose Docker cannot see the folders of this one",
            hint="run llamatrix on that machine, or unset DOCKER_HOST and choose a local context",
        )
    try:
        version, api = _ask_version(path, seconds)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        problem, hint = _explain(path, seconds, error)
        return Probe(endpoint=endpoint, problem=problem, hint=hint)
    if api < MINIMUM_API:
        problem = f"the Docker engine {version} is too old: its API is {api[0]}.{api[1]}"
        return Probe(endpoint=endpoint, problem=problem, hint="install Docker 20.10 or newer, or use --engine host")
    return Probe(endpoint=endpoint, version=version)


def _ask_version(path: str, seconds: float) -> tuple[str, tuple[int, int]]:
    connection = _SocketConnection(path, seconds)
    try:
        connection.request("GET", "/version")
        response = connection.getresponse()
        answer = json.loads(response.read(1 << 20))
        major, _, minor = str(answer["ApiVersion"]).partition(".")
        return str(answer["Version"]), (int(major), int(minor))
    finally:
        connection.close()


def _explain(path: str, seconds: float, error: Exception) -> tuple[str, str]:
    """Say what is wrong with a socket and what to do."""
    match error:
        case FileNotFoundError():
            return f"{path} does not exist", "install and start Docker, or use --engine host"
        case PermissionError():
            return f"{path} may not be opened by you", "add yourself to the group docker and log in again"
        case TimeoutError():
            return f"{path} did not answer within {seconds:g} s", "restart Docker, or use --engine host"
        case ConnectionRefusedError():
            return f"nobody listens at {path}", "start Docker, or use --engine host"
    return f"{path} does not speak Docker's language ({type(error).__name__})", "restart Docker, or use --engine host"


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def choose(
    requested: EngineName | Literal["auto"],
    *,
    environ: Mapping[str, str] | None = None,
    probe: Callable[[str], Probe] = probe_docker,
) -> Choice:
    """Take the engine that was asked for, or for ``auto`` docker when one answers here and host otherwise."""
    if requested == EngineName.FAKE:
        return Choice(name=EngineName.FAKE, reason="fake: asked for; nothing is compiled", available=(EngineName.FAKE,))
    try:
        found = probe(docker_endpoint(os.environ if environ is None else environ))
    except EngineError as error:
        found = Probe(endpoint="", problem=error.what, hint=error.hint or _START)
    here = (EngineName.DOCKER, EngineName.HOST) if found.version is not None else (EngineName.HOST,)
    if requested == EngineName.HOST:
        return Choice(name=EngineName.HOST, reason="host: asked for; using the embedded toolchain", available=here)
    if found.version is not None:
        reason = f"docker: engine {found.version} answers"
        if shutil.which("mmdebstrap") is None:
            reason += "; mmdebstrap is missing, so only images that are pulled or already here can be used"
        return Choice(name=EngineName.DOCKER, reason=reason, available=here)
    problem = found.problem or "it does not say its version"
    if requested == EngineName.DOCKER:
        msg = f"no Docker engine can be used: {problem}"
        raise EngineError(msg, hint=found.hint)
    reason = f"host: no Docker engine answers ({problem}); using the embedded toolchain"
    return Choice(name=EngineName.HOST, reason=reason, available=here)


def open_engine(name: EngineName, store: Path, *, environ: Mapping[str, str] | None = None) -> Engine:
    """Open an engine for the jobs of one store; only now is the Docker SDK loaded."""
    if name is EngineName.FAKE:
        return FakeEngine()
    if name is EngineName.HOST:
        return HostEngine(store)
    from pipeline.engines.docker import DockerEngine, connect  # noqa: PLC0415 - loads the SDK

    return DockerEngine(store, connect(docker_endpoint(os.environ if environ is None else environ)))
