"""The one request that makes a release public, and what is looked at right before it.

The tag could have moved, somebody else could have published it, a second draft could have come up: hours may lie
between the preflight and this moment. And were the tag gone, publishing would make it anew, on the default branch.
"""

from __future__ import annotations

__all__ = ["go_public", "published_release"]

from release.errors import GitHubError, PublishError
from release.github.remote import Fault, RemoteError, RemoteRelease
from release.github.retry import fault_of
from release.publish.draft import settle_drafts
from release.publish.marker import text_of
from release.publish.standing import is_latest
from release.publish.state import Phase
from release.publish.work import OvertakenError, Work, require_draft


def published_release(work: Work) -> RemoteRelease | None:
    """Give what is published under the tag, whoever did it."""
    return work.patience.read(
        lambda: work.remote.release_by_tag(work.sealed.id.tag), what="look for a published release"
    )


def go_public(work: Work, release_id: int) -> RemoteRelease:
    """Publish our draft; give the release that is public now, which may be somebody else's who was faster.

    Raises:
        PublishError: The tag is not what it was, or the draft is gone.
        ForeignReleaseError: A draft that is not ours came up meanwhile.
    """
    sealed = work.sealed
    _check_tag(work)
    settle_drafts(work, release_id)

    def public() -> RemoteRelease | None:
        other = work.remote.release_by_tag(sealed.id.tag)
        if other is not None:
            return other
        try:
            require_draft(work, release_id)
        except OvertakenError as error:
            return error.release
        return None

    def publish() -> RemoteRelease:
        reply = work.remote.publish(
            release_id,
            name=sealed.id.tag,
            body=text_of(sealed),
            prerelease=sealed.prerelease,
            latest=latest,
        )
        if reply.draft:
            raise RemoteError(Fault.GARBLED, f"publish draft {release_id}", "GitHub answers that it is a draft still")
        return reply

    every = work.patience.read(work.remote.releases, what="look which release is the latest")
    latest = not sealed.prerelease and is_latest(sealed.id.tag, every)
    already = work.patience.read(public, what="look at the draft")
    if already is not None:
        return already
    work.state.update(phase=Phase.PUBLISHING)
    work.say(f"publishing draft {release_id}")
    try:
        return work.patience.write(publish, public, what="publish the draft")
    except GitHubError as error:
        # GitHub has several ways to say that the tag has a release by now.
        other = published_release(work) if fault_of(error) in {Fault.INVALID, Fault.IMMUTABLE} else None
        if other is None:
            raise
        return other


def _check_tag(work: Work) -> None:
    tag, commit = work.sealed.id.tag, work.sealed.id.commit
    now = work.patience.read(lambda: work.remote.tag_commit(tag), what=f"look at the tag {tag}")
    if now != commit:
        msg = f"the tag {tag} " + ("is gone" if now is None else f"leads to {now} now, and the release is of {commit}")
        raise PublishError(msg, where=work.where, hint="put the tag back, or seal again for where it is now")
