"""What the fake GitHub knows: one repository, its tags and releases, and a log of every change that was made to them.

Plain records: tests read them and assert on them. The rules by which requests change them are in ``actions.py``.
"""

from __future__ import annotations

__all__ = [
    "HEAD",
    "NO_TOKEN",
    "PUSH_TOKEN",
    "READ_TOKEN",
    "Access",
    "Asset",
    "Change",
    "Limits",
    "Mutation",
    "Release",
    "State",
    "Stored",
    "TagObject",
    "Token",
]

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from tests.github.bodies import Body

PUSH_TOKEN = "fake-push-token"  # may write releases
READ_TOKEN = "fake-read-token"  # sees what everybody sees
NO_TOKEN = "fake-outsider-token"  # accepted, but sees no private repository
HEAD = "1f" * 20  # the commit at the tip of the default branch


class Access(StrEnum):
    """What a token may do in the repository."""

    PUSH = "push"
    READ = "read"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """Whose token it is. Classic tokens show ``scopes``; None is a fine-grained one, refused with 403 and not 404.

    ``workflows`` and ``administration`` are permissions of their own; the second one reads the immutability setting.
    """

    login: str
    access: Access
    scopes: tuple[str, ...] | None = None
    workflows: bool = False
    administration: bool = True

    @property
    def can_push(self) -> bool:
        """Whether it may write releases."""
        scoped = self.scopes is None or not {"repo", "public_repo"}.isdisjoint(self.scopes)
        return self.access is Access.PUSH and scoped


@dataclass(kw_only=True, slots=True)
class Limits:
    """GitHub's limits; tests lower them instead of sending gigabytes. ``writes_per_minute`` None: not enforced."""

    asset_size: int = 2**31
    assets: int = 1000
    body: int = 125_000
    writes_per_minute: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TagObject:
    """What a reference or an annotated tag points at: ``commit`` or ``tag``."""

    type: str
    sha: str


@dataclass(kw_only=True, slots=True)
class Asset:
    """One asset as GitHub would describe it; ``body`` is what really arrived, None while it is a starter.

    ``listed`` False: it is answered with 201 and is gone at the same moment.
    """

    id: int
    name: str
    label: str
    state: str
    content_type: str
    size: int
    digest: str | None
    uploader: str
    created_at: float
    updated_at: float
    body: Body | None = None
    downloads: int = 0
    listed: bool = True

    @property
    def complete(self) -> bool:
        """Whether GitHub shows it inside the release and lets it be downloaded."""
        return self.state == "uploaded" and self.listed


@dataclass(kw_only=True, slots=True)
class Release:
    """One release, draft or published; ``author`` is who made it."""

    id: int
    tag: str
    target: str
    name: str | None
    body: str | None
    draft: bool
    prerelease: bool
    author: str
    created_at: float
    updated_at: float
    published_at: float | None = None
    immutable: bool = False
    assets: list[Asset] = field(default_factory=list)

    def asset(self, name: str) -> Asset:
        """Give the asset of that name; KeyError when there is none."""
        for asset in self.assets:
            if asset.name == name:
                return asset
        raise KeyError(name)

    @property
    def names(self) -> set[str]:
        """The names of all assets, unfinished ones included."""
        return {asset.name for asset in self.assets}


