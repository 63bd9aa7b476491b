from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from pipeline.engines import select
from pipeline.engines.select import Choice, Probe, choose, docker_endpoint, open_engine, probe_docker
from pipeline.errors import EngineError
from pipeline.model import EngineName
from tests.engines.lab import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _context(folder: Path, name: str, host: str | None) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps({"currentContext": name}), encoding="utf-8")
    meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    if host is not None:
        (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": host}}}), encoding="utf-8")
    return {"DOCKER_CONFIG": str(folder)}


def test_where_the_engine_is_looked_for(tmp_path: Path) -> None:
    default = "unix:///var/run/docker.sock"
    assert docker_endpoint({"HOME": str(tmp_path)}) == default
    assert docker_endpoint({"DOCKER_HOST": "tcp://a:1"}) == "tcp://a:1"
    environ = _context(tmp_path, "rootless", "unix:///run/user/1/docker.sock")
    assert docker_endpoint(environ) == "unix:///run/user/1/docker.sock"
    assert docker_endpoint({**environ, "DOCKER_CONTEXT": "default"}) == default
    with pytest.raises(EngineError, match="context 'other' does not exist"):
        docker_endpoint({**environ, "DOCKER_CONTEXT": "other"})
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    assert docker_endpoint(environ) == default
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert docker_endpoint(environ) == default


@pytest.mark.parametrize("endpoint", ["tcp://build:2376", "ssh://build", "npipe:////./pipe/x"])
def test_another_machine_is_refused(endpoint: str) -> None:
    found = probe_docker(endpoint)
    assert found.version is None
    assert found.problem == f"{endpoint} is another machine, whose Docker cannot see the folders of this one"


@contextmanager
def _server(answer: bytes | None) -> Iterator[str]:
    """Serve one connection on a socket; None answers nothing at all."""
    # Not under tmp_path: the path of a socket must be short.
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/s"
        listener.bind(path)
        listener.listen()
        over = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                if answer is None:
                    over.wait(30)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"unix://{path}"
        over.set()
        thread.join()


def _http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.process
def test_an_engine_that_answers() -> None:
    with _server(_http(b'{"Version": "28.2.2", "ApiVersion": "1.50"}')) as endpoint:
        assert probe_docker(endpoint) == Probe(endpoint=endpoint, version="28.2.2")


@pytest.mark.process
@pytest.mark.parametrize("answer", [b"SSH-2.0\r\n", b"", _http(b"{}"), _http(b"[]"), _http(b"{"), _http(b"")])
def test_something_else_listens(answer: bytes) -> None:
    with _server(answer) as endpoint:
        found = probe_docker(endpoint)
    assert found.version is None
    assert found.problem is not None
    assert "does not speak Docker's language" in found.problem


@pytest.mark.process
def test_an_engine_that_hangs() -> None:
    with _server(None) as endpoint:
        found = probe_docker(endpoint, seconds=0.1)
    assert found.problem is not None
    assert found.problem.endswith("did not answer within 0.1 s")


@pytest.mark.process
def test_a_socket_nobody_listens_at_and_no_socket() -> None:
    with TemporaryDirectory() as folder:
        assert probe_docker(f"unix://{folder}/s").problem == f"{folder}/s does not exist"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{folder}/s")
            assert probe_docker(f"unix://{folder}/s").problem == f"nobody listens at {folder}/s"


def test_a_socket_that_may_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> tuple[str, tuple[int, int]]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(select, "_ask_version", refuse)
    found = probe_docker("unix:///s")
    assert (found.problem, found.hint) == (
        "/s may not be opened by you",
        "add yourself to the group docker and log in again",
    )


def _there(endpoint: str) -> Probe:
    return Probe(endpoint=endpoint, version="20.10.24")


def _gone(endpoint: str) -> Probe:
    return Probe(endpoint=endpoint, problem="/s does not exist", hint="install it")


BOTH = (EngineName.DOCKER, EngineName.HOST)


def test_auto_takes_docker_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/mmdebstrap")
    choice = choose("auto", environ={}, probe=_there)
    assert choice == Choice(name=EngineName.DOCKER, reason="docker: engine 20.10.24 answers", available=BOTH)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    choice = choose("auto", environ={}, probe=_there)
    assert choice.reason.endswith("; mmdebstrap is missing, so only images that are pulled or already here can be used")


def test_auto_falls_back_to_the_host_and_says_why() -> None:
    choice = choose("auto", environ={}, probe=_gone)
    assert choice.name is EngineName.HOST
    assert choice.available == (EngineName.HOST,)
    assert choice.reason == "host: no Docker engine answers (/s does not exist); using the embedded toolchain"
    choice = choose("auto", environ={"DOCKER_HOST": "tcp://b:1"})
    assert "tcp://b:1 is another machine" in choice.reason


def test_a_context_that_does_not_exist_is_no_engine(tmp_path: Path) -> None:
    environ = _context(tmp_path, "gone", None)
    choice = choose("auto", environ=environ)
    assert (choice.name, "context 'gone' does not exist" in choice.reason) == (EngineName.HOST, True)
    with pytest.raises(EngineError, match="context 'gone' does not exist"):
        choose(EngineName.DOCKER, environ=environ)


def test_docker_by_name_must_be_there() -> None:
    with pytest.raises(EngineError, match="no Docker engine can be used: /s does not exist") as caught:
        choose(EngineName.DOCKER, environ={}, probe=_gone)
    assert caught.value.hint == "install it"


def test_host_by_name_is_taken_whatever_else_is_there() -> None:
    choice = choose(EngineName.HOST, environ={}, probe=_there)
    assert (choice.name, choice.available) == (EngineName.HOST, BOTH)


def test_the_fake_engine_asks_nobody(tmp_path: Path) -> None:
    choice = choose(EngineName.FAKE, probe=lambda _: pytest.fail("no probe"))
    assert choice.available == (EngineName.FAKE,)
    assert open_engine(choice.name, tmp_path).name is EngineName.FAKE


@pytest.mark.process
def test_an_engine_that_is_too_old() -> None:
    with _server(_http(b'{"Version": "18.09", "ApiVersion": "1.39"}')) as endpoint:
        assert probe_docker(endpoint).problem == "the Docker engine 18.09 is too old: its API is 1.39"


@pytest.mark.process
def test_the_sdk_is_not_loaded_for_the_host() -> None:
    code = (
        "import sys; from pipeline.engines.select import choose;"
        "choose('auto', environ={'DOCKER_HOST': 'unix:///nowhere/s'});"
        "sys.exit('docker' in sys.modules or 'requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=child_environment(), check=False).returncode == 0


@pytest.mark.docker
def test_a_real_engine(tmp_path: Path) -> None:
    choice = choose("auto")
    assert choice.name is EngineName.DOCKER
    open_engine(choice.name, tmp_path).close()
