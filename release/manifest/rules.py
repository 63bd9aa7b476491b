"""What must hold in every manifest, whoever wrote it: the generator asks before it writes, the reader after it read.

Incidents: an embedded manifest shipped with 64 zeros as every digest (tsuku v1); a default variant that needed a GPU
(the same, on macOS); downloads that were not on the release's own page.
"""

from __future__ import annotations

__all__ = ["find_problems", "is_placeholder"]

import datetime
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from release.manifest.environment import is_allowed
from release.manifest.records import Artifact, Manifest, PlatformEntry, Reference, VariantEntry

_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_SUFFIX = ".tar.zst"
_FLOORS = {"linux": "glibc", "darwin": "macos"}
_NEEDS = {"cuda": "nvidia", "rocm": "amd", "vulkan": "vulkan"}
_DAY = 10


def is_placeholder(digest: str) -> bool:
    """Tell whether a digest was filled in by hand: one character over and over, or the digest of nothing."""
    return len(set(digest)) < 2 or digest == _EMPTY  # noqa: PLR2004  one character is no digest


def find_problems(manifest: Manifest) -> Iterator[str]:
    """Yield everything that is wrong with a manifest whose records are well-formed."""
    yield from _texts(msgspec.to_builtins(manifest), "")
    yield from _times(manifest)
    yield from _history(manifest)
    for project, entry in manifest.projects.items():
        if entry.source.digest is not None and is_placeholder(entry.source.digest):
            yield f"{project}: the source's digest is a placeholder"
        if entry.platforms and None in {entry.source.commit, entry.source.digest}:
            yield f"{project}: it is released and its source names no commit or no digest"
        for platform, bundles in entry.platforms.items():
            for problem in _platform(platform, bundles):
                yield f"{project}/{platform}: {problem}"
            for variant, bundle in bundles.variants.items():
                for problem in _variant(platform, bundle, manifest):
                    yield f"{project}/{platform}/{variant}: {problem}"
    yield from _assets(manifest)
    yield from _missing(manifest)


def _bundles(manifest: Manifest) -> Iterator[tuple[str, VariantEntry]]:
    for project, entry in manifest.projects.items():
        for platform, bundles in entry.platforms.items():
            for variant, bundle in bundles.variants.items():
                yield f"{project}/{platform}/{variant}", bundle


def _texts(value: object, where: str) -> Iterator[str]:
    """Refuse characters nobody sees: they hide what a text says, and move a terminal's cursor."""
    if isinstance(value, str):
        if not value.isprintable():
            yield f"{where or 'the manifest'}: {value!r} holds control or invisible characters"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key, where)
            yield from _texts(item, f"{where}.{key}".removeprefix("."))
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from _texts(item, f"{where}[{at}]")


