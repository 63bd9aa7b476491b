"""What publishing needs of GitHub: one method for each request, no retries, and one exception for every failure.

The real one is ``client.py`` (PyGithub); a dry run has its own in ``rehearsed.py``. Whoever calls decides about
retries, since a request that failed may have done its work: look first, then decide.
"""

from __future__ import annotations

__all__ = ["Fault", "Remote", "RemoteAsset", "RemoteError", "RemoteRelease", "RemoteRepository"]

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Fault(StrEnum):
    """What kind of failure a request had, as far as it decides what to do next."""

    NETWORK = "no connection"  # reset, refused, broken in the middle: it may have been carried out
    TIMEOUT = "no answer in time"  # the same
    SERVER = "server error"  # 5xx: the same
    GARBLED = "an answer that cannot be read"  # the same
    RATE_LIMITED = "rate limited"  # 403 or 429 of a limit: not carried out, wait and try again
    UNAUTHORISED = "the token was not accepted"  # 401: never retried
    FORBIDDEN = "not permitted"  # 403: never retried
    NOT_FOUND = "not found"  # 404
    ALREADY_EXISTS = "already exists"  # 422 already_exists: look, replace
    IMMUTABLE = "the release is immutable"  # 422 or 403 of an immutable release: never retried
    INVALID = "refused as invalid"  # any other 4xx: never retried

    @property
    def ambiguous(self) -> bool:
        """Whether the request may have been carried out all the same."""
        return self in {Fault.NETWORK, Fault.TIMEOUT, Fault.SERVER, Fault.GARBLED}

    @property
    def temporary(self) -> bool:
        """Whether trying again later can help."""
        return self.ambiguous or self is Fault.RATE_LIMITED


class RemoteError(Exception):
    """A request failed. ``retry_after`` is seconds the server asked us to wait, None if it did not say.

    ``hint`` is what a person can do about it, None where the kind of fault says enough.
    """

    def __init__(  # noqa: PLR0913  what decides about the next step, each by name
        self,
        fault: Fault,
        request: str,
        what: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        """``request`` names the call for people (``POST /repos/o/r/releases``); ``what`` is one line, never a body."""
        super().__init__(f"{request}: {what}")
        self.fault = fault
        self.request = request
        self.what = what
        self.status = status
        self.retry_after = retry_after
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteRepository:
    """The repository as the token sees it; ``clock_skew`` is the server's clock minus ours, in seconds.

    ``can_push`` is False where GitHub says so. Of an app's token (GITHUB_TOKEN is one) it does not: trying will tell.
    """

    full_name: str
    private: bool
    default_branch: str
    can_push: bool
    clock_skew: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteAsset:
    """One asset as listed. ``digest`` is ``sha256:<hex>`` or None; ``state`` is ``uploaded`` when it is complete."""

    id: int
    name: str
    size: int
    state: str
    digest: str | None
    download_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteRelease:
    """One release as listed; its assets are asked for apart, since the release itself hides unfinished ones."""

    id: int
    tag: str
    name: str
    body: str
    draft: bool
    prerelease: bool
    immutable: bool
    url: str


class Remote(Protocol):
    """One repository's releases. Every method raises RemoteError, and nothing else, when the request fails.

    A method is one request (lists: one for each page of 100). None of them retries. ``where`` is shown to people.
    """

    where: str

    def repository(self) -> RemoteRepository:
        """Give the repository and what the token may do with it."""
        ...

    def tag_commit(self, tag: str) -> str | None:
        """Give the commit a tag leads to, annotated tags peeled; None if there is no such tag."""
        ...

    def immutable_releases(self) -> bool | None:
        """Tell whether published releases are locked here; None if the token may not ask."""
        ...

    def releases(self) -> tuple[RemoteRelease, ...]:
        """List every release, drafts included, newest first."""
        ...

    def release(self, release_id: int) -> RemoteRelease | None:
        """Give one release by its number, or None."""
        ...

    def release_by_tag(self, tag: str) -> RemoteRelease | None:
        """Give the published release of a tag, or None; drafts are never found this way."""
        ...

    def create_draft(self, *, tag: str, commit: str, name: str, body: str, prerelease: bool) -> RemoteRelease:
        """Make a new draft."""
        ...

    def edit_draft(self, release_id: int, *, name: str, body: str, prerelease: bool) -> RemoteRelease:
        """Change a draft's text; it stays a draft."""
        ...

    def publish(self, release_id: int, *, name: str, body: str, prerelease: bool, latest: bool) -> RemoteRelease:
        """Make a draft public."""
        ...

    def delete_release(self, release_id: int) -> None:
        """Delete a draft; one that is not there is fine."""
        ...

    def assets(self, release_id: int) -> tuple[RemoteAsset, ...]:
        """List a release's assets, unfinished ones included, all pages."""
        ...

    def upload(self, release_id: int, *, name: str, path: Path, size: int, seconds: float) -> RemoteAsset:
        """Stream one file. ``seconds`` is the whole budget: when it is over the connection is cut (Fault.TIMEOUT)."""
        ...

    def delete_asset(self, asset_id: int) -> None:
        """Delete one asset; one that is not there is fine."""
        ...

    def download(self, asset: RemoteAsset, *, seconds: float) -> Iterator[bytes]:
        """Stream one asset's content; ``seconds`` is the whole budget."""
        ...
