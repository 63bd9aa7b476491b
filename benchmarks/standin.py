"""The stand-in for GitHub as a process of its own, and the few questions that benchmarks ask it."""

from __future__ import annotations

__all__ = ["COMMIT", "REPO", "TAG", "TOKEN", "ask", "stand_in"]

import contextlib
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.rows import NotRunError
from benchmarks.setting import ROOT

REPO = "bench/llamatrix"
TAG = "v0.1.0"
COMMIT = "0123456789abcdef" * 2 + "5ea15ea1"
TOKEN = "bench-token"  # the stand-in's, worth nothing anywhere else


@contextlib.contextmanager
def stand_in(*, keep: Path | None = None) -> Iterator[str]:
    """Start it and give its address; large bodies are hashed and forgotten unless there is a folder to keep them."""
    command = [sys.executable, "-m", "tests.github", "--repo", REPO, "--token", TOKEN, "--tag", f"{TAG}={COMMIT}"]
    command += [] if keep is None else ["--keep", str(keep)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            if not address:
                msg = "the stand-in for GitHub did not start"
                raise NotRunError(msg)
            yield address
        finally:
            server.send_signal(signal.SIGTERM)


def ask(url: str, payload: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401  whatever the JSON is
    """Ask for some JSON, or with a payload have something made."""
    body = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(
        url, data=body, headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
