"""One process that publishes: ``python -m benchmarks.publisher FOLDER ADDRESS STATE [--stop]`` prints what it took.

``--stop``: the stand-in forgets large bodies, so there is nothing to look at from outside once the release is public.
"""

from __future__ import annotations

__all__ = ["Taken"]

import contextlib
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from benchmarks.memory import peak_megabytes
from benchmarks.parcels import read_release
from benchmarks.standin import TOKEN
from release.errors import VerifyError
from release.github.client import GitHubRemote, connect
from release.github.remote import Remote, RemoteAsset, RemoteRelease
from release.github.retry import Budget, Patience
from release.publish.barrier import VOUCHERS
from release.publish.publisher import publish

_BUDGET = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Seconds and MB. ``upload``: from the draft that was just made to the answer to the last upload."""

    upload: float
    outside: float
    whole: float
    peak: float
    uploads: int


class _PublicError(Exception):
    """It is public: this is as far as it goes without the bodies."""


class _Timed:
    """A connection that remembers when the draft was there, and when the last upload was answered."""

    def __init__(self, remote: GitHubRemote) -> None:
        self.remote = remote
        self.drafted = self.uploaded = 0.0
        self.uploads = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.remote, name)

    def create_draft(self, *, tag: str, commit: str, name: str, body: str, prerelease: bool) -> RemoteRelease:
        made = self.remote.create_draft(tag=tag, commit=commit, name=name, body=body, prerelease=prerelease)
        self.drafted = time.perf_counter()
        return made

    def upload(self, release_id: int, *, name: str, path: Path, size: int, seconds: float) -> RemoteAsset:
        answer = self.remote.upload(release_id, name=name, path=path, size=size, seconds=seconds)
        self.uploaded = time.perf_counter()
        self.uploads += 1
        return answer


class _Outside:
    """A stranger's connection that remembers when it was first asked; it may refuse to look at all."""

    def __init__(self, remote: GitHubRemote, *, stop: bool) -> None:
        self.remote = remote
        self.stop = stop
        self.asked = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self.remote, name)

    def release_by_tag(self, tag: str) -> RemoteRelease | None:
        self.asked = self.asked or time.perf_counter()
        if self.stop:
            raise _PublicError
        return self.remote.release_by_tag(tag)


def main(folder: Path, address: str, state: Path, *, stop: bool) -> Taken:
    """Publish, and say how long it took."""
    sealed = read_release(folder)
    timed = _Timed(connect(api=address, repo=sealed.id.repo, token=TOKEN))
    outside = _Outside(connect(api=address, repo=sealed.id.repo, token=None), stop=stop)
    wanted = {asset.name: asset.sha256 for asset in sealed.assets if asset.kind in VOUCHERS}

    def verify(there: Path) -> None:
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in there.iterdir()}
        if found != wanted:
            raise VerifyError(["what came back is not what was sent"], where=str(there))

    started = time.perf_counter()
    with contextlib.suppress(_PublicError):
        publish(
            sealed,
            cast("Remote", timed),
            anonymous=cast("Remote", outside),
            state=state,
            patience=Patience(budget=Budget(_BUDGET)),
            say=lambda _: None,
            verifier=verify,
        )
    ended = time.perf_counter()
    return Taken(
        upload=timed.uploaded - timed.drafted,
        outside=ended - outside.asked,
        whole=ended - started,
        peak=peak_megabytes(),
        uploads=timed.uploads,
    )


if __name__ == "__main__":
    folder, address, state, *more = sys.argv[1:]
    print(json.dumps(asdict(main(Path(folder), address, Path(state), stop="--stop" in more))))
