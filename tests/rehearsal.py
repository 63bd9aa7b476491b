"""The whole line with nothing but Python: bundles, seal, publish to a stand-in for GitHub on this machine, verify.

``nox -s rehearse`` runs it with bundles of the fake engine and a key that is thrown away. ``--dist DIR`` takes really
built bundles instead, and ``--tools`` asks minisign, sha256sum, cosign and gh for their opinion as well.

Forged bundles cannot run, so their smoke, tests and repro gates are skipped, and a release refuses skipped gates. The
rehearsal therefore waives them in a copy of matrix.yaml, with a reason and until tomorrow: the waivers then show in the
manifest and in the notes, as every waiver does.
"""

from __future__ import annotations

__all__ = ["Rehearsal", "main"]

import argparse
import contextlib
import datetime
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from tests.release.second_opinion import ask

ROOT = Path(__file__).resolve().parent.parent
REPO = "rehearsal/llamatrix"
COMMIT = "0123456789abcdef" * 2 + "5ea15ea1"
TOKEN = "rehearsal-token"  # the stand-in's, worth nothing anywhere else
_CANNOT_RUN = ("smoke", "tests", "repro")


def waived_matrix(text: str, today: datetime.date) -> str:
    """Give matrix.yaml with a waiver for every gate that needs a program to run."""
    content = yaml.safe_load(text)
    until = (today + datetime.timedelta(days=1)).isoformat()
    waivers = [
        {"gate": gate, "reason": "a rehearsal: forged programs are never run", "until": until} for gate in _CANNOT_RUN
    ]
    content["overrides"].append({"cells": "*/*/*", "set": {"waivers": waivers}})
    return yaml.safe_dump(content, sort_keys=False)


