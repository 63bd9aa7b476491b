"""Real processes that are killed at requests of every phase, and run again, until there is one correct release."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.sums import parse_sums
from tests.github.contract import check
from tests.github.fake import FakeGitHub
from tests.github.faults import Act, Hang, Point, Reset
from tests.github.invariants import unfinished, violations
from tests.github.routes import Call
from tests.github.state import Access, Token
from tests.rehearsal import COMMIT, REPO, ROOT, TOKEN, Rehearsal

pytestmark = pytest.mark.process

KILLS = (
    (Call.CREATE, 1, Point.AFTER),
    (Call.UPLOAD, 2, Point.MIDDLE),
    (Call.DOWNLOAD, 2, Point.MIDDLE),
    (Call.PATCH, 1, Point.AFTER),
    (Call.WEB_DOWNLOAD, 3, Point.BEFORE),
)


class Bench:
    """One folder of bundles, one stand-in, and processes on them."""

    def __init__(self, rehearsal: Rehearsal, github: FakeGitHub) -> None:
        self.rehearsal = rehearsal
        self.github = github
        self.child: subprocess.Popen[str] | None = None
        self.said = ""

    def publish(self) -> int:
        """Start ``python -m release publish``, wait for its end; give its exit code, negative for a signal."""
        environment = {**os.environ, "GITHUB_TOKEN": TOKEN}
        for name in ("GITHUB_SHA", "GITHUB_REPOSITORY", "GITHUB_ACTIONS", "LLAMATRIX_SIGNING_KEY"):
            environment.pop(name, None)
        argv = ["publish", *self.rehearsal._which(self.github.url), "--key", str(self.rehearsal.key)]
        with subprocess.Popen(
            [sys.executable, "-m", "release", *argv],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as child:
            self.child = child
            self.said, _ = child.communicate(timeout=120)
        self.github.faults.clear()
        return child.returncode

    def kill(self) -> None:
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    def interrupt(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGINT)

    def planned(self) -> dict[str, str]:
        """What must be published, by what was sealed: SHA256SUMS, and what it cannot list."""
        folder = self.rehearsal.dist / self.rehearsal.tag.removeprefix("v")
        sums = parse_sums((folder / "SHA256SUMS").read_bytes(), where="SHA256SUMS")
        own = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("SHA256SUMS", "SHA256SUMS.minisig")
        }
        return {**sums, **own}

    def broken(self) -> list[str]:
        return violations(self.github.state, planned=self.planned())

    def unfinished(self) -> list[str]:
        return unfinished(self.github.state, tag=self.rehearsal.tag, planned=self.planned())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    rehearsal = Rehearsal(tmp_path)
    rehearsal.forge_bundles()
    rehearsal.keygen()
    tokens = {TOKEN: Token(login="publisher", access=Access.PUSH)}
    with FakeGitHub(REPO, tags={rehearsal.tag: COMMIT}, tokens=tokens) as github:
        yield Bench(rehearsal, github)
        check(github.requests)


def test_stopped_and_killed_in_every_phase_it_becomes_one_release(bench: Bench) -> None:
    github = bench.github
    github.faults.add(Call.UPLOAD, Act("Ctrl-C", bench.interrupt), Hang(), nth=2, point=Point.MIDDLE)
    assert bench.publish() == 130
    assert "error: stopped" in bench.said
    assert "hint: run it again: it continues where it was" in bench.said
    assert "Traceback" not in bench.said

    # The draft is there already; the one kill in its making needs a new one.
    github.state.releases.clear()
    for call, nth, point in KILLS:
        github.faults.add(call, Act("kill", bench.kill), Reset(), nth=nth, point=point)

        assert bench.publish() == -signal.SIGKILL, f"{call} {nth} {point}: {bench.said}"
        assert bench.broken() == []

    changes = len(github.state.history)
    assert bench.publish() == 0, bench.said
    assert "already published, nothing was written" in bench.said
    assert len(github.state.history) == changes
    assert bench.broken() == []
    assert bench.unfinished() == []
    assert len(github.state.releases) == 1
