"""The release as everybody else sees it: found by its tag without a token, downloaded, hashed and verified."""

from __future__ import annotations

__all__ = ["verify_outside"]

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from release.errors import ForeignReleaseError, GitHubError, VerifyError
from release.github.content import arrive
from release.github.remote import Remote, RemoteAsset, RemoteRelease
from release.model import Asset
from release.publish.barrier import VOUCHERS
from release.publish.state import Phase
from release.publish.watch import heartbeat
from release.publish.work import Work

_EVERY = 10.0
_VISIBLE = 180.0  # seconds that caches may take


def verify_outside(work: Work, anonymous: Remote, release: RemoteRelease, verifier: Callable[[Path], None]) -> None:
    """Do what a user without an account does, with every byte; the last step of a release.

    Raises:
        GitHubError: It is published, and not to be seen yet; run again later.
        ForeignReleaseError: Another release is to be seen under the tag.
        VerifyError: What is public is not what was sealed.
    """
    reader = _reader(work, anonymous)
    found = _seen(work, reader, release)
    planned = {asset.name for asset in work.sealed.assets}
    problems = [f"{name} is not part of this release" for name in sorted(found.keys() - planned)]
    work.say(f"verifying {release.url} as a user does: {len(work.sealed.assets)} downloads")
    with tempfile.TemporaryDirectory(prefix="llamatrix-") as name:
        folder = Path(name)
        for asset in work.sealed.assets:
            into = folder / asset.name if asset.kind in VOUCHERS else None
            with heartbeat(work.say, asset.name):
                reason = _public_mismatch(work, reader, asset, found.get(asset.name), into)
            if reason is not None:
                problems.append(f"{asset.name}: {reason}")
        if problems:
            hint = "what is public is not what was sealed: withdraw the release, find out why, and take a new version"
            raise VerifyError(problems, where=release.url, hint=hint)
        verifier(folder)
    work.state.update(phase=Phase.DONE)
    work.say(f"verified: {release.url}")


def _reader(work: Work, anonymous: Remote) -> Remote:
    """Choose who looks: nobody without an account sees a private repository."""
    repository = work.patience.read(work.remote.repository, what="look at the repository")
    if not repository.private:
        return anonymous
    work.say("the repository is private: what was published is verified with our token, not as an anonymous user")
    return work.remote


def _seen(work: Work, reader: Remote, release: RemoteRelease) -> Mapping[str, RemoteAsset]:
    """Wait until the release and all its assets can be seen by the tag."""
    tag = work.sealed.id.tag
    seen = work.patience.poll(
        lambda: reader.release_by_tag(tag), what="wait until the release can be seen", every=_EVERY, seconds=_VISIBLE
    )
    if seen is None:
        msg = f"release {release.id} is published, and cannot be seen by its tag yet"
        raise GitHubError(msg, where=release.url, hint="run again in some minutes: only the verification is left")
    if seen.id != release.id:
        msg = f"under the tag release {seen.id} is to be seen, and not {release.id}"
        raise ForeignReleaseError(msg, where=seen.url, hint="find out who published it")
    planned = {asset.name for asset in work.sealed.assets}
    found: Mapping[str, RemoteAsset] = {}

    def complete() -> bool | None:
        nonlocal found
        found = work.assets(release.id, remote=reader)
        return True if planned <= found.keys() else None

    work.patience.poll(complete, what="wait until the assets can be seen", every=_EVERY, seconds=_VISIBLE)
    return found


def _public_mismatch(
    work: Work, reader: Remote, asset: Asset, there: RemoteAsset | None, into: Path | None
) -> str | None:
    """Download one asset and say what is wrong with it; a listing is not believed here, only bytes are."""
    if there is None:
        return "it is missing"
    if there.size != asset.size:
        return f"it has {there.size} bytes instead of {asset.size}"
    budget = work.patience.budget
    arrived = work.patience.read(
        lambda: arrive(reader, there, expected=asset.size, budget=budget, into=into),
        what=f"download {asset.name} as a user does",
    )
    if arrived.size > asset.size:
        return f"it has more than {asset.size} bytes"
    return None if arrived.sha256 == asset.sha256 else f"its SHA-256 is {arrived.sha256} instead of {asset.sha256}"
