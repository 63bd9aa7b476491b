"""GitHub's releases in memory: drafts, lagging lists, unfinished uploads, faults at any request, and a clock.

``FakeHub`` is the forge and outlives every run; ``FakeRemote`` is one program's connection to it. What must never
happen (a published release changed, a draft of others touched) is written into ``FakeHub.crimes`` as it happens.
"""

from __future__ import annotations

__all__ = ["Fake", "FakeClock", "FakeHub", "FakeRemote", "Killed", "Plan", "Trouble"]

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar, cast

from release.github.remote import Fault, RemoteAsset, RemoteError, RemoteRelease, RemoteRepository

T = TypeVar("T")

WRITES = frozenset({"create_draft", "edit_draft", "publish", "delete_release", "upload", "delete_asset"})


class Killed(BaseException):
    """What SIGKILL looks like from inside one process: nothing of ours may catch it and go on."""


class FakeClock:
    """Time that passes when somebody sleeps, and a little with every request."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


class Trouble(StrEnum):
    """What can go wrong with one request."""

    SERVER_BEFORE = "502 before"
    SERVER_AFTER = "502 after"
    RESET_BEFORE = "reset before"
    RESET_AFTER = "reset after"
    GARBLED = "garbled answer"
    HANG = "hang"
    LIMITED = "429 without a header"
    LIMITED_SOON = "429 with Retry-After"
    KILL_BEFORE = "killed before"
    KILL_AFTER = "killed after"
    STARTER = "502 and a starter asset"
    WRONG_BYTES = "stored wrong bytes"
    WRONG_SIZE = "stored too little"
    WRONG_LOST = "stored wrong bytes, answer lost"
    NULL_DIGEST = "no digest"
    NULL_WRONG = "no digest and wrong bytes"
    RENAMED = "stored under another name"
    STALE = "lists lag behind"
    UNAUTHORISED = "401"
    FORBIDDEN = "403"
    INVALID = "422"
    NOT_FOUND = "404"


_BEFORE = {
    Trouble.SERVER_BEFORE: Fault.SERVER,
    Trouble.RESET_BEFORE: Fault.NETWORK,
    Trouble.LIMITED: Fault.RATE_LIMITED,
    Trouble.LIMITED_SOON: Fault.RATE_LIMITED,
    Trouble.UNAUTHORISED: Fault.UNAUTHORISED,
    Trouble.FORBIDDEN: Fault.FORBIDDEN,
    Trouble.INVALID: Fault.INVALID,
    Trouble.NOT_FOUND: Fault.NOT_FOUND,
}
_AFTER = {
    Trouble.SERVER_AFTER: Fault.SERVER,
    Trouble.RESET_AFTER: Fault.NETWORK,
    Trouble.GARBLED: Fault.GARBLED,
    Trouble.HANG: Fault.TIMEOUT,
    Trouble.WRONG_LOST: Fault.SERVER,
}


@dataclass(kw_only=True)
class Stored:
    """One asset as the forge keeps it."""

    id: int
    name: str
    data: bytes
    state: str = "uploaded"
    digest: str | None = None
    size: int | None = None

    def listed(self) -> RemoteAsset:
        size = len(self.data) if self.size is None else self.size
        url = f"https://example.test/{self.id}/{self.name}"
        return RemoteAsset(
            id=self.id, name=self.name, size=size, state=self.state, digest=self.digest, download_url=url
        )


@dataclass(kw_only=True)
class Fake:
    """One release as the forge keeps it."""

    release: RemoteRelease
    assets: dict[int, Stored] = field(default_factory=dict)
    foreign: bool = False

    def names(self) -> dict[str, str]:
        """Name to SHA-256 of what really lies there."""
        return {
            asset.name: hashlib.sha256(asset.data).hexdigest()
            for asset in self.assets.values()
            if asset.state == "uploaded"
        }


@dataclass(kw_only=True)
class Plan:
    """What goes wrong at which request (counted from 1 over the life of the plan), or at every one of a kind."""

    at: dict[int, Trouble] = field(default_factory=dict)
    always: dict[str, Trouble] = field(default_factory=dict)
    once: dict[str, list[Trouble]] = field(default_factory=dict)
    meanwhile: dict[int, Callable[[], None]] = field(default_factory=dict)
    lag: int = 3

    def take(self, number: int, method: str) -> Trouble | None:
        if method in self.always:
            return self.always[method]
        if self.once.get(method):
            return self.once[method].pop(0)
        return self.at.get(number)


class FakeHub:
    """The forge: everything that survives a killed publisher."""

    def __init__(self, *, repo: str = "o/r", clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.repository = RemoteRepository(
            full_name=repo, private=False, default_branch="main", can_push=True, clock_skew=0.0
        )
        self.tags: dict[str, str | None] = {}
        self.immutable: bool | None = True
        self.releases: dict[int, Fake] = {}
        self.crimes: list[str] = []
        self.requests: list[str] = []
        self.count = 0
        self.plan = Plan()
        self.base = 0
        self._ids = 0
        self._lag_until = 0
        self._shown: dict[object, tuple[object, ...]] = {}
        self.good: dict[str, list[dict[str, str]]] = {}

    # What tests arrange and read. ``good`` maps a tag to what a release of it may hold.

    def arm(self, plan: Plan | None = None) -> None:
        """Let these things go wrong from the next request on, and nothing else."""
        self.plan = plan or Plan()
        self.base = self.count

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    def add(
        self,
        tag: str,
        *,
        body: str = "",
        draft: bool = True,
        foreign: bool = True,
        files: dict[str, bytes] | None = None,
    ) -> Fake:
        """Put a release there, as somebody else (or an earlier run) would have."""
        made = self._make(tag, body=body, prerelease=False, draft=draft)
        made.foreign = foreign
        for name, data in (files or {}).items():
            self._store(made, name, data)
        return made

    def published(self, tag: str) -> list[Fake]:
        return [each for each in self.releases.values() if each.release.tag == tag and not each.release.draft]

    def writes_since(self, count: int = 0) -> list[str]:
        """The writing requests after the first ``count`` requests."""
        return [request for request in self.requests[count:] if request.split()[0] in WRITES]

    # Inside.

    def _make(self, tag: str, *, body: str, prerelease: bool, draft: bool = True, name: str = "") -> Fake:
        number = self.next_id()
        release = RemoteRelease(
            id=number,
            tag=tag,
            name=name,
            body=body,
            draft=draft,
            prerelease=prerelease,
            immutable=bool(self.immutable) and not draft,
            url=f"https://example.test/releases/{number}",
        )
        made = self.releases[number] = Fake(release=release)
        return made

    def _store(self, release: Fake, name: str, data: bytes) -> Stored:
        number = self.next_id()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        stored = release.assets[number] = Stored(id=number, name=name, data=data, digest=digest)
        return stored

    def locate(self, asset_id: int) -> tuple[Fake, Stored] | None:
        for release in self.releases.values():
            if asset_id in release.assets:
                return release, release.assets[asset_id]
        return None

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let somebody else make requests in the middle of ours, with no faults of our plan."""
        plan, base = self.plan, self.base
        count = self.count
        try:
            yield
        finally:
            self.plan, self.base = plan, base + self.count - count

    def begin_lag(self) -> None:
        """From now on lists show what they showed before, for a few requests."""
        self._lag_until = self.count + self.plan.lag
        self._shown = {"releases": self._list_now(None)}
        for number in self.releases:
            self._shown[number] = self._list_now(number)

    def _list_now(self, release_id: int | None) -> tuple[object, ...]:
        if release_id is None:
            newest = sorted(self.releases.values(), key=lambda each: -each.release.id)
            return tuple(each.release for each in newest)
        found = self.releases.get(release_id)
        return tuple(each.listed() for each in found.assets.values()) if found else ()

    def listing(self, release_id: int | None) -> tuple[object, ...]:
        if self.count <= self._lag_until:
            return self._shown.get("releases" if release_id is None else release_id, ())
        return self._list_now(release_id)

    def accuse(self, release: Fake, deed: str) -> None:
        """Note what must never be done."""
        if release.foreign:
            self.crimes.append(f"{deed}: release {release.release.id} is not ours")
        elif not release.release.draft:
            self.crimes.append(f"{deed}: release {release.release.id} is published")

    def release_of(self, release_id: int, request: str) -> Fake:
        if release_id not in self.releases:
            raise RemoteError(Fault.NOT_FOUND, request, "404 Not Found", status=404)
        return self.releases[release_id]

    def make_public(self, made: Fake, request: str, changes: dict[str, object]) -> RemoteRelease:
        tag = made.release.tag
        changed = replace(made.release, draft=False, immutable=bool(self.immutable), **changes)  # type: ignore[arg-type]
        if changed == made.release:
            return changed  # of two publishers of the same draft the second one changes nothing
        self.accuse(made, "publish")
        if any(other is not made for other in self.published(tag)):
            raise RemoteError(Fault.ALREADY_EXISTS, request, "422 tag_name already_exists", status=422)
        if self.tags.get(tag) is None:
            self.crimes.append(f"publish: it would have made the tag {tag}")
        unfinished = any(each.state != "uploaded" for each in made.assets.values())
        if unfinished or (tag in self.good and made.names() not in self.good[tag]):
            self.crimes.append(f"publish: release {made.release.id} is not complete and correct")
        made.release = changed
        return made.release


