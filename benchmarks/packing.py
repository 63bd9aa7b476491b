"""How fast bundles are packed against tar, zstd and sha256sum, and how much memory that takes."""

from __future__ import annotations

__all__ = ["bundle_tree", "measure"]

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.finished import finished_cells
from benchmarks.rows import Goal, NotRunError, Row, not_run, paired, row
from benchmarks.setting import ROOT, Setting
from benchmarks.timing import alternating, finish, stopwatch
from pipeline.bundle.reading import unpack

_LOCAL, _RELEASE = 3, 19  # the levels of matrix.yaml's profiles
_EPOCH = 1_790_820_708
_WHAT = "pack / tar | zstd -T0 + sha256sum"
_GOAL = Goal(limit=1.1)
_SMALL, _LARGE = 100 * 10**6, 10**9
_TREE_BYTES = 150 * 10**6
_SHELL = """\
set -eu
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@{epoch} --format=pax -C {parent} -cf - {name} \
    | zstd -q -T0 -{level} -f -o {dest}
sha256sum {dest} >{dest}.sha256
"""
_CHILD = """\
import sys, time
from pathlib import Path
from pipeline.bundle.archive import pack
root, dest, level = sys.argv[1:]
started = time.perf_counter()
pack(Path(root), Path(dest), top="bundle", level=int(level), mtime=0)
seconds = time.perf_counter() - started
# Not getrusage: its peak begins with that of the process that started this one.
status = Path("/proc/self/status").read_text(encoding="ascii")
print(seconds, int(status.partition("VmHWM:")[2].split()[0]) / 1024)
"""


def measure(setting: Setting) -> list[Row]:
    """Pack one real tree both ways in turns; then trees of 100 MB and 1 GB, each in a process of its own."""
    work = setting.folder("packing")
    tree, origin = bundle_tree(setting, work)
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    note = f"{size / 1e6:.0f} MB, {origin}"
    rows = []
    for level, runs in ((_LOCAL, 15), *(((_RELEASE, 3),) if setting.full else ())):
        try:
            rows += _speed(work, tree, level, setting.repeat(runs), note)
        except NotRunError as error:
            rows.append(not_run(f"level {level}: {_WHAT}", str(error), " x", goal=_GOAL))
    if not setting.full:
        rows.append(not_run(f"level {_RELEASE}: {_WHAT}", "it takes minutes; --full does it", " x", goal=_GOAL))
    return rows + _memory(setting, work, tree)


def _speed(work: Path, tree: Path, level: int, runs: int, note: str) -> list[Row]:
    missing = [tool for tool in ("tar", "zstd", "sha256sum") if shutil.which(tool) is None]
    if missing:
        msg = f"the comparison needs {', '.join(missing)}"
        raise NotRunError(msg)
    ours, theirs = work / "ours.tar.zst", work / "theirs.tar.zst"
    shell = _SHELL.format(epoch=_EPOCH, parent=tree.parent, name=tree.name, level=level, dest=theirs)
    works: dict[str, Callable[[], float]] = {
        "ours": lambda: _pack(tree, ours, level)[0],
        "theirs": stopwatch(lambda: finish(("sh", "-c", shell), cwd=work)),
    }
    times = alternating(works, runs=runs)
    what = f"level {level}"
    return [
        row(f"{what}: pack", times["ours"], " s", note=note),
        row(f"{what}: tar | zstd -T0 and sha256sum", times["theirs"], " s"),
        row(f"{what}: {_WHAT}", paired(times["ours"], times["theirs"]), " x", goal=_GOAL),
        row(f"{what}: archive size, ours / theirs", [ours.stat().st_size / theirs.stat().st_size], " x"),
    ]


def _memory(setting: Setting, work: Path, tree: Path) -> list[Row]:
    peaks: dict[int, list[float]] = {}
    for size in (_SMALL, _LARGE):
        grown = _grown(tree, work / f"tree-{size}", size)
        peaks[size] = [_pack(grown, work / "grown.tar.zst", _LOCAL)[1] for _ in range(setting.repeat(3))]
        shutil.rmtree(grown)
    return [
        row("peak memory for 100 MB of files", peaks[_SMALL], " MiB"),
        row("peak memory for 1 GB of files", peaks[_LARGE], " MiB"),
        row("memory, 1 GB / 100 MB", paired(peaks[_LARGE], peaks[_SMALL]), " x", goal=_GOAL),
    ]


def _pack(tree: Path, dest: Path, level: int) -> tuple[float, float]:
    """Pack in a new process and give the seconds that took, without starting Python, and its peak memory in MiB."""
    seconds, peak = finish((sys.executable, "-c", _CHILD, str(tree), str(dest), str(level)), cwd=ROOT).split()
    return float(seconds), float(peak)


def bundle_tree(setting: Setting, work: Path) -> tuple[Path, str]:
    """Find files such as a bundle has: those given, else the largest bundle of the store, else Python's own."""
    if setting.tree is not None:
        return setting.tree, "the tree given"
    try:
        cells = finished_cells(setting, "docker") or finished_cells(setting, "host")
    except NotRunError:
        cells = ()
    archives = [cell.folder("bundle:") / cell.asset for cell in cells]
    shutil.rmtree(work / "tree", ignore_errors=True)
    if archives:
        largest = max(archives, key=lambda path: path.stat().st_size)
        return unpack(largest, work / "tree"), largest.name
    return _elf_files(work / "tree" / "bundle"), "ELF files of this Python, for want of a store"


def _elf_files(folder: Path) -> Path:
    """Copy shared libraries of this Python environment until they weigh what a bundle weighs."""
    folder.mkdir(parents=True)
    size = 0
    for number, path in enumerate(_libraries()):
        if size >= _TREE_BYTES:
            break
        size += path.stat().st_size
        shutil.copyfile(path, folder / f"{number}-{path.name}")
    return folder


def _libraries() -> Iterator[Path]:
    for name in ("purelib", "platlib", "stdlib"):
        for path in sorted(Path(sysconfig.get_path(name)).rglob("*.so*")):
            if path.is_file() and not path.is_symlink():
                yield path


def _grown(tree: Path, folder: Path, size: int) -> Path:
    """Make a tree of about ``size`` bytes out of hard links, which take no room."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    if not sum(path.stat().st_size for path in files):
        msg = f"{tree} holds no files"
        raise NotRunError(msg)
    reached = number = 0
    while reached < size:
        path = files[number % len(files)]
        try:
            os.link(path, folder / f"{number}-{path.name}")
        except OSError:
            shutil.copyfile(path, folder / f"{number}-{path.name}")
        reached += path.stat().st_size
        number += 1
    return folder
