"""What GitHub holds against what was sealed: by state, size and digest, and by the bytes where there is no digest."""

from __future__ import annotations

__all__ = ["Comparison", "listed"]

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from release.errors import PublishError
from release.github.content import arrive
from release.github.remote import Remote, RemoteAsset
from release.github.retry import Patience
from release.model import Asset, Sealed


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Compares. ``hashed`` remembers what was downloaded because it had no digest: asset id to SHA-256."""

    sealed: Sealed
    remote: Remote
    patience: Patience
    say: Callable[[str], None]
    hashed: dict[int, str] = field(default_factory=dict)

    def mismatch(self, found: RemoteAsset, asset: Asset) -> str | None:
        """Say why a listed asset is not the file that was sealed; None if it is, byte by byte.

        An asset without a digest is downloaded and hashed: one request that only reads, so this may be part of
        looking whether an upload arrived. RemoteError passes through.
        """
        if found.state != "uploaded":
            return f"its state is {found.state}"
        if found.size != asset.size:
            return f"it has {found.size} bytes instead of {asset.size}"
        if found.digest is not None:
            return None if found.digest == f"sha256:{asset.sha256}" else f"its digest is {found.digest}"
        if found.id not in self.hashed:
            self.say(f"{asset.name}: GitHub gives no digest; downloading it to look")
            arrived = arrive(self.remote, found, expected=asset.size, budget=self.patience.budget)
            self.hashed[found.id] = arrived.sha256
        return None if self.hashed[found.id] == asset.sha256 else "its content is another"

    def patient_mismatch(self, found: RemoteAsset, asset: Asset) -> str | None:
        """The same, tried again while that can help."""
        return self.patience.read(lambda: self.mismatch(found, asset), what=f"look at {asset.name}")

    def differences(self, found: Mapping[str, RemoteAsset]) -> list[str]:
        """List in what a release's assets are not those that were sealed; empty when they are exactly those."""
        planned = {asset.name for asset in self.sealed.assets}
        problems = [f"{name} is not part of this release" for name in sorted(found.keys() - planned)]
        for asset in self.sealed.assets:
            there = found.get(asset.name)
            reason = "it is missing" if there is None else self.patient_mismatch(there, asset)
            if reason is not None:
                problems.append(f"{asset.name}: {reason}")
        return problems


def listed(assets: Iterable[RemoteAsset], where: str) -> Mapping[str, RemoteAsset]:
    """Put assets under their names. GitHub keeps names apart; were there two of one, no decision would be safe."""
    every = tuple(assets)
    twice = sorted(name for name, count in Counter(asset.name for asset in every).items() if count > 1)
    if twice:
        msg = f"GitHub lists two assets of one name: {', '.join(twice)}"
        raise PublishError(msg, where=where, hint="look at the release, delete the wrong ones, and run again")
    return {asset.name: asset for asset in every}
