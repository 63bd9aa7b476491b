"""What every command starts with: the matrix, the forge, and where the release's files lie."""

from __future__ import annotations

__all__ = ["Session"]

import argparse
import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.matrix.load import LoadedMatrix, load
from release.folder import OWN_FOLDER
from release.identity import Forge, identify
from release.model import ReleaseId


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One command's view. ``folder`` is dist/<version>; ``own`` is what publishing keeps for itself below it.

    ``root`` is where matrix.yaml lies: the project, whichever folder the command was started in.
    """

    matrix: LoadedMatrix
    root: Path
    release: ReleaseId
    forge: Forge
    folder: Path
    dist: Path
    today: datetime.date
    epoch: int | None
    token: str | None

    @property
    def own(self) -> Path:
        """State, notes and the previous manifest; never an asset."""
        return self.folder / OWN_FOLDER

    @classmethod
    def open(cls, arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Session:
        """Load the matrix and find out which release is meant."""
        matrix = load(arguments.matrix)
        forge = Forge.of(arguments.api, environ)
        root = arguments.matrix.resolve().parent
        release = identify(
            tag=arguments.tag, repo=arguments.repo, commit=arguments.commit, forge=forge, environ=environ, root=root
        )
        return cls(
            matrix=matrix,
            root=root,
            release=release,
            forge=forge,
            folder=arguments.dist / release.version,
            dist=arguments.dist,
            today=datetime.datetime.now(tz=datetime.UTC).date(),
            epoch=source_date_epoch(environ),
            token=environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN") or None,
        )


def source_date_epoch(environ: Mapping[str, str]) -> int | None:
    """Read SOURCE_DATE_EPOCH, the release's own time when the builder wants to say it; None when it is not set."""
    text = environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        msg = f"{text!r} is no number of seconds"
        raise UsageError(msg, where="SOURCE_DATE_EPOCH", hint="set it to seconds since 1970, or unset it")
    return int(text)
