"""The fake on its own, as the rehearsal and CI start it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.github.contract import ROOT
from tests.github.fixtures import COMMIT
from tests.github.state import PUSH_TOKEN

pytestmark = [pytest.mark.process, pytest.mark.loopback]


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "tests.github", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_it_prints_its_address_and_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    keep = tmp_path / "bodies"
    with serving("--repo", "me/it", "--tag", f"v1={COMMIT}", "--token", "secret", "--keep", str(keep)) as (
        process,
        url,
    ):
        mine = {"Authorization": "token secret"}
        other = {"Authorization": f"token {PUSH_TOKEN}"}
        ref = requests.get(f"{url}/repos/me/it/git/ref/tags/v1", headers=mine, timeout=30)
        assert ref.json()["object"]["sha"] == COMMIT
        made = requests.post(f"{url}/repos/me/it/releases", json={"tag_name": "v1"}, headers=mine, timeout=30)
        assert made.status_code == 201
        assert requests.get(f"{url}/repos/me/it", headers=other, timeout=30).status_code == 401
        assert keep.is_dir()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_a_tag_without_a_commit_is_refused() -> None:
    with serving("--tag", "v1") as (process, url):
        assert url == ""
        assert process.wait(30) == 2
        assert process.stderr is not None
        assert "--tag v1: NAME=COMMIT with 40 hex digits is needed" in process.stderr.read()
