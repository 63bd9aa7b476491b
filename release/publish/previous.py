"""The manifest of the release before ours: ours must have a greater version, and the notes say what changed since."""

from __future__ import annotations

__all__ = ["MANIFEST_LIMIT", "Previous", "fetch_previous"]

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from release.errors import GitHubError
from release.github.content import fetch
from release.github.remote import Fault, Remote, RemoteAsset, RemoteError, RemoteRelease
from release.github.retry import Patience

MANIFEST_LIMIT = 8 * 1024 * 1024  # 60 variants take 200 KB; this is what we are willing to read from anybody
_SIGNATURE_LIMIT = 16 * 1024
_LOOK_BACK = 30  # releases; more than that without a manifest were not made by us


@dataclass(frozen=True, kw_only=True, slots=True)
class Previous:
    """What was downloaded, unread: whoever parses it treats it as hostile. ``signature`` is None if there is none."""

    tag: str
    data: bytes
    signature: str | None


def fetch_previous(
    releases: Iterable[RemoteRelease], remote: Remote, *, tag: str, patience: Patience
) -> Previous | None:
    """Download the manifest of the newest published release of another tag that has one.

    A release that is public already was sealed after those older than itself, so only these count for it; sealing it
    again then gives the same bytes, whatever was published later. The newest is the one with the highest number:
    lists are in the order of the commits' dates.

    Raises:
        GitHubError: It cannot be had, is too long, or is not what the listing says.
    """
    public = [release for release in releases if not release.draft]
    own = min((release.id for release in public if release.tag == tag), default=None)
    others = sorted(
        (release for release in public if release.tag != tag and (own is None or release.id < own)),
        key=lambda release: -release.id,
    )
    for release in others[:_LOOK_BACK]:
        number = release.id
        listed = patience.read(lambda number=number: remote.assets(number), what=f"list the assets of {release.tag}")  # type: ignore[misc]
        found = {asset.name: asset for asset in listed if asset.state == "uploaded"}
        manifest, signature = found.get("manifest.json"), found.get("manifest.json.minisig")
        if manifest is None:
            continue
        data = _download(remote, manifest, MANIFEST_LIMIT, release, patience)
        text = _download(remote, signature, _SIGNATURE_LIMIT, release, patience) if signature else None
        return Previous(
            tag=release.tag, data=data, signature=None if text is None else text.decode("utf-8", errors="replace")
        )
    return None


def _download(remote: Remote, asset: RemoteAsset, limit: int, release: RemoteRelease, patience: Patience) -> bytes:
    def download() -> bytes | None:
        data = fetch(remote, asset, limit=limit, budget=patience.budget)
        if data is not None and asset.digest not in {None, f"sha256:{hashlib.sha256(data).hexdigest()}"}:
            raise RemoteError(Fault.GARBLED, f"download {asset.name}", "other bytes came than were listed")
        return data

    where = f"{release.tag} {asset.name}"
    data = patience.read(download, what=f"download {asset.name} of {release.tag}")
    if data is None:
        msg = f"it is longer than {limit} bytes, so it is none of ours"
        raise GitHubError(msg, where=where, hint="look at that release; one of llamatrix has a small manifest")
    return data
