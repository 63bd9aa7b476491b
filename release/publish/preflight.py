"""What must be true before anything is built, and before anything is uploaded; every failure is told at once.

Nothing here writes. What GitHub refuses after hours of building or uploading is found in seconds.
"""

from __future__ import annotations

__all__ = ["Ready", "before_build", "before_upload"]

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from release.errors import GitHubError, PreflightError, PublishError
from release.github.hosts import is_own_address
from release.github.remote import Fault, Remote, RemoteRelease, RemoteRepository
from release.github.retry import Patience, fault_of
from release.model import ReleaseId, Sealed
from release.publish.comparison import Comparison, listed
from release.publish.limits import limit_problems, tag_problem
from release.publish.marker import Ownership, made_from, ownership
from release.publish.previous import Previous, fetch_previous

T = TypeVar("T")

_CLOCK = 300.0  # seconds
_SHOWN = 10
_ALWAYS = ("manifest.json", "SHA256SUMS")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """What the preflight found when there is nothing against going on.

    ``published`` is what is public under the tag: before building it is still to be compared (``already`` is False
    then), before uploading it is equal to what was sealed (``already`` is True): there is nothing to do.
    """

    repository: RemoteRepository
    published: RemoteRelease | None
    already: bool
    previous: Previous | None
    immutable: bool | None
    warnings: tuple[str, ...]


@dataclass(kw_only=True)
class _Findings:
    """What was found so far. ``asking`` turns False when no further request can succeed."""

    patience: Patience
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    asking: bool = True

    def check(self, check: Callable[[], T]) -> T | None:
        """Make one check; a failed request becomes a problem. A token that is refused once is refused everywhere."""
        if not self.asking:
            return None
        try:
            return check()
        except GitHubError as error:
            if fault_of(error) is Fault.UNAUTHORISED:
                self.problems.append("the token is not accepted: it is wrong, expired or revoked")
                self.asking = False
            else:
                self.problems.append(str(error))
            return None


def before_build(  # noqa: PLR0913  each by name
    release: ReleaseId,
    remote: Remote,
    *,
    version: str,
    patience: Patience,
    api: str,
    has_token: bool = True,
    forged: bool = False,
) -> Ready:
    """Check what can be checked without a sealed release: token, tag, drafts, what is published, clock, settings.

    Args:
        release: Which release is meant.
        remote: The repository.
        version: The version that is built; the tag must name it.
        patience: How long passing faults are waited for.
        api: The address of the forge's API; forged bundles go to this machine only.
        has_token: Whether ``remote`` has a token.
        forged: Whether the bundles are the fake engine's.

    Raises:
        PreflightError: With every failure; nothing was written.
    """
    findings = _Findings(patience=patience)
    return _check(findings, release, remote, version=version, api=api, has_token=has_token, forged=forged, sealed=None)


def before_upload(sealed: Sealed, remote: Remote, *, patience: Patience, api: str, has_token: bool = True) -> Ready:
    """Check all of it again, and what was sealed: names, sizes, counts, text, and equality with what is published.

    Raises:
        PreflightError: With every failure; nothing was written.
    """
    findings = _Findings(patience=patience)
    findings.problems += limit_problems(sealed)
    return _check(
        findings,
        sealed.id,
        remote,
        version=sealed.version,
        api=api,
        has_token=has_token,
        forged=sealed.forged,
        sealed=sealed,
    )


def _check(  # noqa: PLR0913  each by name
    findings: _Findings,
    release: ReleaseId,
    remote: Remote,
    *,
    version: str,
    api: str,
    has_token: bool,
    forged: bool,
    sealed: Sealed | None,
) -> Ready:
    problems = findings.problems
    if forged and not is_own_address(api):
        problems.append(
            "these bundles are the fake engine's: they go to a server on this machine only, never to GitHub"
        )
    wrong = tag_problem(release.tag, version)
    if wrong is not None:
        problems.append(wrong)
    if not has_token:
        problems.append("there is no token: put one with write access to contents into GITHUB_TOKEN")
    repository = findings.check(lambda: _repository(findings, release, remote, has_token=has_token))
    published, immutable, previous = None, None, None
    if repository is not None:
        findings.check(lambda: _tag(findings, release, remote))
        immutable = findings.check(lambda: _immutable(findings, remote))
        before = len(problems)
        published = findings.check(lambda: _published(findings, release, remote, sealed))
        done = published is not None and len(problems) == before
        every = findings.check(lambda: findings.patience.read(remote.releases, what="list the releases"))
        if every is not None:
            # Once our release is public, nothing is written, and a draft beside it is in nobody's way.
            (findings.warnings if done else problems).extend(_foreign_drafts(release, every, sealed))
            previous = findings.check(
                lambda: fetch_previous(every, remote, tag=release.tag, patience=findings.patience)
            )
    if findings.problems or repository is None:
        hint = "nothing was written; mend these first, then run again"
        raise PreflightError(findings.problems, where=f"{release.repo} {release.tag}", hint=hint)
    return Ready(
        repository=repository,
        published=published,
        already=published is not None and sealed is not None,
        previous=previous,
        immutable=immutable,
        warnings=tuple(findings.warnings),
    )


