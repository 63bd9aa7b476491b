"""How fast a release of 60 files is uploaded against curl, and how much memory publishing it takes."""

from __future__ import annotations

__all__ = ["by_curl", "measure"]

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.parcels import COUNT, made_release
from benchmarks.publisher import Taken
from benchmarks.rows import Goal, NotRunError, Row, not_run, paired, row
from benchmarks.setting import ROOT, Setting
from benchmarks.standin import COMMIT, REPO, TAG, TOKEN, ask, stand_in
from benchmarks.timing import alternating, finish
from release.model import Sealed

_USUAL, _FULL = 2 << 30, 10 << 30
_SPEED = Goal(limit=0.8, at_least=True)
_MEMORY = Goal(limit=120)
_RATIO = "throughput of the upload, ours / curl"
_TRANSFER = """\
url = "{url}?name={name}"
upload-file = "{path}"
request = POST
header = "Authorization: token {token}"
header = "Content-Type: application/octet-stream"
header = "Expect:"
output = "{answer}"
silent
show-error
fail
"""


def measure(setting: Setting) -> list[Row]:
    """Upload in turns to a stand-in that forgets the bytes; then publish to one that keeps and gives them back."""
    size = _FULL if setting.full else _USUAL
    work = setting.folder("publishing")
    sealed = made_release(work / "files", size)
    try:
        rows = [*_uploads(setting, work, sealed), *_whole(setting, work, sealed)]
    finally:
        if not setting.kept:
            shutil.rmtree(work, ignore_errors=True)
    if not setting.full:
        rows.append(not_run(f"{_RATIO}, 10 GiB", "it takes 20 GB of disk; --full does it", " x", goal=_SPEED))
    return rows


def _uploads(setting: Setting, work: Path, sealed: Sealed) -> list[Row]:
    size = sum(asset.size for asset in sealed.assets)
    what = f"{size / 2**30:.0f} GiB"
    peaks: list[float] = []

    def ours() -> float:
        with stand_in() as address:
            taken = _published(work, address, "--stop")
        peaks.append(taken.peak)
        return taken.upload

    def curl() -> float:
        with stand_in() as address:
            return by_curl(work, sealed, address)

    if shutil.which("curl") is None:
        return [not_run(f"{_RATIO}, {what}", "there is no curl", " x", goal=_SPEED)]
    times = alternating({"ours": ours, "curl": curl}, runs=setting.repeat(3 if setting.full else 5))
    note = f"{COUNT} files, the stand-in hashes and forgets them"
    return [
        row(f"upload of {what}, ours", [size / 1e6 / each for each in times["ours"]], " MB/s", note=note),
        row(f"upload of {what}, curl", [size / 1e6 / each for each in times["curl"]], " MB/s"),
        row(f"{_RATIO}, {what}", paired(times["curl"], times["ours"]), " x", goal=_SPEED),
        row(f"peak memory of the publisher, uploads of {what}", peaks[1:], " MB", goal=_MEMORY),
    ]


def _whole(setting: Setting, work: Path, sealed: Sealed) -> list[Row]:
    """Publish from end to end, every byte downloaded again as a stranger does."""
    size = sum(asset.size for asset in sealed.assets)
    what = f"{size / 2**30:.0f} GiB"
    found: list[Taken] = []
    for _ in range(setting.repeat(2)):
        keep = work / "kept"
        try:
            with stand_in(keep=keep) as address:
                found.append(_published(work, address))
        finally:
            shutil.rmtree(keep, ignore_errors=True)
    return [
        row(f"whole publication of {what}", [each.whole for each in found], " s", note="the stand-in writes to disk"),
        row(f"its verification from outside, {what}", [size / 1e6 / each.outside for each in found], " MB/s"),
        row(f"peak memory of a whole publication, {what}", [each.peak for each in found], " MB", goal=_MEMORY),
    ]


def _published(work: Path, address: str, *more: str) -> Taken:
    state = work / "own" / "state.json"
    shutil.rmtree(state.parent, ignore_errors=True)
    said = finish(
        (sys.executable, "-m", "benchmarks.publisher", str(work / "files"), address, str(state), *more), cwd=ROOT
    )
    taken = Taken(**json.loads(said))
    if taken.uploads != COUNT:
        msg = f"{taken.uploads} of {COUNT} files were uploaded"
        raise NotRunError(msg)
    return taken


def by_curl(work: Path, sealed: Sealed, address: str) -> float:
    """Upload the same files with one curl, one after another over one connection, and look whether they arrived."""
    root = f"{address}/repos/{REPO}/releases"
    draft = ask(root, {"tag_name": TAG, "target_commitish": COMMIT, "draft": True})
    url = draft["upload_url"].partition("{")[0]
    answer = work / "curl.out"
    transfers = [
        _TRANSFER.format(url=url, name=asset.name, path=asset.path, token=TOKEN, answer=answer)
        for asset in sealed.assets
    ]
    started = time.perf_counter()
    # On standard input: a token on a command line is everybody's.
    done = subprocess.run(
        ("curl", "--config", "-"), input="next\n".join(transfers), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        msg = f"curl ended with {done.returncode}: {done.stderr.strip()[:200]}"
        raise NotRunError(msg)
    there = {each["name"]: each["digest"] for each in ask(f"{root}/{draft['id']}/assets?per_page=100")}
    if there != {asset.name: f"sha256:{asset.sha256}" for asset in sealed.assets}:
        msg = "what curl uploaded did not arrive as it was"
        raise NotRunError(msg)
    return seconds
