"""Our draft: found by its marker or by the number we were given, made if there is none, never mixed up with others'.

Drafts are not kept apart by tag: racing or repeated creators leave several. And lists lag: a draft may exist and not be
listed yet. So a failed creation is followed by several looks, and a new draft is known by the number in the answer.
"""

from __future__ import annotations

__all__ = ["own_draft", "remove_leftovers", "retire_draft", "settle_drafts"]

from collections.abc import Iterable
from dataclasses import dataclass

from release.errors import ForeignReleaseError, GitHubError, PublishError
from release.github.remote import Fault, RemoteError, RemoteRelease
from release.github.retry import fault_of
from release.publish.marker import Ownership, ownership, text_of
from release.publish.state import Phase
from release.publish.work import OvertakenError, Work, gone

_LOOKS = 4
_LOOK_EVERY = 15.0  # seconds; lists were seen to lag several seconds behind a creation


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drafts:
    """The drafts of our tag, told apart. ``ours`` by number, the oldest first; ``public`` is what is published."""

    public: RemoteRelease | None
    ours: tuple[RemoteRelease, ...]
    outdated: tuple[RemoteRelease, ...]
    foreign: tuple[RemoteRelease, ...]


def own_draft(work: Work) -> RemoteRelease:
    """Give our draft, found or made. It may turn out to be published already: then ``draft`` is False.

    Raises:
        ForeignReleaseError: There is a draft for the tag that we did not make; nothing was written.
    """
    found = _look(work)
    if found is None and work.state.state.phase is Phase.CREATING:
        work.say("an earlier run was stopped while it made the draft; looking for it before making another")
        found = work.patience.poll(
            lambda: _look(work), what="look for the draft", every=_LOOK_EVERY, seconds=_LOOK_EVERY * _LOOKS
        )
    if found is None:
        found = _create(work)
    elif found.draft:
        work.say(f"continuing with our draft {found.id}")
        found = _mended(work, found)
    if found.draft:
        # A published one is noted as ours only after it was compared.
        work.state.update(phase=Phase.DRAFTED, release_id=found.id)
    return found


def settle_drafts(work: Work, release_id: int) -> None:
    """Look a last time, before publishing, that no other draft of the tag came up meanwhile.

    Of two drafts of the same release the older one counts, for every publisher. So only the publisher of the older
    one deletes, and the other one stops: each deleting the other's could delete what was just published.
    """
    drafts = _drafts(work, known=release_id)
    if drafts.public is not None:
        raise OvertakenError(drafts.public)
    _refuse_foreign(work, drafts.foreign)
    older = [draft for draft in drafts.ours if draft.id < release_id]
    if older:
        msg = f"there is an older draft {older[0].id} of this very release, besides {release_id}"
        raise PublishError(msg, where=work.where, hint="if no other run is at work, run again: it takes the older one")
    for draft in (*drafts.ours, *drafts.outdated):
        if draft.id != release_id:
            _delete(work, draft, "a second draft of this release")


def retire_draft(work: Work, draft: RemoteRelease) -> None:
    """Delete our draft, since the same bytes are public without it."""
    _delete(work, draft, "the same release is public already")


def remove_leftovers(work: Work, release: RemoteRelease) -> None:
    """Delete our drafts beside what is public. They harm nobody, so failing at it is no error."""
    try:
        drafts = _drafts(work, known=release.id)
        for draft in (*drafts.ours, *drafts.outdated):
            # A list that lags shows the release itself as the draft it was.
            if draft.id != release.id:
                _delete(work, draft, "the release is public already")
    except (GitHubError, ForeignReleaseError) as error:
        work.say(f"drafts that are not needed any more could not be removed: {error.what}")


def _look(work: Work) -> RemoteRelease | None:
    """Find our draft in the list or by its number; remove our own superfluous ones."""
    known = work.state.state.release_id
    drafts = _drafts(work, known=known)
    if drafts.public is not None:
        return drafts.public
    _refuse_foreign(work, drafts.foreign)
    for draft in drafts.outdated:
        _delete(work, draft, "a draft of an earlier seal")
    for position, draft in enumerate(drafts.ours):
        # Lists lag: what they show may be deleted or published by now.
        now = work.patience.read(lambda draft=draft: work.remote.release(draft.id), what="look at the draft")  # type: ignore[misc]
        if now is None:
            continue
        if now.draft:
            for other in drafts.ours[position + 1 :]:
                _delete(work, other, "a second draft of this release")
        return now
    return None


