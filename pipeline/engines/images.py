"""Container images: pulled by digest, or bootstrapped from the signed Debian archive and imported.

Whatever the way, a job gets an immutable image id, and the record says where the image came from and which packages in
which versions are in it, read from the image itself without running it.
"""

from __future__ import annotations

__all__ = ["ImageRef", "ensure_image"]

import io
import re
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import tenacity

from pipeline.engines.bootstrap import bootstrap
from pipeline.engines.docker import store_label
from pipeline.engines.host import scratch_folder
from pipeline.engines.image_keys import image_key
from pipeline.engines.owner import this_process
from pipeline.errors import CancelledError, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from docker import DockerClient

    from pipeline.engines.base import Cancel, LineSink
    from pipeline.matrix.spec import Image

_LABEL = "llamatrix.image.key"
_ORIGIN = "llamatrix.image.origin"
_STATUS = "/var/lib/dpkg/status"
_STATUS_LIMIT = 64 * 1024 * 1024
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_ATTEMPTS = 4
_HINT = "check that Docker runs and has free space, then run again"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRef:
    """An image that is there: ``reference`` is its immutable id, ``packages`` maps Debian packages to versions."""

    name: str
    key: str
    reference: str
    origin: str
    digest: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)


def ensure_image(  # noqa: PLR0913, PLR0917 - what, where, and how to say so
    image: Image, name: str, client: DockerClient, store: Path, say: LineSink, cancel: Cancel
) -> ImageRef:
    """Make sure that ``image`` is in the engine behind ``client``, made or pulled only when it is not there yet."""
    where = f"image {name}"
    if image.needs is not None:
        msg = f"this image cannot be made yet: {image.needs}"
        raise ImageError(msg, where=where)
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be part of an image's name"
        raise ImageError(msg, where="matrix.yaml", hint="use lower-case letters, digits and single dashes")
    if (image.pull is None) == (image.suite is None):
        msg = "an image has either pull: or suite:"
        raise ImageError(msg, where=where, hint="fix it under images: in matrix.yaml")
    from docker.errors import DockerException  # noqa: PLC0415 - the SDK takes a fifth of a second
    from requests.exceptions import RequestException  # noqa: PLC0415 - the SDK takes a fifth of a second

    try:
        if image.pull is not None:
            return _pulled(image, name, client, store, say, cancel)
        return _bootstrapped(image, name, client, store, say, cancel)
    except (DockerException, RequestException) as error:
        msg = f"Docker could not provide the image: {getattr(error, 'explanation', None) or error}"
        raise ImageError(msg, where=where, hint=_HINT) from error


def _bootstrapped(  # noqa: PLR0913, PLR0917 - as ensure_image
    image: Image, name: str, client: DockerClient, store: Path, say: LineSink, cancel: Cancel
) -> ImageRef:
    from docker.errors import ImageNotFound  # noqa: PLC0415 - see ensure_image

    key = image_key(image)
    repository, tag = f"llamatrix/{name}", key[:12]
    try:
        found = client.images.get(f"{repository}:{tag}")
        if found.labels.get(_LABEL) == key:
            return _record(name, key, found.id, found.labels.get(_ORIGIN, ""), client, store, image)
    except ImageNotFound:
        pass
    foreign = str(client.version().get("Arch", "")) != image.architecture
    say(f"making image {name}: Debian {image.suite} for {image.architecture}")
    with scratch_folder(store) as folder:
        origin = bootstrap(image, name, folder, store=store, foreign=foreign, say=say, cancel=cancel)
        # Imported as the engine's own architecture even when the contents are foreign: the first program a job starts
        # in such an image is this machine's emulator.
        client.api.import_image_from_file(
            str(folder / "image.tar"),
            repository=repository,
            tag=tag,
            changes=[f"LABEL {_LABEL}={key}", f'LABEL {_ORIGIN}="{origin}"'],
        )
    made = client.images.get(f"{repository}:{tag}")
    if made.labels.get(_LABEL) != key:
        msg = "the imported image does not carry its key"
        raise ImageError(msg, where=f"image {name}", hint="did something else tag an image of this name? Run again")
    return _record(name, key, made.id, origin, client, store, image)


