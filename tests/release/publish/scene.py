"""A sealed release of tiny files, a forge in memory, and one publisher's run on them."""

from __future__ import annotations

__all__ = ["COMMIT", "TAG", "Scene", "make_sealed", "reseal"]

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from release.errors import VerifyError
from release.github.retry import Budget, Patience
from release.model import Asset, AssetKind, ReleaseId, Sealed
from release.publish.publisher import Published, publish
from tests.release.publish.fake_remote import Fake, FakeHub, FakeRemote, Plan

COMMIT = "c" * 40
TAG = "v1.2.3"

_FILES = (
    ("llama.cpp-1.2.3-linux-x86_64-cpu.tar.zst", AssetKind.BUNDLE),
    ("llama.cpp-1.2.3-linux-x86_64-cpu.cdx.json", AssetKind.SBOM),
    ("provenance.intoto.jsonl", AssetKind.PROVENANCE),
    ("manifest.json", AssetKind.MANIFEST),
    ("manifest.json.minisig", AssetKind.SIGNATURE),
    ("SHA256SUMS", AssetKind.SUMS),
    ("SHA256SUMS.minisig", AssetKind.SIGNATURE),
)


def make_sealed(folder: Path, *, salt: str = "") -> Sealed:
    """Write the files of a release and describe them as ``seal`` does."""
    folder.mkdir(parents=True, exist_ok=True)
    assets = []
    for name, kind in _FILES:
        data = f"{name} {salt}".encode()
        path = folder / name
        path.write_bytes(data)
        assets.append(Asset(name=name, path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest(), kind=kind))
    return Sealed(
        id=ReleaseId(repo="o/r", tag=TAG, commit=COMMIT),
        version="1.2.3",
        assets=tuple(assets),
        notes="# 1.2.3\n\nNotes.\n",
        manifest_sha256=next(asset.sha256 for asset in assets if asset.name == "manifest.json"),
        public_key="RWQ...",
        prerelease=False,
        forged=False,
    )


def reseal(sealed: Sealed, folder: Path, *, salt: str) -> Sealed:
    """The same release, sealed again with other content."""
    return replace(make_sealed(folder, salt=salt), notes=sealed.notes)


class Scene:
    """Everything one publisher needs, kept over several runs as on one machine."""

    def __init__(self, folder: Path, *, hub: FakeHub | None = None, salt: str = "", budget: float = 5400.0) -> None:
        self.folder = folder
        self.sealed = make_sealed(folder / "dist", salt=salt)
        self.state = folder / "own" / "release-state.json"
        self.hub = hub or FakeHub()
        self.hub.tags.setdefault(TAG, COMMIT)
        self.budget = budget
        self.said: list[str] = []
        self.verified: list[Path] = []
        self.events: set[str] = set()
        self.want(self.sealed)

    def want(self, sealed: Sealed) -> None:
        """From now on this is what a release must hold."""
        self.sealed = sealed
        good = self.hub.good.setdefault(TAG, [])
        if self.names() not in good:
            good.append(self.names())

    def names(self) -> dict[str, str]:
        """What the release must hold: name to SHA-256."""
        return {asset.name: asset.sha256 for asset in self.sealed.assets}

    def patience(self) -> Patience:
        clock = self.hub.clock
        return Patience(
            budget=Budget(self.budget, clock=clock), say=self.said.append, sleep=clock.sleep, random=lambda: 0.5
        )

    def verify(self, folder: Path) -> None:
        """The injected verifier: every file that vouches is there and says what was sealed."""
        self.verified.append(folder)
        kinds = {AssetKind.MANIFEST, AssetKind.SUMS, AssetKind.SIGNATURE}
        want = {asset.name: asset.sha256 for asset in self.sealed.assets if asset.kind in kinds}
        have = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        if want != have:
            raise VerifyError(["what vouches for the release is not what was sealed"], where=str(folder))

    def publish(self, plan: Plan | None = None, *, sealed: Sealed | None = None) -> Published:
        """One run of one process."""
        self.hub.arm(plan)
        return publish(
            sealed or self.sealed,
            FakeRemote(self.hub),
            anonymous=FakeRemote(self.hub, writer=False),
            state=self.state,
            patience=self.patience(),
            say=self.said.append,
            verifier=self.verify,
        )

    def only(self) -> Fake:
        """The one release there is."""
        (found,) = self.hub.releases.values()
        return found

    def files(self, names: Iterable[str] | None = None) -> dict[str, bytes]:
        """The files of the release, to put them somewhere by hand."""
        wanted = None if names is None else set(names)
        return {
            asset.name: asset.path.read_bytes()
            for asset in self.sealed.assets
            if wanted is None or asset.name in wanted
        }

    def assert_published(self) -> None:
        """Exactly one release, with exactly the planned assets, and nothing forbidden on the way."""
        (found,) = self.hub.published(TAG)
        assert found.names() == self.names()
        assert len(found.assets) == len(self.sealed.assets)
        assert self.hub.crimes == []