def _drafts(work: Work, *, known: int | None) -> _Drafts:
    """List the drafts of our tag; the one whose number we know is ours whatever its text says by now.

    What is published is asked for by its tag elsewhere. That answer can lag, too: killed right after publishing, we
    once made a second draft for a release that was public, and could never publish it.
    """
    tag = work.sealed.id.tag
    every = work.patience.read(work.remote.releases, what="list the releases")
    found = {release.id: release for release in every if release.tag == tag and release.draft}
    public = None
    asked = [release.id for release in every if release.tag == tag and not release.draft]
    if known is not None and known not in {*found, *asked}:
        asked.append(known)
    for number in asked:
        now = work.patience.read(lambda number=number: work.remote.release(number), what="look at the draft")  # type: ignore[misc]
        if now is not None and now.tag == tag and now.draft:
            found[number] = now
        elif now is not None and now.tag == tag:
            public = now
    kinds = {number: Ownership.OURS if number == known else ownership(found[number], work.sealed) for number in found}

    def pick(kind: Ownership) -> tuple[RemoteRelease, ...]:
        return tuple(found[number] for number in sorted(found) if kinds[number] is kind)

    return _Drafts(
        public=public, ours=pick(Ownership.OURS), outdated=pick(Ownership.OUTDATED), foreign=pick(Ownership.FOREIGN)
    )


def _refuse_foreign(work: Work, foreign: Iterable[RemoteRelease]) -> None:
    listed = ", ".join(f"{draft.id} ({draft.url})" for draft in foreign)
    if listed:
        msg = f"the tag has a draft that llamatrix did not make: {listed}"
        hint = "delete it, or publish it, or take another tag; a draft of ours whose marker line was lost counts too"
        raise ForeignReleaseError(msg, where=work.where, hint=hint)


def _delete(work: Work, draft: RemoteRelease, why: str) -> None:
    """Delete a draft of ours, after a look that it still is a draft."""

    def deleted() -> bool | None:
        now = work.remote.release(draft.id)
        if now is not None and not now.draft:
            msg = f"draft {draft.id} was published meanwhile, by somebody else"
            raise ForeignReleaseError(msg, where=work.where, hint="run again: it compares what is published")
        return True if now is None else None

    def delete() -> bool:
        if deleted() is None:
            work.remote.delete_release(draft.id)
            # "Not found" is a good answer to a deletion, and not always true.
            if deleted() is None:
                raise RemoteError(Fault.GARBLED, f"delete draft {draft.id}", "it is still there")
        return True

    work.say(f"deleting draft {draft.id}: {why}")
    work.patience.write(delete, deleted, what=f"delete draft {draft.id}")


def _create(work: Work) -> RemoteRelease:
    """Make the draft. When the answer is lost, look several times before making another."""
    sealed = work.sealed
    # Before the request: should we be stopped now, the next run knows that a draft may be there and not be listed.
    work.state.update(phase=Phase.CREATING)

    def create() -> RemoteRelease:
        return work.remote.create_draft(
            tag=sealed.id.tag,
            commit=sealed.id.commit,
            name=sealed.id.tag,
            body=text_of(sealed),
            prerelease=sealed.prerelease,
        )

    try:
        made = work.patience.write(
            create, lambda: _look(work), what="make the draft", looks=_LOOKS, look_every=_LOOK_EVERY
        )
    except GitHubError as error:
        if fault_of(error) not in {Fault.NOT_FOUND, Fault.FORBIDDEN}:
            raise
        hint = (
            "the token needs write access to contents; if the tag's commit changes .github/workflows compared to the"
            " default branch, also the workflows permission, which the token of GitHub Actions can never have: put the"
            " tag on the default branch, or use a GitHub App's token"
        )
        raise GitHubError(error.what, where=error.where, hint=hint) from error
    if made.draft:
        work.say(f"made draft {made.id}")
    return made


def _mended(work: Work, draft: RemoteRelease) -> RemoteRelease:
    """Give the draft our text again if a person edited it: its marker is how the next run knows it."""
    sealed = work.sealed
    if ownership(draft, sealed) is Ownership.OURS:
        return draft

    def edit() -> RemoteRelease:
        return work.remote.edit_draft(draft.id, name=sealed.id.tag, body=text_of(sealed), prerelease=sealed.prerelease)

    def edited() -> RemoteRelease | None:
        now = work.remote.release(draft.id)
        if now is None:
            raise gone(work, draft.id)
        return now if not now.draft or ownership(now, sealed) is Ownership.OURS else None

    work.say(f"draft {draft.id} lost its marker line by editing; giving it its text again")
    return work.patience.write(edit, edited, what=f"mend draft {draft.id}")