class Rehearsal:
    """One rehearsal in a folder of its own; every step is a process, exactly as a maintainer would start it."""

    def __init__(self, folder: Path, record: Path | None = None) -> None:
        self.folder = folder
        self.record = record or folder / "exchanges"
        self.matrix = ROOT / "matrix.yaml"
        self.dist = folder / "dist"
        self.key = folder / "minisign.key"
        self.public = folder / "minisign.pub"

    def run(self, *argv: str, expect: int = 0) -> str:
        """Run ``python -m ARGV`` and give its output; it must end with ``expect``."""
        environment = {**os.environ, "GITHUB_TOKEN": TOKEN}
        for name in ("GITHUB_SHA", "GITHUB_REPOSITORY", "GITHUB_ACTIONS", "LLAMATRIX_SIGNING_KEY", "SOURCE_DATE_EPOCH"):
            environment.pop(name, None)
        ended = subprocess.run(
            [sys.executable, "-m", *argv], cwd=ROOT, env=environment, text=True, capture_output=True, check=False
        )
        shown = ended.stdout + ended.stderr
        if ended.returncode != expect:
            msg = f"python -m {' '.join(argv)} ended with {ended.returncode}, not {expect}:\n{shown}"
            raise RuntimeError(msg)
        return shown

    def forge_bundles(self) -> None:
        """Have the fake engine make every bundle of the matrix."""
        today = datetime.datetime.now(tz=datetime.UTC).date()
        self.matrix = self.folder / "matrix.yaml"
        self.matrix.write_text(waived_matrix((ROOT / "matrix.yaml").read_text(encoding="utf-8"), today))
        (self.folder / "containers").symlink_to(ROOT / "containers")
        self.build()

    def build(self) -> None:
        """Run build-matrix with the fake engine."""
        self.run(
            "pipeline", "build-matrix", "--engine", "fake", "--profile", "release", "--all",
            "--matrix", str(self.matrix), "--store", str(self.folder / "store"), "--dist", str(self.dist),
        )  # fmt: skip

    def take_bundles(self, dist: Path, matrix: Path) -> None:
        """Take copies of really built bundles, without what an earlier seal put beside them."""
        self.matrix = matrix
        sealed = ("release", "*.minisig", "SHA256SUMS", "*.cdx.json", "manifest.json", "provenance.intoto.jsonl")
        shutil.copytree(dist, self.dist, ignore=shutil.ignore_patterns(*sealed))

    @property
    def tag(self) -> str:
        """The tag matrix.yaml's version asks for."""
        return "v" + str(yaml.safe_load(self.matrix.read_text(encoding="utf-8"))["version"])

    @contextlib.contextmanager
    def stand_in(self) -> Iterator[str]:
        """Start the stand-in for GitHub and give its address."""
        with (
            (self.folder / "github.log").open("w") as log,
            subprocess.Popen(
                [sys.executable, "-m", "tests.github", "--port", "0", "--repo", REPO, "--token", TOKEN,
                 "--tag", f"{self.tag}={COMMIT}", "--keep", str(self.folder / "github"),
                 "--record", str(self.record)],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True,
            ) as server,
        ):  # fmt: skip
            try:
                assert server.stdout is not None
                yield server.stdout.readline().strip()
            finally:
                server.send_signal(signal.SIGTERM)

    def keygen(self) -> None:
        """Make the key that is thrown away; without a password, since nobody is there to type one."""
        self.run("release", "keygen", "--no-password", "--key", str(self.key), "--public-key", str(self.public))

    def publish(self, api: str, *more: str) -> str:
        """Seal, publish and verify."""
        return self.run("release", "publish", *self._which(api), "--key", str(self.key), *more)

    def verify(self, api: str, what: str, *, expect: int = 0) -> str:
        """Do what a careful user does."""
        return self.run(
            "release", "verify", what, "--public-key", str(self.public), "--repo", REPO, "--api", api, expect=expect
        )

    def second_opinion(self, api: str) -> Iterator[str]:
        """Ask Debian's programs."""
        public = ("--public-key", str(self.public))
        return ask(
            api=api,
            repo=REPO,
            tag=self.tag,
            token=TOKEN,
            public_key=self.run("release", "pubkey", *public).strip(),
            pem=self.run("release", "pubkey", *public, "--pem"),
            work=self.folder / "second-opinion",
        )

    def _which(self, api: str) -> tuple[str, ...]:
        return (
            "--tag", self.tag, "--repo", REPO, "--commit", COMMIT, "--api", api,
            "--matrix", str(self.matrix), "--dist", str(self.dist),
        )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Rehearse and say what was seen; any step that does not end as it should ends the rehearsal."""
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal", description=__doc__)
    parser.add_argument("--dist", type=Path, metavar="DIR", help="take really built bundles from here")
    parser.add_argument("--matrix", type=Path, default=ROOT / "matrix.yaml", help="the matrix they were built from")
    parser.add_argument("--record", type=Path, metavar="FILE", help="where to keep every exchange with the stand-in")
    parser.add_argument("--tools", action="store_true", help="ask minisign, sha256sum, cosign and gh too")
    arguments = parser.parse_args(argv)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:5.1f}s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="llamatrix-rehearsal-") as name:
        rehearsal = Rehearsal(Path(name), arguments.record)
        if arguments.dist:
            rehearsal.take_bundles(arguments.dist, arguments.matrix.resolve())
            say(f"took the bundles of {arguments.dist}")
        else:
            rehearsal.forge_bundles()
            say("the fake engine made the bundles")
        rehearsal.keygen()
        say("made a key to throw away")
        with rehearsal.stand_in() as api:
            print(rehearsal.publish(api, "--dry-run"))
            say("dry run: nothing was sent")
            print(rehearsal.publish(api))
            say("sealed, published and verified")
            again = rehearsal.publish(api)
            if "already published" not in again:
                msg = f"the second run did not find the first one's work:\n{again}"
                raise RuntimeError(msg)
            say("a second run found everything published and wrote nothing")
            print(rehearsal.verify(api, rehearsal.tag))
            print(rehearsal.verify(api, str(rehearsal.dist / rehearsal.tag.removeprefix("v"))))
            say("verified as a user, by tag and as a folder")
            _tamper(rehearsal, api)
            say("a single changed byte was refused")
            if arguments.tools:
                for line in rehearsal.second_opinion(api):
                    say(line)
    say("rehearsed")
    return 0


def _tamper(rehearsal: Rehearsal, api: str) -> None:
    folder = rehearsal.dist / rehearsal.tag.removeprefix("v")
    victim = min(folder.glob("*.tar.zst"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.unlink()  # it may be a link to somebody's file
    victim.write_bytes(data)
    rehearsal.verify(api, str(folder), expect=29)


if __name__ == "__main__":
    sys.exit(main())
