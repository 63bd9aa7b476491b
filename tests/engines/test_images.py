from __future__ import annotations

import contextlib
import io
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
from docker.errors import APIError, ImageNotFound, NotFound

from pipeline.engines import bootstrap as bootstrap_module
from pipeline.engines import images as images_module
from pipeline.engines.base import Cancel, Ending, Folder, Job, JobResult
from pipeline.engines.docker import DockerEngine, connect
from pipeline.engines.image_keys import image_key
from pipeline.engines.images import ImageRef, ensure_image
from pipeline.errors import CancelledError, ImageError
from pipeline.matrix.spec import Image
from tests.engines.lab import run, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

    from pipeline.engines.base import LineSink

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12
Description: GNU C Library
 Package: not-a-field

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.41-12

Package: removed
Status: deinstall ok config-files
Version: 1

Package: mawk
Architecture: arm64
Version: 1.3.4
Status: install ok unpacked
"""


def _tar(text: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("status")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


class FakeImage:
    def __init__(self, identity: str, labels: dict[str, str], digests: list[str] | None = None) -> None:
        self.id = identity
        self.labels = labels
        self.attrs = {"RepoDigests": digests}


class FakeEngine:
    """The image side of a Docker client."""

    def __init__(self, status: bytes | Exception | None = None) -> None:
        self.known: dict[str, FakeImage] = {}
        self.status = _tar(STATUS) if status is None else status
        self.pulls: list[list[dict[str, str]] | Exception] = []
        self.digests: list[str] = []
        self.imported: list[dict[str, Any]] = []
        self.carries_key = True
        self.looked_inside = 0
        self.removed = 0
        self.images = self
        self.containers = self
        self.api = self

    def version(self) -> dict[str, str]:
        return {"Arch": "amd64"}

    def get(self, name: str) -> FakeImage:
        if name not in self.known:
            msg = "no such image"
            raise ImageNotFound(msg)
        return self.known[name]

    def import_image_from_file(self, path: str, *, repository: str, tag: str, changes: list[str]) -> None:
        assert Path(path).read_bytes() == b"tar"
        labels = dict(change.removeprefix("LABEL ").replace('"', "").split("=", 1) for change in changes)
        self.imported.append(labels)
        self.known[f"{repository}:{tag}"] = FakeImage("sha256:made", labels if self.carries_key else {})

    def pull(self, repository: str, *, tag: str, stream: bool, decode: bool) -> Iterator[dict[str, str]]:
        answer = self.pulls.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield from answer
        self.known[f"{repository}@{tag}"] = FakeImage("sha256:pulled", {}, self.digests)

    def create(self, image: str, command: list[str], *, network_mode: str, labels: dict[str, str]) -> FakeEngine:
        assert network_mode == "none"
        assert set(labels) == {"llamatrix.store", "llamatrix.owner"}
        self.looked_inside += 1
        return self

    def get_archive(self, path: str) -> tuple[list[bytes], None]:
        assert path == "/var/lib/dpkg/status"
        if isinstance(self.status, Exception):
            raise self.status
        return [self.status[:100], self.status[100:]], None

    def remove(self, *, force: bool, v: bool) -> None:
        self.removed += 1


class FakeHost:
    """Plays mmdebstrap: notes the jobs and gives the results a test prepared."""

    jobs: list[Job]
    results: list[JobResult]

    def __init__(self, store: Path, grace: float) -> None:
        assert grace >= 10

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> JobResult:
        FakeHost.jobs.append(job)
        result = FakeHost.results.pop(0)
        if result.ending is Ending.OK:
            (job.folders[0].path / "image.tar").write_bytes(b"tar")
        return result


def _result(ending: Ending, *tail: str) -> JobResult:
    return JobResult(ending=ending, exit_code=None, seconds=1, message="mmdebstrap exited with status 25", tail=tail)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> type[FakeHost]:
    FakeHost.jobs, FakeHost.results = [], []
    monkeypatch.setattr(bootstrap_module, "HostEngine", FakeHost)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/mmdebstrap")
    return FakeHost


def _ensure(
    engine: FakeEngine, image: Image, tmp_path: Path, cancel: Cancel | None = None, name: str = "build"
) -> ImageRef:
    client = cast("DockerClient", engine)
    return ensure_image(image, name, client, tmp_path / "store", lambda _: None, cancel or Cancel())


def test_the_key_follows_what_decides_the_image() -> None:
    key = image_key(Image(suite="trixie", packages=("a", "b")))
    assert key == image_key(Image(suite="trixie", packages=("b", "a", "a")))
    others = (
        Image(suite="bookworm", packages=("a", "b")),
        Image(suite="trixie", packages=("a",)),
        Image(suite="trixie", packages=("a", "b"), architecture="arm64"),
        Image(pull="debian@sha256:" + "0" * 64),
    )
    assert len({key, *map(image_key, others)}) == 5
    assert len(key) == 64


def test_bootstrapping_and_finding_it_again(tmp_path: Path, host: type[FakeHost]) -> None:
    host.results = [_result(Ending.OK)]
    engine = FakeEngine()
    image = Image(suite="trixie", packages=("mawk",))
    made = _ensure(engine, image, tmp_path)
    assert made.reference == "sha256:made"
    assert made.origin == "Debian trixie"
    assert made.packages == {"libc6": "2.41-12", "libc6:i386": "2.41-12", "mawk": "1.3.4"}
    assert list(engine.known) == [f"llamatrix/build:{image_key(image)[:12]}"]
    (job,) = host.jobs
    assert job.argv[0] == "mmdebstrap"
    assert job.argv[-2:] == ("trixie", "{OUT}/image.tar")
    assert {"--variant=apt", "--architectures=amd64", "--include=mawk"} <= set(job.argv)
    assert not any("trusted" in argument for argument in job.argv)
    assert job.network
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
    assert _ensure(engine, image, tmp_path) == made
    assert (len(host.jobs), engine.looked_inside, engine.removed) == (1, 1, 1)


def test_an_image_whose_label_does_not_match_is_made_again(tmp_path: Path, host: type[FakeHost]) -> None:
    host.results = [_result(Ending.OK)]
    engine = FakeEngine()
    image = Image(suite="trixie")
    engine.known[f"llamatrix/build:{image_key(image)[:12]}"] = FakeImage("sha256:stranger", {})
    assert _ensure(engine, image, tmp_path).reference == "sha256:made"


def test_a_foreign_image_is_extracted_only(tmp_path: Path, host: type[FakeHost]) -> None:
    host.results = [_result(Ending.OK)]
    _ensure(FakeEngine(), Image(suite="bullseye", architecture="arm64", packages=("mawk",)), tmp_path)
    (job,) = host.jobs
    assert {"--variant=extract", "--architectures=arm64", "--include=base-files,libc6,libgcc-s1,mawk"} <= set(job.argv)
    assert any(argument.startswith("--extract-hook=") for argument in job.argv)


def test_an_updates_archive_with_a_hole_leads_to_the_main_archive(tmp_path: Path, host: type[FakeHost]) -> None:
    host.results = [_result(Ending.FAILED, "  404  Not Found"), _result(Ending.OK)]
    assert (
        _ensure(FakeEngine(), Image(suite="bullseye"), tmp_path).origin
        == "Debian bullseye, main archive without updates"
    )
    assert '--aptopt=APT::Default-Release "bullseye"' in host.jobs[1].argv
    assert '--aptopt=APT::Default-Release "bullseye"' not in host.jobs[0].argv


def test_a_bootstrap_that_fails_names_apts_own_reason(tmp_path: Path, host: type[FakeHost]) -> None:
    host.results = [_result(Ending.FAILED, "E: The repository is not signed.", "E: mmdebstrap failed to run")]
    with pytest.raises(ImageError, match=r"image build: mmdebstrap could not make .* E: The repository is not signed"):
        _ensure(FakeEngine(), Image(suite="trixie"), tmp_path)
    host.results = [_result(Ending.TIMED_OUT)]
    with pytest.raises(ImageError, match="mmdebstrap exited with status 25"):
        _ensure(FakeEngine(), Image(suite="trixie"), tmp_path)
    host.results = [_result(Ending.CANCELLED)]
    with pytest.raises(CancelledError, match="cancelled while an image was made"):
        _ensure(FakeEngine(), Image(suite="trixie"), tmp_path)
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_mmdebstrap_must_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ImageError, match="mmdebstrap, which makes a Debian trixie image, is not installed") as caught:
        _ensure(FakeEngine(), Image(suite="trixie"), tmp_path)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("apt-get install mmdebstrap")


@pytest.mark.parametrize(
    ("image", "name", "message"),
    [
        (Image(suite="trixie", needs="a licence"), "build", "cannot be made yet: a licence"),
        (Image(suite="trixie"), "Build", "'Build' cannot be part of an image's name"),
        (Image(), "build", "either pull: or suite:"),
        (Image(suite="x", pull="d@sha256:" + "0" * 64), "build", "either pull: or suite:"),
        (Image(suite="--help"), "build", "not a Debian suite or package: --help"),
        (Image(suite="trixie", packages=("a,b", "--x")), "build", "not a Debian suite or package: a,b, --x"),
    ],
)
def test_images_that_cannot_be(tmp_path: Path, host: type[FakeHost], image: Image, name: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        _ensure(FakeEngine(), image, tmp_path, name=name)
    assert host.jobs == []


def test_an_imported_image_must_carry_its_key_and_its_packages(tmp_path: Path, host: type[FakeHost]) -> None:
    host.results = [_result(Ending.OK)] * 3
    engine = FakeEngine()
    engine.carries_key = False
    with pytest.raises(ImageError, match="does not carry its key"):
        _ensure(engine, Image(suite="trixie"), tmp_path)
    with pytest.raises(ImageError, match="the image lacks glslc"):
        _ensure(FakeEngine(), Image(suite="trixie", packages=("glslc",)), tmp_path)
    with pytest.raises(ImageError, match="the image lacks a package list"):
        _ensure(FakeEngine(NotFound("x")), Image(suite="trixie"), tmp_path / "other")


def test_docker_failing_is_an_image_error(tmp_path: Path, host: type[FakeHost]) -> None:
    for error in (requests.ConnectionError("reset"), APIError("no space")):
        host.results = [_result(Ending.OK)]
        with pytest.raises(ImageError, match=f"Docker could not provide the image: {error}"):
            _ensure(FakeEngine(error), Image(suite="trixie"), tmp_path)


def test_a_damaged_or_endless_package_list(
    tmp_path: Path, host: type[FakeHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.results = [_result(Ending.OK)] * 2
    with pytest.raises(ImageError, match="damaged archive"):
        _ensure(FakeEngine(b"x" * 2000), Image(suite="trixie"), tmp_path)
    monkeypatch.setattr(images_module, "_STATUS_LIMIT", 1000)
    with pytest.raises(ImageError, match="larger than 1000 bytes"):
        _ensure(FakeEngine(), Image(suite="trixie"), tmp_path)


PULL = "example/debian@sha256:" + "ab" * 32


def test_pulling_by_digest_with_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cancel, "wait", lambda *_: False)
    engine = FakeEngine(NotFound("not Debian"))
    engine.digests = [PULL]
    engine.pulls = [requests.ConnectionError("reset"), [{"status": "x"}, {"error": "busy"}], [{"status": "done"}]]
    made = _ensure(engine, Image(pull=PULL), tmp_path)
    assert (made.reference, made.origin, made.digest) == ("sha256:pulled", PULL, "sha256:" + "ab" * 32)
    assert made.packages == {}
    assert _ensure(engine, Image(pull=PULL), tmp_path) == made


def test_a_pull_that_never_works_or_brings_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cancel, "wait", lambda *_: False)
    engine = FakeEngine()
    engine.pulls = [APIError("denied")] * 4
    with pytest.raises(ImageError, match="Docker could not provide the image: denied"):
        _ensure(engine, Image(pull=PULL), tmp_path)
    assert engine.pulls == []
    engine.pulls, engine.digests = [[]], ["example/debian@sha256:" + "00" * 32]
    with pytest.raises(ImageError, match=r"the image that came has digests .*, not sha256:abab"):
        _ensure(engine, Image(pull=PULL), tmp_path)


def test_cancelling_a_pull(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.pulls = [[{"status": "x"}]]
    cancel = Cancel()
    cancel.set()
    with pytest.raises(CancelledError, match="while an image was pulled"):
        _ensure(engine, Image(pull=PULL), tmp_path, cancel)


# With a real engine and the Debian archive.


@pytest.mark.docker
def test_cancelling_a_real_bootstrap_leaves_nothing(tmp_path: Path, client: DockerClient) -> None:
    cancel = Cancel()

    def say(line: str) -> None:
        if "downloading" in line:
            cancel.set()

    # A key of its own, so that it is never there already.
    image = Image(suite="trixie", packages=("tzdata",))
    with pytest.raises(CancelledError):
        ensure_image(image, "test-cancelled", client, tmp_path / "store", say, cancel)
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
    assert client.images.list("llamatrix/test-cancelled") == []


@pytest.mark.docker
@pytest.mark.skipif(not Path("/usr/bin/qemu-aarch64-static").exists(), reason="needs qemu-user-static")
def test_a_foreign_image_runs_under_an_emulator(tmp_path: Path, client: DockerClient) -> None:
    image = Image(suite="bullseye", architecture="arm64", packages=("coreutils",))
    made = ensure_image(image, "test-arm64", client, tmp_path / "store", lambda _: None, Cancel())
    assert made.packages["libc6"].startswith("2.31-")
    engine = DockerEngine(tmp_path / "store", connect())
    emulator = Folder(name="QEMU", path=Path("/usr/bin/qemu-aarch64-static"))
    job = shell(tmp_path, "", argv=("{QEMU}", "/bin/uname", "-m"), image=made.reference, extra=(emulator,))
    result = run(engine, job)
    assert (result.message, result.tail) == ("done", ("aarch64",))
    engine.close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A real registry on this machine, for as long as one test."""
    program = shutil.which("docker-registry")
    assert program, "install Debian's docker-registry: this test was asked for with --run-docker"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = tmp_path / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\nhttp: {{addr: '{address}'}}\n"
    )
    with subprocess.Popen(
        [program, "serve", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        host, port = address.split(":")
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                break
            time.sleep(0.1)
        yield address
        run.kill()


@pytest.mark.docker
def test_a_real_image_is_pulled_by_digest_and_a_wrong_digest_is_refused(
    client: DockerClient, image: str, registry: str, tmp_path: Path
) -> None:
    repository = f"{registry}/base"
    client.images.get(image).tag(repository, "latest")
    try:
        client.images.push(repository, tag="latest")
        pulled = client.images.pull(repository, tag="latest")
        digest = next(name for name in pulled.attrs["RepoDigests"] if name.startswith(f"{repository}@"))

        found = ensure_image(Image(pull=digest), "pulled", client, tmp_path, lambda _: None, Cancel())

        assert found.reference == image
        assert f"{repository}@{found.digest}" == digest
        assert "dpkg" in found.packages
        wrong = f"{repository}@sha256:{'5' * 64}"
        with pytest.raises(ImageError):
            ensure_image(Image(pull=wrong), "pulled", client, tmp_path, lambda _: None, Cancel())
    finally:
        client.images.remove(f"{repository}:latest", noprune=True)
