"""What vouches for a release, without the rest: SHA256SUMS, manifest.json and their signatures.

Publishing verifies these as it downloaded them again; the other files it compares by digest with what was sealed.
"""

from __future__ import annotations

__all__ = ["verify_vouchers"]

import datetime
from collections.abc import Callable
from pathlib import Path

from release.keys.keyfile import PublicKey
from release.model import ReleaseId
from release.verify.case import Case, Expected
from release.verify.files import Files
from release.verify.folder import verify_case
from release.verify.program import Minisign, find_minisign


def verify_vouchers(
    folder: Path,
    *,
    key: PublicKey,
    release: ReleaseId,
    today: datetime.date,
    minisign: Callable[[], Minisign | None] = find_minisign,
) -> tuple[str, ...]:
    """Verify the four files against each other and against the release they must be of; give a line for each check.

    Raises:
        VerifyError: Something is wrong; everything that was found is listed.
    """
    expected = Expected(
        key=key,
        today=today,
        repo=release.repo,
        tag=release.tag,
        commit=release.commit,
        partial=True,
        deep=False,
        vouchers=True,
    )
    return verify_case(Case(files=Files(folder), expected=expected, minisign=minisign())).lines
