"""How long sealing takes, which reads every bundle and all that is inside, against sha256sum and b2sum."""

from __future__ import annotations

__all__ = ["measure"]

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bigdist import made_dist
from benchmarks.finished import COMPILED, finished_cells
from benchmarks.packing import bundle_tree
from benchmarks.rows import Goal, NotRunError, Row, not_run, paired, row
from benchmarks.sealer import Taken
from benchmarks.setting import ROOT, Setting
from benchmarks.timing import Timed, alternating, finish, stopwatch

_USUAL, _FULL = 1 << 30, 10 << 30
_GOAL = Goal(limit=1.15)
_RATIO = "seal / sha256sum and b2sum"
_PACKED = COMPILED | {"bundle"}
_SHELL = 'sha256sum "$@" >sha256.txt && b2sum "$@" >b2.txt'


def measure(setting: Setting) -> list[Row]:
    """Seal a forged release in turns with the two programs; then read real bundles, where there are any."""
    size = _FULL if setting.full else _USUAL
    work = setting.folder("sealing")
    missing = [tool for tool in ("sha256sum", "b2sum") if shutil.which(tool) is None]
    if missing:
        msg = f"the comparison needs {', '.join(missing)}"
        raise NotRunError(msg)
    try:
        rows = _forged(setting, work, size)
    finally:
        if not setting.kept:
            shutil.rmtree(work, ignore_errors=True)
    if not setting.full:
        rows.append(not_run(f"{_RATIO}, 10 GiB", "it takes 15 GB of disk; --full does it", " x", goal=_GOAL))
    return rows + _real(setting)


def _forged(setting: Setting, work: Path, size: int) -> list[Row]:
    code, origin = bundle_tree(setting, work)
    sizes = made_dist(work / "dist", code, size, say=setting.say)
    archives = sorted(work.glob("dist/*/*.tar.zst"))
    found: list[Taken] = []

    def ours() -> float:
        found.append(_child(str(work / "dist")))
        return found[-1].collect + found[-1].seal

    times = alternating(
        {"ours": ours, "theirs": _theirs(work, archives)}, runs=setting.repeat(3 if setting.full else 5)
    )
    what = f"{size / 2**30:.0f} GiB"
    weight, inside = sizes["packed"] / 1e9, sizes["unpacked"] / 1e9
    note = f"{weight:.1f} GB in {len(archives)} bundles, {inside:.1f} GB unpacked; {origin}"
    return [
        row(f"seal of {what}", times["ours"], " s", note=note),
        row(f"sha256sum and b2sum of {what}", times["theirs"], " s", note="one after the other"),
        row(f"{_RATIO}, {what}", paired(times["ours"], times["theirs"]), " x", goal=_GOAL),
        row(f"of it after the bundles were read, {what}", [each.seal for each in found[1:]], " s"),
        row(f"peak memory of the seal, {what}", [each.peak for each in found[1:]], " MB"),
    ]


def _real(setting: Setting) -> list[Row]:
    """Read the store's bundles: machine code that was packed well, so there is much more inside than outside."""
    what = "reading of real bundles / sha256sum and b2sum"
    try:
        cells = finished_cells(setting, "docker", kinds=_PACKED) or finished_cells(setting, "host", kinds=_PACKED)
    except NotRunError as error:
        return [not_run(what, str(error), " x")]
    archives = [cell.folder("bundle:") / cell.asset for cell in cells]
    if not archives:
        return [not_run(what, "the store holds no finished cell", " x")]
    found: list[Taken] = []

    def ours() -> float:
        found.append(_child("--read", *map(str, archives)))
        return found[-1].collect

    times = alternating({"ours": ours, "theirs": _theirs(setting.folder("sealing"), archives)}, runs=setting.repeat(7))
    packed = sum(path.stat().st_size for path in archives)
    note = f"{packed / 1e6:.0f} MB in {len(archives)} bundles, {found[0].unpacked / 1e6:.0f} MB unpacked"
    return [row(what, paired(times["ours"], times["theirs"]), " x", note=note)]


def _theirs(work: Path, archives: Sequence[Path]) -> Timed:
    return stopwatch(lambda: finish(("sh", "-c", _SHELL, "sh", *map(str, archives)), cwd=work))


def _child(*argv: str) -> Taken:
    return Taken(**json.loads(finish((sys.executable, "-m", "benchmarks.sealer", *argv), cwd=ROOT)))
