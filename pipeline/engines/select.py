"""Which engine runs the jobs, and why: one sentence for people.

The probe speaks to Docker's socket itself and takes milliseconds when nothing is there; the SDK, which is slow to
import, is loaded only for an engine that answered.
"""

from __future__ import annotations

__all__ = ["Choice", "Probe", "choose", "docker_endpoint", "probe_docker"]

import hashlib
import http.client
import json
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.engines.host import HostEngine
from pipeline.errors import EngineError
from pipeline.model import EngineName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.engines.base import Engine

_DEFAULT = "unix:///var/run/docker.sock"
_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The engine, its name, and one sentence that says why it was taken."""

    engine: Engine
    name: EngineName
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What an endpoint said: ``version`` when an engine answers, else ``problem`` and a ``hint``."""

    endpoint: str
    version: str | None = None
    problem: str | None = None
    hint: str = "start Docker, or use --engine host"


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
        return Probe(endpoint=endpoint, version=_ask_version(path, seconds))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        problem, hint = _explain(path, seconds, error)
        return Probe(endpoint=endpoint, problem=problem, hint=hint)


def _ask_version(path: str, seconds: float) -> str:
    connection = _SocketConnection(path, seconds)
    try:
        connection.request("GET", "/version")
        response = connection.getresponse()
        return str(json.loads(response.read(1 << 20))["Version"])
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


def _docker_engine(store: Path, endpoint: str) -> Engine:
    from pipeline.engines.docker import DockerEngine, connect  # noqa: PLC0415 - loads the SDK

    return DockerEngine(store, connect(endpoint))


def _docker(
    store: Path,
    environ: Mapping[str, str],
    probe: Callable[[str], Probe],
    open_docker: Callable[[Path, str], Engine],
) -> tuple[str, Engine]:
    found = probe(docker_endpoint(environ))
    if found.version is None:
        raise EngineError(found.problem or "it does not say its version", hint=found.hint)
    return found.version, open_docker(store, found.endpoint)


def choose(
    requested: EngineName | Literal["auto"],
    store: Path,
    *,
    environ: Mapping[str, str] | None = None,
    probe: Callable[[str], Probe] = probe_docker,
    open_docker: Callable[[Path, str], Engine] = _docker_engine,
) -> Choice:
    """Take the engine that was asked for, or for ``auto`` docker when one answers here and host otherwise."""
    if requested == EngineName.HOST:
        return Choice(engine=HostEngine(store), name=EngineName.HOST, reason="host: asked for")
    if requested not in {EngineName.DOCKER, "auto"}:
        msg = f"there is no engine {str(requested)!r} to run jobs with"
        raise EngineError(msg, hint="use auto, docker or host")
    try:
        version, engine = _docker(store, os.environ if environ is None else environ, probe, open_docker)
    except EngineError as error:
        if requested == EngineName.DOCKER:
            msg = f"no Docker engine can be used: {error.what}"
            raise EngineError(msg, hint=error.hint) from error
        reason = f"host: no Docker engine answers ({error.what}); using the embedded toolchain"
        return Choice(engine=HostEngine(store), name=EngineName.HOST, reason=reason)
    reason = f"docker: engine {version} answers"
    if shutil.which("mmdebstrap") is None:
        reason += "; mmdebstrap is missing, so only images that are pulled or already here can be used"
    return Choice(engine=engine, name=EngineName.DOCKER, reason=reason)
