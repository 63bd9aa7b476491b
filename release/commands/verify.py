"""verify: a folder of files, or a published tag, as a careful user looks at it."""

from __future__ import annotations

__all__ = ["verify_command"]

import argparse
import datetime
import os
import tempfile
from pathlib import Path

from pipeline.console import show
from pipeline.errors import UsageError
from release.commands.keys import public_key
from release.github.client import connect
from release.github.retry import Budget, Patience
from release.identity import Forge
from release.keys.keyfile import PublicKey
from release.verify.download import verify_tag
from release.verify.folder import verify_folder
from release.verify.result import Verified

_SECONDS = 60 * 60.0


def verify_command(arguments: argparse.Namespace) -> int:
    """Verify; any finding is an error with its own exit code."""
    today = datetime.datetime.now(tz=datetime.UTC).date()
    repo = arguments.repo or os.environ.get("GITHUB_REPOSITORY") or None
    folder = Path(arguments.what)
    whole = folder.is_dir()
    key = public_key(arguments.public_key, os.environ, apart_from=folder if whole else None)
    if whole:
        verified = verify_folder(
            folder,
            key=key,
            today=today,
            repo=repo,
            tag=arguments.tag,
            commit=arguments.commit,
            at_least=arguments.at_least,
            partial=arguments.partial,
            deep=not arguments.shallow,
        )
    else:
        verified = _verify_tag(arguments, repo, key=key, today=today)
    for line in verified.lines:
        show(f"{line}\n")
    show(f"verified: {verified.repo} {verified.tag}, {len(verified.bundles)} bundles, key {verified.key_id}\n")
    return 0


def _verify_tag(arguments: argparse.Namespace, repo: str | None, *, key: PublicKey, today: datetime.date) -> Verified:
    if repo is None:
        msg = f"{arguments.what!r} is no folder here, and to look for a tag the repository must be known"
        raise UsageError(msg, where="verify", hint="name a folder, or add --repo OWNER/NAME")
    if arguments.partial:
        msg = "a tag is verified as a whole"
        raise UsageError(msg, where="--partial", hint="download what you want into a folder and verify that")
    if arguments.tag not in {None, arguments.what}:
        msg = f"two tags were named: {arguments.what} and {arguments.tag}"
        raise UsageError(msg, where="--tag", hint="--tag says which tag a folder must be of")

    def say(line: str) -> None:
        show(f"{line}\n")

    forge = Forge.of(arguments.api, os.environ)
    # Without a token on purpose: what only its owner can see is not published.
    remote = connect(api=forge.api, repo=repo, token=None)
    with tempfile.TemporaryDirectory(prefix="llamatrix-verify-") as name:
        return verify_tag(
            remote,
            repo=repo,
            tag=arguments.what,
            key=key,
            today=today,
            into=Path(name),
            patience=Patience(budget=Budget(_SECONDS), say=say),
            commit=arguments.commit,
            at_least=arguments.at_least,
            deep=not arguments.shallow,
            say=say,
        )