def _moment(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


def _times(manifest: Manifest) -> Iterator[str]:
    generated, expires = _moment(manifest.generated_at), _moment(manifest.expires_at)
    if generated is None or expires is None:
        yield f"{manifest.generated_at} or {manifest.expires_at} is no time"
    elif expires <= generated:
        yield f"it expires on {manifest.expires_at}, before it was made on {manifest.generated_at}"


def _history(manifest: Manifest) -> Iterator[str]:
    release = manifest.release
    if is_placeholder(release.commit):
        yield f"the release's commit {release.commit} is a placeholder"
    if is_placeholder(manifest.provenance.sha256):
        yield f"{manifest.provenance.name}: its digest is a placeholder"
    if release.previous is None:
        if manifest.manifest_version != 1:
            yield f"manifest_version is {manifest.manifest_version} and no previous manifest is named"
        return
    if is_placeholder(release.previous.sha256):
        yield "the previous manifest's digest is a placeholder"
    if release.previous.tag == release.tag:
        yield f"the previous manifest is of the same tag {release.tag}"
    if manifest.manifest_version not in {1, release.previous.manifest_version + 1}:
        yield f"manifest_version is {manifest.manifest_version}, after {release.previous.manifest_version}"


def _platform(platform: str, entry: PlatformEntry) -> Iterator[str]:
    if platform.partition("-")[0] not in _FLOORS:
        yield f"nobody knows a platform {platform}"
    there, order = set(entry.variants), entry.order
    if set(order) - there:
        yield f"order names {', '.join(sorted(set(order) - there))}, which is not released"
    if there - set(order):
        yield f"order leaves out {', '.join(sorted(there - set(order)))}"
    if len(order) != len(set(order)):
        yield "order names a variant twice"
    default = entry.variants.get(entry.default)
    if default is None:
        yield f"its default variant {entry.default} is not released, so a machine without a GPU would get nothing"
        return
    asked = [name for name in ("nvidia", "amd", "vulkan") if getattr(default.requires, name) is not None]
    asked += default.requires.libs
    if asked:
        yield f"its default variant {entry.default} requires {', '.join(asked)}, which not every machine has"


def _variant(platform: str, entry: VariantEntry, manifest: Manifest) -> Iterator[str]:
    yield from _artifact(entry.artifact, manifest)
    for companion in entry.companions:
        yield from _artifact(companion, manifest)
    if is_placeholder(entry.sbom.sha256):
        yield f"the digest of {entry.sbom.name} is a placeholder"
    floors = {name for name in _FLOORS.values() if getattr(entry.requires, name) is not None}
    if floors != {_FLOORS.get(platform.partition("-")[0], "")}:
        yield f"its floor is given for {' and '.join(sorted(floors)) or 'nothing'}"
    for backend, key in _NEEDS.items():
        if (getattr(entry.requires, key) is not None) != (entry.backend == backend):
            there = "not there" if entry.backend == backend else "there"
            yield f"its backend is {entry.backend} and requires.{key} is {there}"
    if entry.backend not in {"all", *entry.attest.backends}:
        yield f"its backend {entry.backend} was not found inside"
    for variable in entry.env:
        if not is_allowed(variable.name):
            yield f"the variable {variable.name} is not one a manifest may set"
    yield from _proof(entry, manifest)
    yield from _probe(entry)


def _proof(entry: VariantEntry, manifest: Manifest) -> Iterator[str]:
    waived = [waiver.gate for waiver in entry.waivers]
    if sorted(waived) != sorted(gate for gate, status in entry.attest.gates.items() if status == "waived"):
        yield "its waivers are not those of its gates"
    if not entry.attest.gates:
        yield "no gate was passed"
    for waiver in entry.waivers:
        if waiver.until < manifest.generated_at[:_DAY]:
            yield f"the waiver of gate {waiver.gate} ended on {waiver.until}, before the release"
    if not entry.attest.bundled:
        yield "no library was found inside"
    for library in entry.attest.bundled:
        if is_placeholder(library.sha256):
            yield f"the digest of {library.name} is a placeholder"


def _probe(entry: VariantEntry) -> Iterator[str]:
    program = entry.probe.argv[0]
    if program.startswith("/") or "\\" in program or {"", ".", ".."} & set(program.split("/")):
        yield f"its probe runs {program!r}, which is not a path inside the bundle"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some patterns only make Python wonder
            re.compile(entry.probe.expect)
    except (re.error, RecursionError, OverflowError):
        yield f"its probe expects {entry.probe.expect!r}, which is no regular expression"


def _artifact(artifact: Artifact, manifest: Manifest) -> Iterator[str]:
    release = manifest.release
    if is_placeholder(artifact.sha256):
        yield f"the digest of {artifact.name} is a placeholder"
    if artifact.size < 1 or artifact.unpacked_size < 1:
        yield f"{artifact.name} has no size"
    if artifact.name != f"{artifact.top}{_SUFFIX}":
        yield f"{artifact.name} unpacks to {artifact.top}, which is not its name"
    if not artifact.urls:
        yield f"{artifact.name} can be had nowhere"
    ours = f"{release.server}/{release.repo}/releases/download/{release.tag}/{artifact.name}"
    for url in artifact.urls:
        if url != ours:
            yield f"{url} is not in the release, where it would be {ours}"


def _assets(manifest: Manifest) -> Iterator[str]:
    """One asset is one thing: a name or a digest that appears twice means that something was mixed up."""
    found: list[Artifact | Reference] = [manifest.provenance]
    for _, bundle in _bundles(manifest):
        found += [bundle.artifact, *bundle.companions, bundle.sbom]
    for what, counts in (
        ("name", Counter(asset.name for asset in found)),
        ("digest", Counter(asset.sha256 for asset in found)),
    ):
        for value, count in counts.items():
            if count > 1:
                yield f"{count} assets have the {what} {value}"
    if not any(True for _ in _bundles(manifest)):
        yield "it releases nothing"


def _missing(manifest: Manifest) -> Iterator[str]:
    there = {cell for cell, _ in _bundles(manifest)}
    digests = {bundle.artifact.sha256: cell for cell, bundle in _bundles(manifest)}
    counts = Counter(entry.cell for entry in manifest.missing)
    for cell, count in counts.items():
        if count > 1 or cell in there:
            yield f"{cell} is missing {'and released' if cell in there else 'more than once'}"
    for archive in manifest.revoked:
        if archive.sha256 in digests:
            yield f"{digests[archive.sha256]} is released and revoked: {archive.reason}"
        if is_placeholder(archive.sha256):
            yield "a revoked digest is a placeholder"
