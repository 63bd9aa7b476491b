from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
from pypi_simple import DistributionPackage, NoSuchProjectError, PyPISimple

from pipeline.matrix.spec import Mirror
from pipeline.sources.limits import Limits, TooLargeError, UnprovenError
from pipeline.sources.objects import ObjectFolder
from pipeline.sources.sdist import download, take_objects
from tests.sources.upstream import Upstream, sdist, sdist_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = ".git/modules/vendor"
NAME = "vendored-1.0.tar.gz"


class FakeIndex:
    """A package index of one file; ``failures`` are raised first, one for each attempt."""

    endpoint = "https://index.example/simple/"

    def __init__(self, data: bytes, *failures: Exception, size: int | None = None) -> None:
        self.data = data
        self.failures = list(failures)
        self.calls = 0
        self.package = DistributionPackage(
            filename=NAME, url="https://index.example/x", project="vendored", version="1.0", package_type="sdist",
            digests={}, requires_python=None, has_sig=None, size=size,
        )  # fmt: skip

    def get_project_page(self, project: str, **options: object) -> object:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return SimpleNamespace(packages=[self.package])

    def download_package(
        self, package: object, path: Path, progress: Callable[[int | None], Any], **options: object
    ) -> None:
        with progress(None) as tracker, path.open("wb") as file:
            for start in range(0, len(self.data), 100):
                file.write(self.data[start : start + 100])
                tracker.update(len(self.data[start : start + 100]))


def mirror(data: bytes, requirement: str = "vendored==1.0") -> Mirror:
    return Mirror(sdist=requirement, sha256=hashlib.sha256(data).hexdigest(), objects=FOLDER)


def get(index: FakeIndex, pin: Mirror, folder: Path, limits: Limits | None = None) -> Path:
    client = cast("PyPISimple", index)
    said: list[str] = []
    return download(pin, folder, say=said.append, limits=limits or Limits(), index=client, wait=0).path


def test_a_file_with_the_right_hash_is_kept_and_not_fetched_twice(tmp_path: Path) -> None:
    index = FakeIndex(b"data" * 100)
    pin = mirror(index.data)

    path = get(index, pin, tmp_path)

    assert path.read_bytes() == index.data
    assert get(index, pin, tmp_path) == path
    assert index.calls == 1
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_file_that_was_changed_meanwhile_is_fetched_again(tmp_path: Path) -> None:
    index = FakeIndex(b"data")
    path = get(index, mirror(b"data"), tmp_path)
    path.write_bytes(b"evil")

    assert get(index, mirror(b"data"), tmp_path).read_bytes() == b"data"


def test_a_wrong_hash_is_refused_and_the_file_removed(tmp_path: Path) -> None:
    wrong = hashlib.sha256(b"other").hexdigest()

    with pytest.raises(UnprovenError, match=f"{NAME} has the SHA-256 {wrong}, not "):
        get(FakeIndex(b"other"), mirror(b"data"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("requirement", ["vendored", "vendored==", "==1.0"])
def test_an_incomplete_pin_is_refused(tmp_path: Path, requirement: str) -> None:
    with pytest.raises(UnprovenError, match=r"needs name==version and a sha256"):
        get(FakeIndex(b""), mirror(b"", requirement), tmp_path)


def test_a_pin_without_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnprovenError, match="needs name==version and a sha256"):
        get(FakeIndex(b""), Mirror(sdist="vendored==1.0", objects=FOLDER), tmp_path)


def test_passing_trouble_is_survived(tmp_path: Path) -> None:
    index = FakeIndex(b"data", requests.ConnectionError("reset"), requests.ReadTimeout())

    assert get(index, mirror(b"data"), tmp_path).read_bytes() == b"data"
    assert index.calls == 3


def test_lasting_trouble_is_given_up_in_words(tmp_path: Path) -> None:
    index = FakeIndex(b"data", *[requests.ReadTimeout()] * 9)

    with pytest.raises(UnprovenError, match=r"index\.example did not answer in time"):
        get(index, mirror(b"data"), tmp_path)
    assert index.calls == 4


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (NoSuchProjectError("vendored", "https://index.example/x"), "the package index has no project vendored"),
        (requests.exceptions.InvalidSchema("file"), "index.example: InvalidSchema: file"),
    ],
)
def test_hopeless_failures_are_not_repeated(tmp_path: Path, failure: Exception, message: str) -> None:
    index = FakeIndex(b"data", failure)

    with pytest.raises(UnprovenError, match=message):
        get(index, mirror(b"data"), tmp_path)
    assert index.calls == 1


