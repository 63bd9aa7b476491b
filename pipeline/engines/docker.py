"""The docker engine: one hardened container per job.

A job has no network unless it asks for it, no capabilities, no new privileges, a read-only root file system, limits on
memory, processors and processes, and an unprivileged user. Its folders are bound at ``/llamatrix/<name>``; nothing of
the caller's environment reaches it. Output comes over an attached connection made before the start, so that neither
the first nor the last line is lost and the rotation of Docker's own log does not matter.

A container outlives a tool that is killed with SIGKILL; it is labelled with its store and its owner, and the next run
of the same store sweeps it. Access to Docker's socket is access to root, so it is never bound into a job.
"""

from __future__ import annotations

__all__ = ["MINIMUM_API", "DockerEngine", "connect", "store_label"]

import hashlib
import os
import selectors
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline.engines.base import Ending, JobResult
from pipeline.engines.layout import (
    command_line,
    discard_outputs,
    environment,
    exit_message,
    folder_paths,
    out_folder,
    output_problem,
    stop_message,
)
from pipeline.engines.owner import is_dead, this_process
from pipeline.engines.ownership import Ownership, make_readable
from pipeline.engines.transcript import Transcript
from pipeline.errors import EngineError
from pipeline.model import EngineName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient
    from docker.models.containers import Container

    from pipeline.engines.base import Cancel, Job, LineSink

