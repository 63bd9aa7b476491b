"""GitHub's JSON as we need it: the fields we read must be there and be right, all others may be anything."""

from __future__ import annotations

__all__ = ["Asset", "Immutable", "Numbered", "Permissions", "Ref", "Release", "Repository", "TagObject", "Target"]

from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from release.github.remote import RemoteAsset, RemoteRelease

Id = Annotated[int, Meta(ge=1)]
Sha = Annotated[str, Meta(pattern="^[0-9a-f]{40}([0-9a-f]{24})?$")]


class Permissions(Struct, frozen=True):
    """What the token's owner may do."""

    admin: bool = False
    maintain: bool = False
    push: bool = False


class Repository(Struct, frozen=True):
    """A repository."""

    full_name: str
    private: bool
    default_branch: str
    permissions: Permissions | None = None


class Target(Struct, frozen=True):
    """What a tag points at."""

    type: str
    sha: Sha


class Ref(Struct, frozen=True):
    """A tag by its name."""

    ref: str
    object: Target


class TagObject(Struct, frozen=True):
    """An annotated tag."""

    object: Target


class Immutable(Struct, frozen=True):
    """The setting for immutable releases."""

    enabled: bool


class Release(Struct, frozen=True):
    """A release; older servers know of no immutable ones."""

    id: Id
    tag_name: str
    draft: bool
    prerelease: bool
    html_url: str
    name: str | None = None
    body: str | None = None
    upload_url: str | None = None
    immutable: bool | None = None

    def remote(self) -> RemoteRelease:
        """Give it as the publisher knows it."""
        return RemoteRelease(
            id=self.id,
            tag=self.tag_name,
            name=self.name or "",
            # GitHub stores text as a browser's form sends it.
            body=(self.body or "").replace("\r\n", "\n"),
            draft=self.draft,
            prerelease=self.prerelease,
            immutable=self.immutable is True,
            url=self.html_url,
        )


class Asset(Struct, frozen=True):
    """An asset; one from before 2025 has no digest."""

    id: Id
    name: str
    size: Annotated[int, Meta(ge=0)]
    state: str
    browser_download_url: str
    digest: str | None = None

    def remote(self) -> RemoteAsset:
        """Give it as the publisher knows it."""
        return RemoteAsset(
            id=self.id,
            name=self.name,
            size=self.size,
            state=self.state,
            digest=self.digest,
            download_url=self.browser_download_url,
        )


Numbered = TypeVar("Numbered", Release, Asset)