class Change(StrEnum):
    """What was done."""

    CREATE = "create release"
    EDIT = "edit release"
    PUBLISH = "publish"
    DELETE_RELEASE = "delete release"
    UPLOAD = "upload"
    STARTER = "starter left"
    EDIT_ASSET = "edit asset"
    DELETE_ASSET = "delete asset"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One asset at a moment: what is said of it, and the hash of the bytes that are there."""

    name: str
    state: str
    size: int
    digest: str | None
    sha256: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """One change. ``public_*``: everybody could see the release before or after it; ``assets``: its assets after it.

    ``author`` made the release, ``actor`` made this change; ``request`` is the exchange's number, 0 for none.
    """

    number: int
    change: Change
    actor: str
    author: str
    request: int
    release: int
    tag: str
    asset: str | None
    public_before: bool
    public_after: bool
    assets: tuple[Stored, ...]


@dataclass(kw_only=True, slots=True)
class State:
    """The repository. Hold ``lock`` while changing it by hand when a client is running."""

    repo: str
    tokens: dict[str, Token]
    private: bool = False
    default_branch: str = "main"
    head: str = HEAD
    immutable_releases: bool = False
    enforced_by_owner: bool = False
    starter_on_interruption: bool = True
    limits: Limits = field(default_factory=Limits)
    tags: dict[str, TagObject] = field(default_factory=dict)
    tag_objects: dict[str, TagObject] = field(default_factory=dict)
    commits: set[str] = field(default_factory=set)
    commit_dates: dict[str, float] = field(default_factory=dict)
    workflow_commits: set[str] = field(default_factory=set)
    releases: dict[int, Release] = field(default_factory=dict)
    latest: int | None = None
    burned: set[str] = field(default_factory=set)
    history: list[Mutation] = field(default_factory=list)
    next_release: int = 1001
    next_asset: int = 500_001
    user_ids: dict[str, int] = field(default_factory=dict)
    skew: float = 0.0
    clock: Callable[[], float] = time.time
    past: list[dict[int, Release]] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def now(self) -> float:
        """The server's clock."""
        return self.clock() + self.skew

    def stamp(self, seconds: float | None) -> str | None:
        """Write a time the way the API does."""
        if seconds is None:
            return None
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def add_tag(self, name: str, commit: str, *, annotated: bool = False, date: float | None = None) -> None:
        """Put a tag at a commit, through a tag object when it is annotated."""
        self.commits.add(commit)
        if date is not None:
            self.commit_dates[commit] = date
        target = TagObject(type="commit", sha=commit)
        if annotated:
            sha = f"{len(self.tag_objects) + 1:04x}" + "ab" * 18
            self.tag_objects[sha] = target
            target = TagObject(type="tag", sha=sha)
        self.tags[name] = target

    def peeled(self, tag: str) -> str | None:
        """The commit a tag leads to."""
        target = self.tags.get(tag)
        while target is not None and target.type == "tag":
            target = self.tag_objects.get(target.sha)
        return None if target is None else target.sha

    def published(self, tag: str | None = None) -> list[Release]:
        """Every release that everybody sees, oldest first."""
        return [r for r in self._of(tag) if not r.draft]

    def drafts(self, tag: str | None = None) -> list[Release]:
        """Every draft, oldest first."""
        return [r for r in self._of(tag) if r.draft]

    def writes(self, actor: str | None = None) -> list[Mutation]:
        """What was changed, by one actor or by all of them."""
        return [m for m in self.history if actor is None or m.actor == actor]

    def find_asset(self, asset_id: int) -> tuple[Release, Asset] | None:
        """Give an asset and its release."""
        for release in self.releases.values():
            for asset in release.assets:
                if asset.id == asset_id:
                    return release, asset
        return None

    def log(  # noqa: PLR0913 - the facts of one change, each by name
        self, change: Change, release: Release, *, actor: str, before: bool, request: int = 0, asset: str | None = None
    ) -> None:
        """Note a change that was just made; ``before`` says whether the release was public before it."""
        gone = change is Change.DELETE_RELEASE
        self.history.append(
            Mutation(
                number=len(self.history) + 1,
                change=change,
                actor=actor,
                author=release.author,
                request=request,
                release=release.id,
                tag=release.tag,
                asset=asset,
                public_before=before,
                public_after=not release.draft and not gone,
                assets=tuple(_stored(release.assets)),
            )
        )

    def remember(self) -> None:
        """Keep a copy of the releases as they are, for reads that lag behind; free unless a fault asks for it."""
        if self.past is not None:
            self.past.append({number: _copy(release) for number, release in self.releases.items()})

    def lagging(self, behind: int) -> dict[int, Release]:
        """The releases as they were before the last ``behind`` changes."""
        if not self.past:
            return self.releases
        return self.past[max(len(self.past) - behind, 0)]

    def _of(self, tag: str | None) -> list[Release]:
        return sorted((r for r in self.releases.values() if tag is None or r.tag == tag), key=lambda r: r.id)


def _stored(assets: Iterable[Asset]) -> Iterable[Stored]:
    for asset in assets:
        yield Stored(
            name=asset.name,
            state=asset.state,
            size=asset.size,
            digest=asset.digest,
            sha256=None if asset.body is None else asset.body.sha256,
        )


def _copy(release: Release) -> Release:
    return dataclasses.replace(release, assets=[dataclasses.replace(asset) for asset in release.assets])