def test_a_version_the_index_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UnprovenError, match=r"the package index has no sdist of vendored 2\.0"):
        get(FakeIndex(b""), mirror(b"", "vendored==2.0"), tmp_path)


@pytest.mark.parametrize("size", [None, 400])
def test_a_download_beyond_the_limit_is_stopped(tmp_path: Path, size: int | None) -> None:
    with pytest.raises(TooLargeError, match="the sdist is larger than 150 bytes"):
        get(FakeIndex(b"data" * 100, size=size), mirror(b""), tmp_path, Limits(download=150))


def take(tmp_path: Path, data: bytes, folder: str = FOLDER, limits: Limits | None = None) -> int:
    archive = tmp_path / "sdist.tar.gz"
    archive.write_bytes(data)
    with ObjectFolder(tmp_path / "fresh") as objects:
        take_objects(archive, folder, objects, limits=limits or Limits())
        return objects.count


def test_objects_are_taken_and_nothing_else(upstream: Upstream, tmp_path: Path) -> None:
    upstream.sample()
    upstream.write_pack()
    upstream.blob(b"loose")
    evil = {
        f"{FOLDER}/objects/pack/../../../../../evil.pack": b"x",
        f"{FOLDER}/objects/info/alternates": b"/\n",
        f"{FOLDER}/hooks/post-checkout": b"#!/bin/sh\ntouch canary\n",
        ".git/objects/pack/other.pack": b"not this one",
    }

    assert take(tmp_path, sdist_of(upstream, FOLDER, evil)) == 2
    assert not list(tmp_path.rglob("evil*"))
    assert not list(tmp_path.rglob("canary"))


def test_links_in_place_of_objects_are_passed_over(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"top/{FOLDER}/objects/pack/pack-{kind.decode()}.pack")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)

    with pytest.raises(UnprovenError, match=f"holds no git objects under {FOLDER}"):
        take(tmp_path, out.getvalue())


@pytest.mark.parametrize(
    ("data", "folder", "limits", "message"),
    [
        (sdist({"PKG-INFO": b""}), FOLDER, Limits(), "the sdist holds no git objects under"),
        (b"not a tar", FOLDER, Limits(), "the sdist is damaged"),
        (sdist({"PKG-INFO": b"x" * 9000})[:100], FOLDER, Limits(), "the sdist is damaged"),
        (sdist({"big": bytes(5000)}), FOLDER, Limits(inflated=4000), "unpacks to more than 4000 bytes"),
        (sdist({}), "../x", Limits(), "is not a folder inside the sdist"),
        (sdist({}), "/x", Limits(), "is not a folder inside the sdist"),
        (sdist({}), "", Limits(), "is not a folder inside the sdist"),
    ],
)
def test_bad_archives_are_refused(tmp_path: Path, data: bytes, folder: str, limits: Limits, message: str) -> None:
    with pytest.raises(UnprovenError, match=message):
        take(tmp_path, data, folder, limits)


def test_two_top_folders_are_refused(upstream: Upstream, tmp_path: Path) -> None:
    one, two = upstream.blob(b"1"), upstream.blob(b"2")
    files = {
        f"{top}/{FOLDER}/objects/{name[:2]}/{name[2:]}": upstream.path(name).read_bytes()
        for top, name in (("a", one), ("b", two))
    }

    with pytest.raises(UnprovenError, match="more than one top folder: a, b"):
        take(tmp_path, sdist(files, top=""))


@contextlib.contextmanager
def serve(files: dict[str, bytes]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files.get(self.path)
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/gzip")
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.process
def test_the_index_named_in_the_environment_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = f'<html><body><a href="/files/{NAME}">{NAME}</a></body></html>'.encode()
    with serve({"/simple/vendored/": page, f"/files/{NAME}": b"data"}) as url:
        monkeypatch.setenv("PIP_INDEX_URL", f"{url}/simple")
        said: list[str] = []

        found = download(mirror(b"data"), tmp_path, say=said.append)

        assert found.path.read_bytes() == b"data"
        assert said == [f"downloading {NAME}"]
        with pytest.raises(UnprovenError, match="the package index has no project missing"):
            download(mirror(b"x", "missing==1"), tmp_path, say=said.append)