class FakeRemote:
    """One connection; ``writer`` is False for the anonymous one, which sees no drafts and may write nothing."""

    def __init__(self, hub: FakeHub, *, writer: bool = True) -> None:
        self.hub = hub
        self.writer = writer
        self.where = "https://api.example.test/repos/o/r"

    def _carry(self, method: str, detail: object, work: Callable[[Trouble | None], T], *, seconds: float = 60.0) -> T:
        """Count one request, let go wrong what is planned for it, and do its work."""
        hub = self.hub
        hub.count += 1
        hub.clock.now += 0.1
        request = f"{method} {detail}"
        hub.requests.append(request)
        number = hub.count - hub.base
        if number in hub.plan.meanwhile:
            hub.plan.meanwhile[number]()
        trouble = hub.plan.take(number, method)
        if trouble is Trouble.KILL_BEFORE:
            raise Killed
        if method in WRITES and not self.writer:
            raise RemoteError(Fault.UNAUTHORISED, request, "401 Requires authentication", status=401)
        if trouble is Trouble.STALE:
            hub.begin_lag()
        if trouble in _BEFORE:
            wait = 30.0 if trouble is Trouble.LIMITED_SOON else None
            raise RemoteError(_BEFORE[trouble], request, str(trouble), retry_after=wait)
        result = work(trouble)
        if trouble is Trouble.KILL_AFTER:
            raise Killed
        if trouble is Trouble.STARTER:
            trouble = Trouble.SERVER_AFTER
        if trouble is Trouble.HANG:
            hub.clock.now += seconds
        if trouble in _AFTER:
            raise RemoteError(_AFTER[trouble], request, str(trouble))
        return result

    def _or_none(self, work: Callable[[], T | None]) -> T | None:
        """The real client makes None of a 404 where the protocol says so."""
        try:
            return work()
        except RemoteError as error:
            if error.fault is Fault.NOT_FOUND:
                return None
            raise

    # Reading.

    def repository(self) -> RemoteRepository:
        return self._carry("repository", "", lambda _: self.hub.repository)

    def tag_commit(self, tag: str) -> str | None:
        return self._or_none(lambda: self._carry("tag_commit", tag, lambda _: self.hub.tags.get(tag)))

    def immutable_releases(self) -> bool | None:
        return self._carry("immutable_releases", "", lambda _: self.hub.immutable)

    def releases(self) -> tuple[RemoteRelease, ...]:
        def work(_: Trouble | None) -> tuple[RemoteRelease, ...]:
            every = cast("tuple[RemoteRelease, ...]", self.hub.listing(None))
            return tuple(each for each in every if self.writer or not each.draft)

        return self._carry("releases", "", work)

    def release(self, release_id: int) -> RemoteRelease | None:
        def work(_: Trouble | None) -> RemoteRelease | None:
            found = self.hub.releases.get(release_id)
            return found.release if found and (self.writer or not found.release.draft) else None

        return self._or_none(lambda: self._carry("release", release_id, work))

    def release_by_tag(self, tag: str) -> RemoteRelease | None:
        def work(_: Trouble | None) -> RemoteRelease | None:
            return next((each.release for each in self.hub.published(tag)), None)

        return self._or_none(lambda: self._carry("release_by_tag", tag, work))

    def assets(self, release_id: int) -> tuple[RemoteAsset, ...]:
        def work(_: Trouble | None) -> tuple[RemoteAsset, ...]:
            self.hub.release_of(release_id, f"assets {release_id}")
            return cast("tuple[RemoteAsset, ...]", self.hub.listing(release_id))

        return self._carry("assets", release_id, work)

    def download(self, asset: RemoteAsset, *, seconds: float) -> Iterator[bytes]:
        def work(_: Trouble | None) -> bytes:
            found = self.hub.locate(asset.id)
            if found is None:
                raise RemoteError(Fault.NOT_FOUND, f"download {asset.name}", "404 Not Found", status=404)
            return found[1].data

        data = self._carry("download", asset.name, work, seconds=seconds)
        for start in range(0, len(data), 7):
            yield data[start : start + 7]

    # Writing.

    def create_draft(self, *, tag: str, commit: str, name: str, body: str, prerelease: bool) -> RemoteRelease:
        return self._carry(
            "create_draft",
            tag,
            lambda _: self.hub._make(tag, body=body, prerelease=prerelease, name=name).release,
        )

    def edit_draft(self, release_id: int, *, name: str, body: str, prerelease: bool) -> RemoteRelease:
        def work(_: Trouble | None) -> RemoteRelease:
            made = self.hub.release_of(release_id, f"edit_draft {release_id}")
            self.hub.accuse(made, "edit_draft")
            made.release = replace(made.release, name=name, body=body, prerelease=prerelease)
            return made.release

        return self._carry("edit_draft", release_id, work)

    def publish(self, release_id: int, *, name: str, body: str, prerelease: bool, latest: bool) -> RemoteRelease:
        def work(_: Trouble | None) -> RemoteRelease:
            request = f"publish {release_id}"
            made = self.hub.release_of(release_id, request)
            return self.hub.make_public(made, request, {"name": name, "body": body, "prerelease": prerelease})

        assert not (latest and prerelease)
        return self._carry("publish", release_id, work)

    def delete_release(self, release_id: int) -> None:
        def work(_: Trouble | None) -> None:
            found = self.hub.releases.get(release_id)
            if found is not None:
                self.hub.accuse(found, "delete_release")
                del self.hub.releases[release_id]

        self._or_none(lambda: self._carry("delete_release", release_id, work))

    def upload(self, release_id: int, *, name: str, path: Path, size: int, seconds: float) -> RemoteAsset:
        def work(trouble: Trouble | None) -> RemoteAsset:
            made = self.hub.release_of(release_id, f"upload {name}")
            if made.release.immutable:
                raise RemoteError(Fault.IMMUTABLE, f"upload {name}", "Cannot upload asset", status=422)
            if any(each.name == name for each in made.assets.values()):
                raise RemoteError(Fault.ALREADY_EXISTS, f"upload {name}", "422 already_exists", status=422)
            self.hub.accuse(made, "upload")
            stored = self.hub._store(made, name, path.read_bytes())
            match trouble:
                case Trouble.STARTER:
                    stored.data, stored.state, stored.digest = b"", "starter", None
                case Trouble.WRONG_BYTES | Trouble.WRONG_LOST:
                    stored.data = bytes(len(stored.data))
                    stored.digest = f"sha256:{hashlib.sha256(stored.data).hexdigest()}"
                case Trouble.WRONG_SIZE:
                    stored.data = stored.data[:-1]
                    stored.digest = f"sha256:{hashlib.sha256(stored.data).hexdigest()}"
                case Trouble.NULL_DIGEST:
                    stored.digest = None
                case Trouble.NULL_WRONG:
                    stored.data, stored.digest = bytes(len(stored.data)), None
                case Trouble.RENAMED:
                    stored.name = f"default.{name}"
                case _:
                    pass
            return stored.listed()

        return self._carry("upload", name, work, seconds=seconds)

    def delete_asset(self, asset_id: int) -> None:
        def work(_: Trouble | None) -> None:
            found = self.hub.locate(asset_id)
            if found is None:
                return
            release, stored = found
            self.hub.accuse(release, "delete_asset")
            good = [names.get(stored.name) for names in self.hub.good.get(release.release.tag, [])]
            if stored.state == "uploaded" and hashlib.sha256(stored.data).hexdigest() in good:
                self.hub.crimes.append(f"delete_asset: {stored.name} was complete and correct")
            del release.assets[asset_id]

        self._or_none(lambda: self._carry("delete_asset", asset_id, work))
