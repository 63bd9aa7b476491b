from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import wsgiref.simple_server
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.sources.checkout import checkout
from pipeline.sources.gitremote import Patience, _Flow, fetch_commit
from pipeline.sources.limits import Limits, TooLargeError, UnprovenError
from pipeline.sources.objects import ObjectFolder
from tests.sources.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serve(app: Callable[..., Any]) -> Iterator[str]:
    with wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def git_backend(root: Path) -> Callable[..., Any]:
    """Serve ``root`` through git's own http-backend."""
    git = shutil.which("git")
    assert git is not None, "this test needs git on PATH"

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        variables = {key: value for key, value in environ.items() if isinstance(value, str)}
        done = subprocess.run(
            [git, "http-backend"], input=body, stdout=subprocess.PIPE, check=True,
            env=variables | {
                "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH": os.environ["PATH"],
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
                "GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""),
            },
        )  # fmt: skip
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        start(headers.pop("Status", "200 OK"), list(headers.items()))
        return [content]

    return app


@pytest.fixture
def served(tmp_path: Path) -> tuple[Upstream, str, Path]:
    """A bare repository with a commit no branch points at, as GitHub serves it."""
    root = tmp_path / "served"
    upstream = Upstream(root / "up.git" / "objects")
    pinned = upstream.sample()
    blob = upstream.blob(b"newer")
    newer = upstream.commit(upstream.tree(("100644", "new", blob)))
    (root / "up.git" / "refs" / "heads").mkdir(parents=True)
    (root / "up.git" / "refs" / "heads" / "main").write_text(newer + "\n")
    (root / "up.git" / "HEAD").write_text("ref: refs/heads/main\n")
    (root / "up.git" / "config").write_text("[core]\n\tbare = true\n[uploadpack]\n\tallowAnySHA1InWant = true\n")
    # The parent of every made-up commit is missing; a shallow file makes that a shallow clone.
    (root / "up.git" / "shallow").write_text(f"{pinned}\n{newer}\n")
    return upstream, pinned, root


@pytest.mark.process
def test_exactly_the_commit_is_fetched(served: tuple[Upstream, str, Path], tmp_path: Path) -> None:
    _, pinned, root = served
    with serve(git_backend(root)) as url, ObjectFolder(tmp_path / "fresh") as objects:
        fetch_commit(f"{url}/up.git", pinned, objects, work=tmp_path)
        written = checkout(objects, pinned, tmp_path / "tree")

        assert written.files == 4
        with pytest.raises(UnprovenError, match="is missing"):
            objects.read((root / "up.git" / "refs" / "heads" / "main").read_text().strip(), b"commit")


@pytest.mark.process
def test_a_commit_the_remote_does_not_have(served: tuple[Upstream, str, Path], tmp_path: Path) -> None:
    with (
        serve(git_backend(served[2])) as url,
        ObjectFolder(tmp_path / "fresh") as objects,
        pytest.raises(UnprovenError, match=r"127\.0\.0\.1.*not our ref|127\.0\.0\.1"),
    ):
        fetch_commit(f"{url}/up.git", "9" * 40, objects, work=tmp_path)


@pytest.mark.process
def test_more_than_the_limit_is_not_read(served: tuple[Upstream, str, Path], tmp_path: Path) -> None:
    with (
        serve(git_backend(served[2])) as url,
        ObjectFolder(tmp_path / "fresh") as objects,
        pytest.raises(TooLargeError, match="the server sends more than 20 bytes"),
    ):
        fetch_commit(f"{url}/up.git", served[1], objects, work=tmp_path, limits=Limits(download=20))


def answering(
    status: str, body: bytes = b"", content_type: str = "text/plain", *headers: tuple[str, str]
) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        start(status, [("Content-Type", content_type), *headers])
        return [body]

    return app


@pytest.mark.process
@pytest.mark.parametrize(
    ("app", "message"),
    [
        (answering("401 Unauthorized", b"", "text/plain", ("WWW-Authenticate", "Basic")), "asks for a password"),
        (answering("404 Not Found"), r"127\.0\.0\.1 has no repository /up\.git"),
        (answering("500 Oops"), "unexpected http resp 500"),
        (answering("200 OK", b"a web page"), "does not speak git's smart protocol"),
        (answering("200 OK", b"junk", "application/x-git-upload-pack-advertisement"), r"127\.0\.0\.1: "),
    ],
)
def test_servers_that_are_no_mirror(tmp_path: Path, app: Callable[..., Any], message: str) -> None:
    with (
        serve(app) as url,
        ObjectFolder(tmp_path / "fresh") as objects,
        pytest.raises(UnprovenError, match=message),
    ):
        fetch_commit(f"{url}/up.git", "9" * 40, objects, work=tmp_path)


@pytest.mark.process
def test_nobody_there(tmp_path: Path) -> None:
    with serve(answering("200 OK")) as url:
        pass
    with (
        ObjectFolder(tmp_path / "fresh") as objects,
        pytest.raises(UnprovenError, match=r"^127\.0\.0\.1 refuses connections$"),
    ):
        fetch_commit(f"{url}/up.git", "9" * 40, objects, work=tmp_path)


@pytest.mark.parametrize(
    "url", ["ssh://host/x.git", "git@host:x.git", "/some/folder", "file:///x", "git://host/x", "https:///x"]
)
def test_only_http_is_spoken(tmp_path: Path, url: str) -> None:
    with (
        ObjectFolder(tmp_path / "fresh") as objects,
        pytest.raises(UnprovenError, match="only https and http remotes are fetched"),
    ):
        fetch_commit(url, "9" * 40, objects, work=tmp_path)


def test_a_server_that_never_ends_is_given_up() -> None:
    flow = _Flow(len, 100, Patience(total=-1.0))

    with pytest.raises(UnprovenError, match="the server was not done after -1 s"):
        flow.progress(b"still counting")