def _pulled(  # noqa: PLR0913, PLR0917 - as ensure_image
    image: Image, name: str, client: DockerClient, store: Path, say: LineSink, cancel: Cancel
) -> ImageRef:
    from docker.errors import APIError, ImageNotFound  # noqa: PLC0415 - see ensure_image
    from requests.exceptions import RequestException  # noqa: PLC0415 - see ensure_image

    pull = image.pull or ""
    repository, _, digest = pull.partition("@")

    def attempt() -> None:
        say(f"pulling image {name}: {pull}")
        for line in client.api.pull(repository, tag=digest, stream=True, decode=True):
            if cancel.is_set():
                msg = "cancelled while an image was pulled"
                raise CancelledError(msg, where=f"image {name}")
            if "error" in line:
                raise APIError(line["error"])

    try:
        found = client.images.get(pull)
    except ImageNotFound:
        tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((APIError, RequestException)),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=1, max=10),
            sleep=_sleeper(cancel),
            reraise=True,
        )(attempt)
        found = client.images.get(pull)
    digests = found.attrs.get("RepoDigests") or []
    if not any(entry.endswith(f"@{digest}") for entry in digests):
        msg = f"the image that came has digests {', '.join(digests) or 'none'}, not {digest}"
        raise ImageError(msg, where=f"image {name}", hint="do not use it; check the digest in matrix.yaml")
    return _record(name, image_key(image), found.id, pull, client, store, image, digest=digest)


def _sleeper(cancel: Cancel) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        # The next attempt sees a cancellation itself.
        cancel.wait(seconds)

    return sleep


def _record(  # noqa: PLR0913, PLR0917 - a record has fields
    name: str,
    key: str,
    reference: str | None,
    origin: str,
    client: DockerClient,
    store: Path,
    image: Image,
    *,
    digest: str | None = None,
) -> ImageRef:
    reference = reference or ""
    packages = _packages_of(reference, client, store)
    missing = sorted(set(image.packages) - {package.partition(":")[0] for package in packages})
    if missing or (image.suite is not None and not packages):
        msg = f"the image lacks {', '.join(missing) or 'a package list'}"
        raise ImageError(msg, where=f"image {name}", hint="name real packages, not virtual ones, in matrix.yaml")
    return ImageRef(name=name, key=key, reference=reference, origin=origin, digest=digest, packages=packages)


def _packages_of(reference: str, client: DockerClient, store: Path) -> dict[str, str]:
    """Read the package list of an image; an id never changes its contents, so the store remembers."""
    known = store / "images" / f"{reference.partition(':')[2]}.json"
    try:
        return msgspec.json.decode(known.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        pass
    packages = dict(_parse_status(_read_status(reference, client, store)))
    known.parent.mkdir(parents=True, exist_ok=True)
    partial = known.with_name(f"{known.name}.{this_process()}")
    partial.write_bytes(msgspec.json.encode(packages, order="sorted"))
    partial.replace(known)
    return packages


def _read_status(reference: str, client: DockerClient, store: Path) -> str:
    from docker.errors import NotFound  # noqa: PLC0415 - see ensure_image

    labels = {"llamatrix.store": store_label(store), "llamatrix.owner": this_process()}
    container = client.containers.create(reference, ["never-started"], network_mode="none", labels=labels)
    try:
        chunks, _ = container.get_archive(_STATUS)
        return _member_text(chunks)
    except NotFound:
        # Not a Debian system.
        return ""
    finally:
        container.remove(force=True, v=True)


def _member_text(chunks: Any) -> str:  # noqa: ANN401 - the SDK's stream of bytes
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > _STATUS_LIMIT:
            msg = f"the package database of the image is larger than {_STATUS_LIMIT} bytes"
            raise ImageError(msg, hint="this is no ordinary Debian image; use another")
    try:
        with tarfile.open(fileobj=io.BytesIO(bytes(data))) as tar:
            file = next((tar.extractfile(member) for member in tar if member.isreg()), None)
            return file.read().decode("utf-8", errors="replace") if file is not None else ""
    except tarfile.TarError as error:
        msg = f"Docker gave a damaged archive of the package database: {error}"
        raise ImageError(msg, hint=_HINT) from error


def _parse_status(text: str) -> Iterator[tuple[str, str]]:
    """Read dpkg's database: each package there is, with its version; a second architecture is named."""
    seen: set[str] = set()
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Za-z-]+: ", line))
        if "Package" not in fields or fields.get("Status", "").rpartition(" ")[2] not in {"installed", "unpacked"}:
            continue
        name = fields["Package"]
        if name in seen:
            name = f"{name}:{fields.get('Architecture', '')}"
        seen.add(name)
        yield name, fields.get("Version", "")
