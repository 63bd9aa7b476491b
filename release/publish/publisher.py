"""From a sealed folder to exactly one published release; killed at any request and run again, it gets there."""

from __future__ import annotations

__all__ = ["Published", "publish"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from release.errors import ForeignReleaseError, GitHubError, PublishError
from release.github.remote import Fault, Remote, RemoteRelease
from release.github.retry import Patience, fault_of
from release.model import Sealed
from release.publish.assets import Moved, upload_assets
from release.publish.barrier import check_draft, settled_differences
from release.publish.draft import own_draft, remove_leftovers, retire_draft
from release.publish.going_public import go_public, published_release
from release.publish.limits import limit_problems
from release.publish.outside import verify_outside
from release.publish.state import Phase, State, StateFile
from release.publish.work import OvertakenError, Work, gone

_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What came of publishing. ``already``: it was public when we came, and nothing was written."""

    url: str
    id: int
    uploaded: tuple[str, ...]
    kept: tuple[str, ...]
    already: bool
    seconds: float


def publish(  # noqa: PLR0913  each by name, and each needed
    sealed: Sealed,
    remote: Remote,
    *,
    anonymous: Remote,
    state: Path,
    patience: Patience,
    say: Callable[[str], None],
    verifier: Callable[[Path], None],
    previous: str | None = None,
) -> Published:
    """Publish a sealed release, or finish what an earlier run began, or find that it is public already.

    Args:
        sealed: What to publish.
        remote: The repository's releases, with a token.
        anonymous: The same without one.
        state: Where to note how far we came.
        patience: All retries; its budget is the time for everything.
        say: Told what happens, one line at a time; during uploads also from another thread.
        verifier: Checks a folder that holds manifest.json, SHA256SUMS and their signatures, and raises
            VerifyError or SignatureError. It is called for the draft, and again for what is public.
        previous: The tag of the release whose manifest this one's version follows; only noted.

    Raises:
        ForeignReleaseError: The tag has a release or a draft that is not ours to touch.
        PublishError: The draft does not become what was sealed; nothing is public.
        GitHubError: GitHub refused or did not answer; run again.
        VerifyError: What is public is not what was sealed.
    """
    problems = limit_problems(sealed)
    if problems:
        raise PublishError("; ".join(problems), where=f"{sealed.id.repo} {sealed.id.tag}", hint="seal again")
    started = patience.budget.spent
    file = StateFile(state)
    with file.locked():
        file.begin(State.fresh(sealed, server=remote.where, previous=previous), say)
        work = Work.of(sealed, remote, patience=patience, say=say, state=file)
        release = published_release(work)
        already = release is not None
        moved = Moved(uploaded=(), kept=tuple(asset.name for asset in sealed.assets))
        if release is None:
            release, moved = _make_public(work, verifier)
        else:
            _compare(work, release)
            say(f"already published: {release.url}")
        if not (already and _finished(work, release)):
            work.state.update(phase=Phase.PUBLISHED, release_id=release.id)
            remove_leftovers(work, release)
            verify_outside(work, anonymous, release, verifier)
    return Published(
        url=release.url,
        id=release.id,
        uploaded=moved.uploaded,
        kept=moved.kept,
        already=already,
        seconds=patience.budget.spent - started,
    )


def _make_public(work: Work, verifier: Callable[[Path], None]) -> tuple[RemoteRelease, Moved]:
    """Bring the draft to completion and publish it."""
    draft = own_draft(work)
    if not draft.draft:
        # Published since we looked, by a run of ours elsewhere or by hand.
        _compare(work, draft)
        return draft, Moved(uploaded=(), kept=tuple(asset.name for asset in work.sealed.assets))
    moved = Moved(uploaded=(), kept=())
    patience, still = work.patience, partial(work.remote.release, draft.id)
    try:
        moved = upload_assets(work, draft.id)
        repaired = check_draft(work, draft.id, verifier)
        release = go_public(work, draft.id)
    except OvertakenError as error:
        release, repaired = error.release, ()
    except GitHubError as error:
        # Whatever was asked for is not found if the whole draft is not there any more.
        if fault_of(error) is not Fault.NOT_FOUND or patience.read(still, what="look at the draft") is not None:
            raise
        raise gone(work, draft.id) from error
    if release.id != draft.id or work.state.state.phase is not Phase.PUBLISHING:
        _compare(work, release)
        work.say(f"another publisher was faster, with the same bytes: {release.url}")
    if release.id != draft.id:
        retire_draft(work, draft)
    uploaded = {*moved.uploaded, *repaired}
    names = [asset.name for asset in work.sealed.assets]
    return release, Moved(
        uploaded=tuple(name for name in names if name in uploaded),
        kept=tuple(name for name in names if name not in uploaded),
    )


def _compare(work: Work, release: RemoteRelease) -> None:
    """Let a published release pass as ours only if every name and digest is equal; it is never touched either way."""
    _, problems = settled_differences(work, release.id)
    if problems:
        shown = "; ".join(problems[:_SHOWN]) + ("; ..." if len(problems) > _SHOWN else "")
        msg = f"the tag is published with other content (release {release.id}): {shown}"
        hint = "published bytes are never changed: take a new version, or build and seal what was published"
        raise ForeignReleaseError(msg, where=release.url, hint=hint)


def _finished(work: Work, release: RemoteRelease) -> bool:
    """Tell whether an earlier run verified this very release from outside already."""
    return work.state.state.phase is Phase.DONE and work.state.state.release_id == release.id
