"""One machine that publishes: its sealed files, its state, its connections, and what came of each of its runs."""

from __future__ import annotations

__all__ = ["COMMIT", "REPO", "TAG", "Publisher", "Run", "make_sealed"]

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from release.errors import VerifyError
from release.github.client import connect
from release.github.retry import Budget, Patience
from release.model import Asset, AssetKind, ReleaseId, Sealed
from release.publish.preflight import before_upload
from release.publish.publisher import Published, publish
from tests.github.fake import FakeGitHub
from tests.github.state import PUSH_TOKEN
from tests.release.faults.watch import Clock, EndlessError, Killed

REPO = "o/r"
TAG = "v1.2.3"
COMMIT = "c0ffee" * 6 + "abcd"

LOOK = 900.0
PHASE = 5400.0
LIMIT = LOOK + PHASE + 600.0
"""Seconds that one run may take at most: both budgets, and the requests that were under way when they ended."""

_FILES = (
    ("llama.cpp-1.2.3-linux-x86_64-cpu.tar.zst", AssetKind.BUNDLE, 120_000),
    ("manifest.json", AssetKind.MANIFEST, 2_000),
    ("manifest.json.minisig", AssetKind.SIGNATURE, 300),
    ("SHA256SUMS", AssetKind.SUMS, 500),
    ("SHA256SUMS.minisig", AssetKind.SIGNATURE, 300),
)


def make_sealed(folder: Path, *, salt: str = "") -> Sealed:
    """Write the files of a small release and describe them as ``seal`` does."""
    folder.mkdir(parents=True, exist_ok=True)
    assets = []
    for name, kind, size in _FILES:
        block = hashlib.sha256(f"{name} {salt}".encode()).digest()
        data = (block * (size // len(block) + 1))[:size]
        path = folder / name
        path.write_bytes(data)
        assets.append(Asset(name=name, path=path, size=size, sha256=hashlib.sha256(data).hexdigest(), kind=kind))
    return Sealed(
        id=ReleaseId(repo=REPO, tag=TAG, commit=COMMIT),
        version="1.2.3",
        assets=tuple(assets),
        notes="# 1.2.3\n\nNotes.\n",
        manifest_sha256=next(asset.sha256 for asset in assets if asset.name == "manifest.json"),
        public_key="RWQ...",
        prerelease=False,
        forged=False,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """How one run ended: ``published``, or ``error``, or ``killed``; ``bug`` is an exception that is none of ours.

    ``seconds`` is what the clock says it took, ``writes`` how many changes were made on the server meanwhile.
    """

    published: Published | None
    error: PipelineError | None
    killed: bool
    bug: BaseException | None
    seconds: float
    writes: int

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return self.published is not None

    def __str__(self) -> str:
        """One line."""
        if self.bug is not None:
            return f"bug: {self.bug!r}"
        if self.killed:
            return "killed"
        return "published" if self.error is None else f"{type(self.error).__name__}: {self.error}"[:400]


class Publisher:
    """One machine; ``run`` is one process on it. ``salt`` makes its bytes differ from another's."""

    def __init__(
        self, folder: Path, fake: FakeGitHub, clock: Clock, *, salt: str = "", token: str = PUSH_TOKEN
    ) -> None:
        self.sealed = make_sealed(folder / "dist", salt=salt)
        self.state = folder / "own" / "state.json"
        self.said: list[str] = []
        self.phase = PHASE
        self._fake = fake
        self._clock = clock
        self._token = token

    @property
    def planned(self) -> dict[str, str]:
        """What the release must hold: name to SHA-256."""
        return {asset.name: asset.sha256 for asset in self.sealed.assets}

    def run(self) -> Run:
        """Look ahead, publish and verify, as ``python -m release publish`` does after sealing."""
        began, before = self._clock.now, len(self._fake.state.history)
        published: Published | None = None
        error: PipelineError | None = None
        bug: BaseException | None = None
        killed = False
        try:
            published = self._publish()
        except Killed:
            killed = True
        except PipelineError as raised:
            error = raised
        except (Exception, EndlessError) as raised:  # noqa: BLE001  whatever it is, it is a finding
            bug = raised
        return Run(
            published=published,
            error=error,
            killed=killed,
            bug=bug,
            seconds=self._clock.now - began,
            writes=len(self._fake.state.history) - before,
        )

    def _publish(self) -> Published:
        url = self._fake.url
        remote = connect(api=url, repo=REPO, token=self._token, say=self.said.append)
        anonymous = connect(api=url, repo=REPO, token=None, say=self.said.append)
        before_upload(self.sealed, remote, patience=self._patience(LOOK), api=url)
        return publish(
            self.sealed,
            remote,
            anonymous=anonymous,
            state=self.state,
            patience=self._patience(self.phase),
            say=self.said.append,
            verifier=self._verify,
        )

    def _patience(self, seconds: float) -> Patience:
        budget = Budget(seconds, clock=self._clock)
        return Patience(budget=budget, say=self.said.append, sleep=self._clock.sleep, random=lambda: 0.5)

    def _verify(self, folder: Path) -> None:
        """Stand in for the verifier: every file that vouches is there, and is what was sealed."""
        kinds = {AssetKind.MANIFEST, AssetKind.SUMS, AssetKind.SIGNATURE}
        want = {asset.name: asset.sha256 for asset in self.sealed.assets if asset.kind in kinds}
        have = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        if want != have:
            raise VerifyError(["what vouches for the release is not what was sealed"], where=TAG)
