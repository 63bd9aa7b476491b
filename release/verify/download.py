"""What a careful user does with a published tag: download all of it without an account, then verify the folder.

The listing decides what is downloaded and how much at most; whether it is right is decided by SHA256SUMS and the key.
"""

from __future__ import annotations

__all__ = ["verify_tag"]

import dataclasses
import datetime
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.report.text import clean, count, size_text
from release.errors import VerifyError
from release.github.content import Arrived, arrive
from release.github.remote import Remote, RemoteAsset, RemoteRelease
from release.github.retry import Patience
from release.keys.keyfile import PublicKey
from release.verify.folder import verify_folder
from release.verify.program import Minisign, find_minisign
from release.verify.result import Verified

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
_MOST = 1000
_LARGEST = 2**31
_SHOWN = 100
_HINT = "do not use this release; if you know who publishes it, tell them what is listed here"


def verify_tag(  # noqa: PLR0913  each is something a caller knows from elsewhere
    remote: Remote,
    *,
    repo: str,
    tag: str,
    key: PublicKey,
    today: datetime.date,
    into: Path,
    patience: Patience,
    commit: str | None = None,
    at_least: int | None = None,
    deep: bool = True,
    forged: bool = False,
    say: Callable[[str], None] = lambda _: None,
    minisign: Callable[[], Minisign | None] = find_minisign,
) -> Verified:
    """Download every asset of a published release and verify them all.

    Args:
        remote: The repository as seen without an account.
        repo: The repository, ``owner/name``.
        tag: The tag.
        key: The public key, from anywhere but the release.
        today: The day the manifest's expiry is held against.
        into: An empty folder for the files.
        patience: How downloads that fail are tried again.
        commit: The commit it must be of; that of the tag it must be in any case.
        at_least: The manifest version that was reached before.
        deep: Open every bundle and measure again what the manifest says of it.
        forged: Accept a rehearsal's bundles.
        say: Told what is under way.
        minisign: Finds the real program.

    Raises:
        VerifyError: Something is wrong; everything that was found is listed.
        GitHubError: GitHub gave no usable answer.
    """
    where = f"{repo} {tag}"
    release = patience.read(lambda: remote.release_by_tag(tag), what="look for the release")
    if release is None:
        problem = f"no release of {tag} is published in {repo}"
        raise VerifyError([problem], where=where, hint="check the tag; a draft cannot be seen without an account")
    target = patience.read(lambda: remote.tag_commit(tag), what="look at the tag")
    assets = patience.read(lambda: remote.assets(release.id), what="list the assets")
    problems = [*_release(release, tag), *_tag(target, tag, commit), *_listing(assets, into)]
    if problems:
        raise VerifyError(problems, where=where, hint=_HINT)
    total = sum(asset.size for asset in assets)
    say(f"downloading {count(len(assets), 'file')}, {size_text(total)}, from {release.url}")
    problems += _download(remote, assets, into, patience)
    try:
        found = verify_folder(
            into,
            key=key,
            today=today,
            repo=repo,
            tag=tag,
            commit=target,
            at_least=at_least,
            deep=deep,
            forged=forged,
            minisign=minisign,
        )
    except VerifyError as error:
        problems += error.problems
        raise VerifyError(dict.fromkeys(problems), where=where, hint=_HINT) from error
    if problems:
        raise VerifyError(problems, where=where, hint=_HINT)
    lines = (
        f"{count(len(assets), 'asset')} downloaded from {release.url} without an account",
        f"the tag {tag} leads to commit {target}",
        *found.lines,
        "the release is immutable: GitHub lets nobody change its files or move its tag"
        if release.immutable
        else "the release is not immutable: whoever may write to the repository can replace its files later",
    )
    return dataclasses.replace(found, immutable=release.immutable, lines=lines)


def _release(release: RemoteRelease, tag: str) -> Iterator[str]:
    if release.draft:
        yield f"release {release.id} is a draft, and not published"
    if release.tag != tag:
        yield f"release {release.id} is of the tag {_shown(release.tag)}, not of {tag}"


def _tag(target: str | None, tag: str, commit: str | None) -> Iterator[str]:
    if target is None:
        yield f"there is no tag {tag}"
    elif commit is not None and target != commit:
        yield f"the tag {tag} leads to commit {target}, not to {commit}"


def _listing(assets: Sequence[RemoteAsset], into: Path) -> Iterator[str]:
    """Refuse what must not be downloaded at all: the listing is not signed, and names become files here."""
    if any(into.iterdir()):
        yield f"the folder {into} is not empty"
    if not assets:
        yield "the release has no assets"
    if len(assets) > _MOST:
        yield f"the release has {len(assets)} assets, more than the {_MOST} that GitHub allows"
    seen: set[str] = set()
    for asset in assets[:_MOST]:
        if not _NAME.fullmatch(asset.name):
            yield f"an asset is called {_shown(asset.name)}, which is no name of ours"
        elif asset.name in seen:
            yield f"two assets are called {asset.name}"
        if asset.state != "uploaded":
            yield f"{_shown(asset.name)} is {_shown(asset.state)}, and not completely uploaded"
        if not 0 <= asset.size < _LARGEST:
            yield f"{_shown(asset.name)} has {asset.size} bytes, which GitHub does not allow"
        seen.add(asset.name)
    total, free = sum(asset.size for asset in assets), shutil.disk_usage(into).free
    if total > free:
        yield f"the assets have {size_text(total)} together, and there are {size_text(free)} free in {into}"


def _download(remote: Remote, assets: Sequence[RemoteAsset], into: Path, patience: Patience) -> list[str]:
    problems = []
    for asset in assets:

        def download(asset: RemoteAsset = asset) -> Arrived:
            return arrive(remote, asset, expected=asset.size, budget=patience.budget, into=into / asset.name)

        came = patience.read(download, what=f"download {asset.name}")
        if came.size != asset.size:
            problems.append(f"{asset.name}: more than the listed {asset.size} bytes came")
        elif asset.digest is not None and asset.digest != f"sha256:{came.sha256}":
            problems.append(f"{asset.name}: GitHub lists {_shown(asset.digest)}, and sha256:{came.sha256} came")
    return problems


def _shown(text: str) -> str:
    return clean(text, _SHOWN)
