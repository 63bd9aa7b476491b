"""The barrier before publishing: the draft holds exactly what was sealed, and what vouches for it verifies."""

from __future__ import annotations

__all__ = ["VOUCHERS", "check_draft", "settled_differences"]

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from release.errors import PublishError, SignatureError, VerifyError
from release.github.content import arrive
from release.github.remote import Fault, RemoteAsset, RemoteError
from release.model import AssetKind
from release.publish.assets import upload_assets
from release.publish.state import Phase
from release.publish.work import Work

VOUCHERS = frozenset({AssetKind.MANIFEST, AssetKind.SUMS, AssetKind.SIGNATURE})
"""What vouches for all the rest."""
_LAG_EVERY = 10.0
_LAG = 60.0


def check_draft(work: Work, release_id: int, verifier: Callable[[Path], None]) -> tuple[str, ...]:
    """Let only a complete and correct draft pass; give the names that had to be repaired.

    Args:
        work: This run.
        release_id: Our draft.
        verifier: Checks the signatures and the manifest in a folder; raises VerifyError or SignatureError.

    Raises:
        PublishError: The draft is not what was sealed, even after one pass of repair.
    """
    repaired: tuple[str, ...] = ()
    found, problems = settled_differences(work, release_id)
    if problems:
        work.say("the draft is not complete yet, looking at every asset again: " + "; ".join(problems))
        repaired = upload_assets(work, release_id).uploaded
        found, problems = settled_differences(work, release_id)
    if problems:
        msg = "the draft is not what was sealed: " + "; ".join(problems)
        raise PublishError(msg, where=work.where, hint="it was not published; run again: it looks at each asset anew")
    with tempfile.TemporaryDirectory(prefix="llamatrix-") as name:
        folder = Path(name)
        _download_vouchers(work, found, folder)
        try:
            verifier(folder)
        except (VerifyError, SignatureError) as error:
            msg = f"what lies in the draft does not verify: {error.what}"
            raise PublishError(msg, where=error.where or work.where, hint=error.hint) from error
    work.state.update(phase=Phase.VERIFIED)
    return repaired


def settled_differences(work: Work, release_id: int) -> tuple[Mapping[str, RemoteAsset], list[str]]:
    """Give the listing and how it differs from what was sealed; what is only missing or unfinished may be a lag."""
    planned = {asset.name for asset in work.sealed.assets}
    seen: Mapping[str, RemoteAsset] = {}

    def look() -> bool | None:
        nonlocal seen
        seen = work.assets(release_id)
        finished = {name for name, asset in seen.items() if asset.state == "uploaded"}
        return True if planned <= finished else None

    work.patience.poll(look, what="list the assets", every=_LAG_EVERY, seconds=_LAG)
    return seen, work.comparison.differences(seen)


def _download_vouchers(work: Work, found: Mapping[str, RemoteAsset], folder: Path) -> None:
    """Download manifest, sums and signatures into a folder, compared with what was sealed as they come."""
    for asset in work.sealed.assets:
        if asset.kind in VOUCHERS:
            there, into = found[asset.name], folder / asset.name

            def download(there: RemoteAsset = there, into: Path = into, sha256: str = asset.sha256) -> None:
                # The listing said it is right, so other bytes are a fault on the way: worth another try.
                arrived = arrive(work.remote, there, expected=there.size, budget=work.patience.budget, into=into)
                if arrived.sha256 != sha256:
                    raise RemoteError(Fault.GARBLED, f"download {there.name}", "other bytes came than were listed")

            work.patience.read(download, what=f"download {asset.name} again")
