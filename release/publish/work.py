"""What every step of publishing shares: the sealed release, the connection, the patience, the state and the voice."""

from __future__ import annotations

__all__ = ["OvertakenError", "Work", "gone", "require_draft"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from release.errors import PublishError
from release.github.remote import Remote, RemoteAsset, RemoteRelease
from release.github.retry import Patience
from release.model import Sealed
from release.publish.comparison import Comparison, listed
from release.publish.state import StateFile


class OvertakenError(Exception):
    """The release was published while we worked on it: by another publisher who took up our draft, or by hand."""

    def __init__(self, release: RemoteRelease) -> None:
        """Keep what is public now; whoever catches this compares it."""
        super().__init__(release.url)
        self.release = release


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One run of publishing.

    ``strays`` are assets of our own uploads that GitHub stored under another name, and that are still to be deleted.
    """

    sealed: Sealed
    remote: Remote
    patience: Patience
    say: Callable[[str], None]
    state: StateFile
    comparison: Comparison
    strays: set[int] = field(default_factory=set)

    @classmethod
    def of(
        cls, sealed: Sealed, remote: Remote, *, patience: Patience, say: Callable[[str], None], state: StateFile
    ) -> Work:
        """Put it together."""
        comparison = Comparison(sealed=sealed, remote=remote, patience=patience, say=say)
        return cls(sealed=sealed, remote=remote, patience=patience, say=say, state=state, comparison=comparison)

    @property
    def where(self) -> str:
        """The release, as errors name it."""
        return f"{self.sealed.id.repo} {self.sealed.id.tag}"

    def assets(self, release_id: int, *, remote: Remote | None = None) -> Mapping[str, RemoteAsset]:
        """List what a release holds, tried again while that can help."""
        other = remote or self.remote
        return listed(self.patience.read(lambda: other.assets(release_id), what="list the assets"), self.where)


def require_draft(work: Work, release_id: int) -> RemoteRelease:
    """Look, with one request, that our draft still is one: right before each write, so that nothing public is touched.

    Raises:
        OvertakenError: It is public by now, or gone because another one of the tag is.
        PublishError: It is gone.
    """
    now = work.remote.release(release_id)
    if now is None:
        other = work.remote.release_by_tag(work.sealed.id.tag)
        if other is not None:
            raise OvertakenError(other)
        raise gone(work, release_id)
    if not now.draft:
        raise OvertakenError(now)
    return now


def gone(work: Work, release_id: int) -> PublishError:
    """Make the error for a draft that somebody deleted under our hands; the next run makes a new one."""
    work.state.forget_draft()
    msg = f"our draft {release_id} is gone: somebody deleted it"
    return PublishError(msg, where=work.where, hint="if no other run is at work, run again: it makes a new draft")