MINIMUM_API = (1, 41)
"""The oldest API this was measured on: engine 20.10."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_API_SECONDS = 60
_STEP = 0.1
_KILL_SECONDS = 15.0
_DRAIN_SECONDS = 5.0
_FRAME_HEADER = 8
_HELD_LIMIT = 64 * 1024


def connect(endpoint: str | None = None) -> DockerClient:
    """Open a client for ``endpoint``, or for what the environment names."""
    import docker  # noqa: PLC0415 - takes a fifth of a second, which a run on the host need not pay

    with _docker_errors("the Docker engine does not answer", hint="start Docker, or use --engine host"):
        if endpoint is None:
            return docker.from_env(timeout=_API_SECONDS)
        return docker.DockerClient(base_url=endpoint, timeout=_API_SECONDS)


def store_label(store: Path) -> str:
    """Name a store in a label: a digest of its path."""
    return hashlib.sha256(os.fsencode(store.resolve())).hexdigest()[:16]


class DockerEngine:
    """Runs jobs in containers of one Docker engine."""

    name = EngineName.DOCKER

    def __init__(self, store: Path, client: DockerClient | None = None, *, pids_limit: int = 4096) -> None:
        """Use ``client``, or connect as the environment says; refuse an engine that is too old or not Linux."""
        self._store = store
        self._client = client if client is not None else connect()
        self._pids_limit = pids_limit
        self._ownership = Ownership()
        self._labels = {
            "llamatrix.store": store_label(store),
            "llamatrix.run": uuid.uuid4().hex[:12],
            "llamatrix.pid": str(os.getpid()),
            "llamatrix.owner": this_process(),
        }
        with _docker_errors("the Docker engine does not answer", hint="start Docker, or use --engine host"):
            version = self._client.version()
            info = self._client.info()
        self.version = str(version.get("Version", "unknown"))
        self._processors = int(info.get("NCPU", 1))
        options = {part.partition(",")[0] for part in info.get("SecurityOptions") or ()}
        # Rootless: the container's root is the caller. A remapping daemon: ids inside would not be the caller's.
        self._user = "0:0" if "name=rootless" in options else Ownership.user()
        self._userns = "host" if "name=userns" in options else None
        api = str(version.get("ApiVersion", "0.0"))
        if tuple(int(part) for part in api.split(".")) < MINIMUM_API:
            wanted = ".".join(map(str, MINIMUM_API))
            msg = f"the Docker engine {self.version} is too old: its API is {api}, {wanted} is needed"
            raise EngineError(msg, hint="install Docker 20.10 or newer, or use --engine host")
        if version.get("Os", "linux") != "linux":
            msg = f"the Docker engine runs {version.get('Os')} containers, Linux is needed"
            raise EngineError(msg, hint="switch Docker to Linux containers, or use --engine host")

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> JobResult:
        """Run ``job`` to its end, deadline or cancellation; its container is gone afterwards."""
        started = time.monotonic()
        seen = folder_paths(job, lambda folder: f"/llamatrix/{folder.name.lower()}")
        argv = command_line(job, seen)
        if cancel.is_set():
            message = "cancelled before it started"
            return JobResult(ending=Ending.CANCELLED, exit_code=None, seconds=0.0, message=message)
        if job.image is None:
            msg = "the job names no container image"
            raise EngineError(msg, where=job.title)
        discard_outputs(job)
        writable = [folder.path.resolve() for folder in job.folders if folder.writable]
        for folder in job.folders:
            if not folder.writable:
                make_readable(folder.path, self._store)
        with Transcript(job.log, on_line) as transcript:
            self._ownership.lend(writable)
            try:
                watch = self._contain(job, argv, seen, transcript, cancel, started + job.deadline)
            finally:
                self._ownership.take_back(writable)
            ending, code, message = _judge(job, watch, transcript.last)
            for note in watch.notes:
                transcript.note(f"[llamatrix] {note}")
            seconds = time.monotonic() - started
            return JobResult(ending=ending, exit_code=code, seconds=seconds, message=message, tail=transcript.tail)

    def _contain(  # noqa: PLR0913 - everything one container needs
        self, job: Job, argv: list[str], seen: dict[str, str], transcript: Transcript, cancel: Cancel, deadline: float
    ) -> _Watch:
        with _docker_errors("the Docker engine failed the job", where=job.title, hint="is Docker still running?"):
            container = self._create(job, argv, seen)
            watch = _Watch(container)
            try:
                stream = _attach(container)
                try:
                    container.start()
                    watch.follow(stream, transcript, cancel, deadline)
                finally:
                    stream.close()
                watch.inspect()
            finally:
                watch.remove()
        return watch

    def _create(self, job: Job, argv: list[str], seen: dict[str, str]) -> Container:
        from docker.errors import ImageNotFound  # noqa: PLC0415 - see connect
        from docker.types import LogConfig, Mount, Ulimit  # noqa: PLC0415 - see connect

        user, _, group = self._user.partition(":")
        arguments: dict[str, Any] = {
            "image": job.image,
            "entrypoint": argv[:1],
            "command": argv[1:],
            "name": f"llamatrix-{self._labels['llamatrix.run']}-{uuid.uuid4().hex[:8]}",
            "labels": {**self._labels, "llamatrix.title": job.title},
            "environment": environment(job, seen, path=_PATH, home="/tmp", temporary="/tmp"),  # noqa: S108 - inside
            "working_dir": "/tmp" if out_folder(job) is None else seen["OUT"],  # noqa: S108 - inside
            # Unlike a volume string, a mount fails when its source is missing instead of making it, owned by root.
            "mounts": [
                Mount(seen[folder.name], str(folder.path.resolve()), type="bind", read_only=not folder.writable)
                for folder in job.folders
            ],
            # A tmpfs takes over the mode of the image's own directory, whatever is asked for; an owner it does not.
            "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,uid={user},gid={group},size={job.memory // 2}"},  # noqa: S108 - inside
            "user": self._user,
            "userns_mode": self._userns,
            "network_mode": "bridge" if job.network else "none",
            "hostname": "llamatrix",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "pids_limit": self._pids_limit,
            "mem_limit": job.memory,
            "memswap_limit": job.memory,
            "nano_cpus": max(1, min(job.cpus, self._processors)) * 10**9,
            "ulimits": [Ulimit(name="core", soft=0, hard=0), Ulimit(name="nofile", soft=65536, hard=65536)],
            "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "1"}),
            "healthcheck": {"test": ["NONE"]},
            "init": True,
        }
        try:
            return self._client.containers.create(**arguments)
        except ImageNotFound as error:
            msg = f"there is no image {job.image} in this Docker engine"
            raise EngineError(msg, where=job.title, hint="run again: images are made before the jobs") from error

    def sweep(self) -> tuple[str, ...]:
        """Remove containers of this store whose run is dead."""
        removed = []
        with _docker_errors("cannot look for leftovers in the Docker engine"):
            for container in self._labelled("llamatrix.store"):
                if is_dead(container.labels.get("llamatrix.owner", "")):
                    _remove(container)
                    removed.append(f"container {container.name}")
        return tuple(removed)

    def close(self) -> None:
        """Remove what this run could not remove before, and drop the connection."""
        try:
            with _docker_errors("cannot look for leftovers in the Docker engine"):
                for container in self._labelled("llamatrix.run"):
                    _remove(container)
        except EngineError:
            # Docker is gone; the next run of this store sweeps.
            return
        finally:
            self._client.close()

    def _labelled(self, label: str) -> list[Container]:
        wanted = f"{label}={self._labels[label]}"
        return list(self._client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True))


def _judge(job: Job, watch: _Watch, last: str) -> tuple[Ending, int | None, str]:
    program = job.argv[0].rpartition("/")[2]
    if watch.stopped is not None:
        return watch.stopped, None, stop_message(job, watch.stopped, last)
    if watch.out_of_memory:
        # The exit status says nothing: a compiler that was killed under a build tool can still end in 0.
        limit = f"{job.memory / 2**30:.2f} GiB"
        message = f"{program} ran out of its {limit} of memory; raise the component's memory or use fewer --jobs"
        return Ending.OUT_OF_MEMORY, watch.code, message
    if watch.code is None:
        msg = "Docker does not say how the job ended"
        raise EngineError(msg, where=job.title, hint="run again")
    if watch.code != 0:
        return Ending.FAILED, watch.code, exit_message(program, watch.code, last)
    problem = output_problem(job)
    return (Ending.NO_OUTPUT, 0, f"{program} succeeded, but {problem}") if problem else (Ending.OK, 0, "done")


class _Watch:
    """One container from its start to its removal."""

    def __init__(self, container: Container) -> None:
        self.code: int | None = None
        self.stopped: Ending | None = None
        self.out_of_memory = False
        self.notes: list[str] = []
        self._container = container
        self._error: Exception | None = None

    def follow(self, stream: _Stream, transcript: Transcript, cancel: Cancel, deadline: float) -> None:
        """Copy output until the container ends; past the deadline or on cancellation kill it."""
        done, said = os.pipe()
        # The waiter owns its end of the pipe: a daemon that hangs may keep it waiting after we are gone.
        threading.Thread(target=self._wait, args=(said,), name="llamatrix-wait", daemon=True).start()
        give_up = deadline + _KILL_SECONDS
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(stream, selectors.EVENT_READ)
                selector.register(done, selectors.EVENT_READ)
                while done in selector.get_map():
                    for key, _ in selector.select(_STEP):
                        if key.fd == done:
                            selector.unregister(done)
                        elif not stream.copy(transcript):
                            selector.unregister(stream)
                    now = time.monotonic()
                    if self.stopped is None and (cancel.is_set() or now >= deadline):
                        self.stopped = Ending.CANCELLED if cancel.is_set() else Ending.TIMED_OUT
                        give_up = now + _KILL_SECONDS
                        self._kill()
                    elif now >= give_up:
                        self.notes.append(f"Docker did not end container {self._container.name} in time")
                        return
                until = time.monotonic() + _DRAIN_SECONDS
                while stream in selector.get_map() and time.monotonic() < until:
                    if selector.select(_STEP) and not stream.copy(transcript):
                        selector.unregister(stream)
        finally:
            os.close(done)
            stream.finish(transcript)
        if self._error is not None:
            raise self._error

    def _wait(self, said: int) -> None:
        try:
            self.code = int(self._container.wait(timeout=None)["StatusCode"])
        except Exception as error:  # noqa: BLE001 - whatever it is, the main thread raises it
            self._error = error
        finally:
            os.close(said)

    def _kill(self) -> None:
        from docker.errors import APIError  # noqa: PLC0415 - see connect

        try:
            self._container.kill()
        except APIError:
            # It ended by itself meanwhile, or was never started; removing it by force comes next anyway.
            return

    def inspect(self) -> None:
        """Ask how it ended."""
        self._container.reload()
        state = self._container.attrs.get("State", {})
        self.out_of_memory = bool(state.get("OOMKilled"))

    def remove(self) -> None:
        """Remove the container; a failure is told, not raised, and the next sweep tries again."""
        try:
            with _docker_errors("cannot remove the container"):
                _remove(self._container)
        except EngineError as error:
            self.notes.append(f"container {self._container.name} stays behind: {error.what}")


class _Stream:
    """The attached connection: frames of standard output and error, each cut into whole lines before they are mixed."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - the SDK gives a different object for each transport
        self._raw = raw
        self._data = bytearray()
        self._held: dict[int, bytes] = {}

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return int(self._raw.fileno())

    def copy(self, transcript: Transcript) -> bool:
        """Read once; False at the end of the output."""
        try:
            data = os.read(self.fileno(), 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._data += data
        while len(self._data) >= _FRAME_HEADER:
            size = int.from_bytes(self._data[4:_FRAME_HEADER], "big")
            if len(self._data) < _FRAME_HEADER + size:
                break
            source = self._data[0]
            text = self._held.pop(source, b"") + self._data[_FRAME_HEADER : _FRAME_HEADER + size]
            del self._data[: _FRAME_HEADER + size]
            cut = text.rfind(b"\n") + 1
            if len(text) - cut > _HELD_LIMIT:
                cut = len(text)
            transcript.feed(text[:cut])
            self._held[source] = text[cut:]
        return bool(data)

    def finish(self, transcript: Transcript) -> None:
        """Hand over unfinished lines."""
        for text in self._held.values():
            transcript.feed(text)
        self._held.clear()

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()
        response = getattr(self._raw, "_response", None)
        if response is not None:
            response.close()


def _attach(container: Container) -> _Stream:
    return _Stream(container.attach_socket(params={"stdout": 1, "stderr": 1, "stream": 1}))


def _remove(container: Container) -> None:
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see connect

    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if "already in progress" not in str(error):
            raise


@contextmanager
def _docker_errors(what: str, *, where: str | None = None, hint: str | None = None) -> Iterator[None]:
    """Turn whatever the SDK and its HTTP library raise into one error a person can act on."""
    from docker.errors import APIError, DockerException  # noqa: PLC0415 - see connect
    from requests.exceptions import RequestException  # noqa: PLC0415 - see connect
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - see connect

    def fail(error: Exception, why: str) -> NoReturn:
        raise EngineError(f"{what}: {why}", where=where, hint=hint) from error

    try:
        yield
    except APIError as error:
        fail(error, str(error.explanation or error))
    except (DockerException, RequestException, HTTPError, OSError, ValueError, KeyError) as error:
        fail(error, str(error) or type(error).__name__)
