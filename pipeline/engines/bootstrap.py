"""A root file system from the signed Debian archive, as a tar file, made by mmdebstrap.

Signatures are checked by apt against Debian's own keyring; nothing here turns that off. For a processor this machine
cannot run, packages are extracted and not configured, which needs no emulation and is enough to run programs in.
"""

from __future__ import annotations

__all__ = ["bootstrap"]

import os
import re
import shutil
from typing import TYPE_CHECKING

from pipeline.engines.base import Ending, Folder, Job, JobResult
from pipeline.engines.host import HostEngine
from pipeline.errors import CancelledError, ImageError
from pipeline.model import LibraryKind, Output

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.engines.base import Cancel, LineSink
    from pipeline.matrix.spec import Image

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_SUITE = re.compile(r"[a-z][a-z0-9-]*")
_DEADLINE = 1800.0
# mmdebstrap removes its own work when it is told to stop, a few hundred megabytes of it.
_GRACE = 10.0
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_FOREIGN_PACKAGES = ("base-files", "libc6", "libgcc-s1")
# An extracted system has no package database; write one, so that every image can say what is in it.
_DATABASE_HOOK = (
    'for deb in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb --field "$deb" && echo "Status: install ok unpacked"'
    ' && echo || exit 1; done > "$1/var/lib/dpkg/status"'
)


def bootstrap(  # noqa: PLR0913 - what, where, and how to say so
    image: Image, name: str, folder: Path, *, store: Path, foreign: bool, say: LineSink, cancel: Cancel
) -> str:
    """Make ``folder``/image.tar and say where it came from; ``foreign`` systems are extracted only."""
    suite = image.suite or ""
    wrong = [package for package in image.packages if not _PACKAGE.fullmatch(package)]
    if not _SUITE.fullmatch(suite) or wrong:
        msg = f"not a Debian suite or package: {', '.join([suite, *wrong] if not _SUITE.fullmatch(suite) else wrong)}"
        raise ImageError(msg, where=f"image {name}", hint="fix it under images: in matrix.yaml")
    if shutil.which("mmdebstrap") is None:
        msg = f"mmdebstrap, which makes a Debian {suite} image, is not installed"
        raise ImageError(
            msg, where=f"image {name}", hint="apt-get install mmdebstrap, or give the image a pull: digest"
        )
    result = _run(image, name, folder, store=store, foreign=foreign, main_only=False, say=say, cancel=cancel)
    origin = f"Debian {suite}"
    if result.ending is Ending.FAILED and any("404" in line for line in result.tail):
        # The index of an updates archive can name a file its pool has not got (any more); the main archive is complete.
        say("an updates archive lacks a package it lists; trying again with the main archive only")
        result = _run(image, name, folder, store=store, foreign=foreign, main_only=True, say=say, cancel=cancel)
        origin = f"Debian {suite}, main archive without updates"
    if result.ending is Ending.CANCELLED:
        msg = "cancelled while an image was made"
        raise CancelledError(msg, where=f"image {name}")
    if result.ending is not Ending.OK:
        why = next(
            (line for line in reversed(result.tail) if line.startswith("E: ") and "mmdebstrap" not in line), None
        )
        msg = f"mmdebstrap could not make a Debian {suite} image: {why or result.message}"
        raise ImageError(
            msg, where=f"image {name}", hint="check the network, and that debian-archive-keyring is installed"
        )
    return origin


def _run(  # noqa: PLR0913 - one call of one program
    image: Image,
    name: str,
    folder: Path,
    *,
    store: Path,
    foreign: bool,
    main_only: bool,
    say: LineSink,
    cancel: Cancel,
) -> JobResult:
    wanted = (*(_FOREIGN_PACKAGES if foreign else ()), *image.packages)
    argv = [
        "mmdebstrap",
        f"--variant={'extract' if foreign else 'apt'}",
        f"--architectures={image.architecture}",
        '--aptopt=Acquire::Retries "3"',
        *([f'--aptopt=APT::Default-Release "{image.suite}"'] if main_only else []),
        *([f"--include={','.join(wanted)}"] if wanted else []),
        *([f"--extract-hook={_DATABASE_HOOK}"] if foreign else []),
        image.suite or "",
        "{OUT}/image.tar",
    ]
    job = Job(
        title=f"image {name}",
        argv=tuple(argv),
        folders=(Folder(name="OUT", path=folder, writable=True),),
        log=store / "images" / f"{name}.log",
        deadline=_DEADLINE,
        memory=2 * 2**30,
        cpus=1,
        network=True,
        # A user's PATH often lacks the places of chroot and dpkg's helpers.
        environment={
            "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
            "DEBIAN_FRONTEND": "noninteractive",
            **{key: os.environ[key] for key in _PROXIES if key in os.environ},
        },
        outputs=(Output(path="image.tar", kind=LibraryKind.DATA),),
    )
    return HostEngine(store, grace=_GRACE).run(job, on_line=say, cancel=cancel)
