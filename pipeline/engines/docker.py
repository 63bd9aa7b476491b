"""The docker engine: one hardened container per job.

A job has no network unless it asks for it, no capabilities, no new privileges, a read-only root file system, limits on
memory, processors and processes, and an unprivileged user. Its folders are bound at ``/llamatrix/<name>``; nothing of
the caller's environment reaches it. Output comes over an attached connection made before the start, so that neither
the first nor the last line is lost and the rotation of Docker's own log does not matter.

A container outlives a tool that is killed with SIGKILL; it is labelled with its store and its owner, and the next run
of the same store sweeps it. Access to Docker's socket is access to root, so it is never bound into a job.
"""

from __future__ import annotations

__all__ = ["DockerEngine", "connect", "store_label"]

import hashlib
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from pipeline.engines.base import Ending, JobResult
from pipeline.engines.container import Watch, attach, docker_errors, remove_container
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
from pipeline.engines.select import MINIMUM_API
from pipeline.engines.transcript import Transcript
from pipeline.errors import EngineError
from pipeline.model import EngineName

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docker import DockerClient
    from docker.models.containers import Container

    from pipeline.engines.base import Cancel, Job, LineSink

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_API_SECONDS = 60


def connect(endpoint: str | None = None) -> DockerClient:
    """Open a client for ``endpoint``, or for what the environment names."""
    import docker  # noqa: PLC0415 - takes a fifth of a second, which a run on the host need not pay

    with docker_errors("the Docker engine does not answer", hint="start Docker, or use --engine host"):
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
        """Take over ``client``, or connect as the environment says; refuse an engine that is too old or not Linux."""
        self._store = store
        self.client = client if client is not None else connect()
        self._pids_limit = pids_limit
        self._ownership = Ownership()
        self._labels = {
            "llamatrix.store": store_label(store),
            "llamatrix.run": uuid.uuid4().hex[:12],
            "llamatrix.pid": str(os.getpid()),
            "llamatrix.owner": this_process(),
        }
        try:
            with docker_errors("the Docker engine does not answer", hint="start Docker, or use --engine host"):
                version = self.client.version()
                info = self.client.info()
            self.version = str(version.get("Version", "unknown"))
            _check_version(version)
        except EngineError:
            self.client.close()
            raise
        self._processors = int(info.get("NCPU", 1))
        options = {part.partition(",")[0] for part in info.get("SecurityOptions") or ()}
        # Rootless: the container's root is the caller. A remapping daemon: ids inside would not be the caller's.
        self._user = "0:0" if "name=rootless" in options else Ownership.user()
        self._userns = "host" if "name=userns" in options else None

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
                watch = self._contain(job, self._arguments(job, argv, seen), transcript, cancel, started)
            finally:
                self._ownership.take_back(writable)
            ending, code, message = _judge(job, watch, transcript.last)
            for note in watch.notes:
                transcript.note(f"[llamatrix] {note}")
            seconds = time.monotonic() - started
            return JobResult(ending=ending, exit_code=code, seconds=seconds, message=message, tail=transcript.tail)

    def _contain(
        self, job: Job, arguments: dict[str, Any], transcript: Transcript, cancel: Cancel, started: float
    ) -> Watch:
        with docker_errors("the Docker engine failed the job", where=job.title, hint="is Docker still running?"):
            container = self._create(job, arguments)
            watch = Watch(container)
            try:
                stream = attach(container)
                try:
                    container.start()
                    watch.follow(stream, transcript, cancel, started + job.deadline)
                finally:
                    stream.close()
                watch.inspect()
            finally:
                watch.remove()
        return watch

    def _arguments(self, job: Job, argv: list[str], seen: dict[str, str]) -> dict[str, Any]:
        from docker.types import LogConfig, Mount, Ulimit  # noqa: PLC0415 - see connect

        user, _, group = self._user.partition(":")
        return {
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
            # Only what lowers a limit: an engine that is itself limited cannot raise any, and the start would fail.
            "ulimits": [Ulimit(name="core", soft=0, hard=0)],
            "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "1"}),
            "healthcheck": {"test": ["NONE"]},
            "init": True,
        }

    def _create(self, job: Job, arguments: dict[str, Any]) -> Container:
        from docker.errors import ImageNotFound  # noqa: PLC0415 - see connect

        try:
            return self.client.containers.create(**arguments)
        except ImageNotFound as error:
            msg = f"there is no image {job.image} in this Docker engine"
            raise EngineError(msg, where=job.title, hint="run again: images are made before the jobs") from error

    def sweep(self) -> tuple[str, ...]:
        """Remove containers of this store whose run is dead."""
        removed = []
        with docker_errors("cannot look for leftovers in the Docker engine"):
            for container in self._labelled("llamatrix.store"):
                if is_dead(container.labels.get("llamatrix.owner", "")):
                    remove_container(container)
                    removed.append(f"container {container.name}")
        return tuple(removed)

    def close(self) -> None:
        """Remove what this run could not remove before, and drop the connection."""
        try:
            with docker_errors("cannot look for leftovers in the Docker engine"):
                for container in self._labelled("llamatrix.run"):
                    remove_container(container)
        except EngineError:
            # Docker is gone; the next run of this store sweeps.
            return
        finally:
            self.client.close()

    def _labelled(self, label: str) -> list[Container]:
        wanted = f"{label}={self._labels[label]}"
        return list(self.client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True))


def _check_version(version: Mapping[str, Any]) -> None:
    api = str(version.get("ApiVersion", "0.0"))
    if tuple(int(part) for part in api.split(".")) < MINIMUM_API:
        wanted = ".".join(map(str, MINIMUM_API))
        msg = f"the Docker engine {version.get('Version')} is too old: its API is {api}, {wanted} is needed"
        raise EngineError(msg, hint="install Docker 20.10 or newer, or use --engine host")
    if version.get("Os", "linux") != "linux":
        msg = f"the Docker engine runs {version.get('Os')} containers, Linux is needed"
        raise EngineError(msg, hint="switch Docker to Linux containers, or use --engine host")


def _judge(job: Job, watch: Watch, last: str) -> tuple[Ending, int | None, str]:
    program = job.argv[0].rpartition("/")[2]
    if watch.stopped is not None:
        return watch.stopped, None, stop_message(job, watch.stopped, last, left="; ".join(watch.notes) or None)
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
