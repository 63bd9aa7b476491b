"""Each asset of our draft: kept, replaced or uploaded, by what the listing says, and looked at again after any failure.

Deleting and uploading are one operation: a publisher that deletes in its last try and never uploads loses the asset.
What we do not know is never deleted.
"""

from __future__ import annotations

__all__ = ["Moved", "refuse_foreign", "upload_assets"]

from collections.abc import Mapping
from dataclasses import dataclass

from release.errors import GitHubError, PublishError
from release.github.content import sha256_of
from release.github.remote import Fault, RemoteAsset, RemoteError
from release.github.retry import fault_of, upload_seconds
from release.model import Asset
from release.publish.comparison import listed
from release.publish.state import AssetState, Phase
from release.publish.watch import heartbeat
from release.publish.work import Work, require_draft

_QUICKLY_READ = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What a pass over the assets did, in the order of the release."""

    uploaded: tuple[str, ...]
    kept: tuple[str, ...]


def upload_assets(work: Work, release_id: int) -> Moved:
    """Bring the draft's assets to what was sealed; in the end every planned one is there, complete and equal.

    Raises:
        PublishError: The draft holds something unknown, or a file of ours is no longer what was sealed.
        GitHubError: GitHub did not take a file within its budget, or the time for all of it is over.
        OvertakenError: Somebody published the draft meanwhile.
    """
    found = work.assets(release_id)
    refuse_foreign(work, found)
    uploaded, kept = [], []
    for number, asset in enumerate(work.sealed.assets, start=1):
        position = f"[{number}/{len(work.sealed.assets)}] {asset.name}"
        if _bring(work, release_id, asset, found.get(asset.name), position):
            uploaded.append(asset.name)
        else:
            kept.append(asset.name)
    work.state.update(phase=Phase.UPLOADED)
    return Moved(uploaded=tuple(uploaded), kept=tuple(kept))


def refuse_foreign(work: Work, found: Mapping[str, RemoteAsset]) -> None:
    """Stop if there is an asset that is not planned: somebody put it there, and only they know why."""
    planned = {asset.name for asset in work.sealed.assets}
    unknown = sorted(name for name in found.keys() - planned if found[name].id not in work.strays)
    if unknown:
        msg = f"the draft holds assets that are not part of this release: {', '.join(unknown)}"
        raise PublishError(msg, where=work.where, hint="delete them from the draft on GitHub, and run again")


def _bring(work: Work, release_id: int, asset: Asset, found: RemoteAsset | None, position: str) -> bool:
    """Bring one asset there; tell whether it had to be sent."""
    reason: str | None = None
    if found is not None:
        reason = work.comparison.patient_mismatch(found, asset)
        if reason is None:
            work.say(f"{position}: kept")
            work.state.update(asset=(asset.name, AssetState.UPLOADED))
            return False
    work.say(f"{position}: {'uploading' if reason is None else f'replacing, since {reason}'} ({asset.size} bytes)")
    work.state.update(asset=(asset.name, AssetState.UPLOADING))
    _upload(work, release_id, asset, found)
    work.state.update(asset=(asset.name, AssetState.UPLOADED))
    return True


def _upload(work: Work, release_id: int, asset: Asset, found: RemoteAsset | None) -> RemoteAsset:
    """Send one file, and after any failure decide anew from a fresh listing."""
    in_the_way = found

    def send() -> RemoteAsset:
        nonlocal in_the_way
        require_draft(work, release_id)
        _clear_strays(work)
        if in_the_way is not None:
            work.remote.delete_asset(in_the_way.id)
            in_the_way = None
        return _sent(work, release_id, asset)

    def arrived() -> RemoteAsset | None:
        nonlocal in_the_way
        every = listed(work.remote.assets(release_id), work.where)
        refuse_foreign(work, every)
        there = every.get(asset.name)
        if there is not None and work.comparison.mismatch(there, asset) is None:
            return there
        in_the_way = there
        return None

    try:
        return work.patience.write(send, arrived, what=f"upload {asset.name}")
    except GitHubError as error:
        if fault_of(error) is Fault.IMMUTABLE:
            work.patience.read(lambda: require_draft(work, release_id), what="look at the draft")
        raise


def _sent(work: Work, release_id: int, asset: Asset) -> RemoteAsset:
    """Make one upload and check the answer: what counts are the bytes that arrived, whatever lies on our disk."""
    _unchanged(asset, whole=asset.size <= _QUICKLY_READ)
    seconds = work.patience.budget.part(upload_seconds(asset.size))
    with heartbeat(work.say, asset.name):
        reply = work.remote.upload(release_id, name=asset.name, path=asset.path, size=asset.size, seconds=seconds)
    request = f"upload {asset.name}"
    if reply.name != asset.name:
        # It is ours by the answer to our own request, and under this name nobody would ever find it.
        work.strays.add(reply.id)
        _clear_strays(work)
        raise RemoteError(Fault.GARBLED, request, f"GitHub stored it as {reply.name!r}")
    reason = work.comparison.mismatch(reply, asset)
    if reason is not None:
        # The way or the source: only if our file is still what was sealed can another try help.
        _unchanged(asset, whole=True)
        raise RemoteError(Fault.GARBLED, request, f"it did not arrive as it was sent: {reason}")
    return reply


def _unchanged(asset: Asset, *, whole: bool) -> None:
    """Stop if a file is not what was sealed any more: hours may lie between sealing and uploading.

    A big file is not read twice: hashing it beside the upload cost 20 to 40 % of the throughput (measured on loopback,
    2 cores), and the digest of what arrived tells the same a little later, in a draft that nobody sees.
    """
    try:
        size = asset.path.stat().st_size
        if size != asset.size:
            raise _changed(asset, f"it has {size} bytes instead of {asset.size}")
        if whole and sha256_of(asset.path) != asset.sha256:
            raise _changed(asset, "its content is another")
    except OSError as error:
        raise _changed(asset, f"it cannot be read any more ({error.strerror or error})") from error


def _clear_strays(work: Work) -> None:
    for stray in sorted(work.strays):
        work.remote.delete_asset(stray)
        work.strays.discard(stray)


def _changed(asset: Asset, how: str) -> PublishError:
    msg = f"{asset.name} changed after it was sealed: {how}"
    return PublishError(msg, where=str(asset.path), hint="find out what wrote to it, then seal and publish again")