def _repository(findings: _Findings, release: ReleaseId, remote: Remote, *, has_token: bool) -> RemoteRepository | None:
    """Look at the repository. None if nothing else needs to be asked."""
    problems = findings.problems
    try:
        found = findings.patience.read(remote.repository, what="look at the repository")
    except GitHubError as error:
        if fault_of(error) is not Fault.NOT_FOUND:
            raise
        problems.append(f"there is no repository {release.repo}, or the token may not see it")
        return None
    if found.full_name.casefold() != release.repo.casefold():
        problems.append(f"the repository {release.repo} is called {found.full_name} now: use that name")
    if has_token and not found.can_push:
        problems.append(f"the token may not write to {found.full_name}: it needs write access to contents")
    if found.clock_skew is None:
        findings.warnings.append("the server's clock could not be read, so ours was not compared with it")
    elif abs(found.clock_skew) > _CLOCK:
        way = "behind" if found.clock_skew > 0 else "ahead of"
        problems.append(f"this machine's clock is {abs(found.clock_skew):.0f} s {way} the server's: set it")
    return found


def _tag(findings: _Findings, release: ReleaseId, remote: Remote) -> None:
    tag = release.tag
    commit = findings.patience.read(lambda: remote.tag_commit(tag), what=f"look at the tag {tag}")
    if commit is None:
        findings.problems.append(f"there is no tag {tag}: push it first, for publishing would put it just anywhere")
    elif commit != release.commit:
        findings.problems.append(f"the tag {tag} leads to {commit}, and this release is of {release.commit}")


def _immutable(findings: _Findings, remote: Remote) -> bool | None:
    immutable = findings.patience.read(remote.immutable_releases, what="look whether releases are immutable")
    if immutable is None:
        findings.warnings.append("whether published releases are immutable here may not be asked with this token")
    elif not immutable:
        findings.warnings.append(
            "immutable releases are off: after publishing, anybody with write access can exchange assets;"
            " turn them on in the repository's settings"
        )
    return immutable


def _published(findings: _Findings, release: ReleaseId, remote: Remote, sealed: Sealed | None) -> RemoteRelease | None:
    """Look at what is public under the tag. Without a sealed release only what can never be equal is a problem."""
    patience = findings.patience
    found = patience.read(lambda: remote.release_by_tag(release.tag), what="look for a published release")
    if found is None:
        return None
    try:
        assets = listed(patience.read(lambda: remote.assets(found.id), what="list its assets"), found.url)
    except PublishError as error:
        findings.problems.append(str(error))
        return None
    if sealed is not None:
        comparison = Comparison(sealed=sealed, remote=remote, patience=patience, say=lambda _: None)
        problems = comparison.differences(assets)
    else:
        # A person may have edited the text of a published release, so a lost marker proves nothing, and names do.
        problems = [f"it has no {name}, so it is none of ours" for name in _ALWAYS if name not in assets]
        problems += [
            f"it was made from commit {commit}" for _, commit in made_from(found.body) if commit != release.commit
        ]
    if problems:
        shown = "; ".join(problems[:_SHOWN]) + ("; ..." if len(problems) > _SHOWN else "")
        findings.problems.append(
            f"the tag {release.tag} is published with other content ({found.url}): {shown};"
            " published bytes are never changed: take a new version"
        )
    return found


def _foreign_drafts(release: ReleaseId, every: Iterable[RemoteRelease], sealed: Sealed | None) -> Iterator[str]:
    for draft in sorted((each for each in every if each.draft and each.tag == release.tag), key=lambda each: each.id):
        if sealed is None:
            foreign = len(set(made_from(draft.body))) != 1
        else:
            foreign = ownership(draft, sealed) is Ownership.FOREIGN
        if foreign:
            yield (
                f"the tag {release.tag} has a draft that llamatrix did not make: {draft.id} ({draft.url});"
                " delete it, or take another tag"
            )
