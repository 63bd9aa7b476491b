"""What the host engine costs over the bare compile commands, with the output of a real build."""

from __future__ import annotations

__all__ = ["measure"]

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.compilers import c_compiler
from benchmarks.rows import Goal, NotRunError, Row, paired, row
from benchmarks.setting import Setting
from benchmarks.timing import alternating
from pipeline.engines.base import Cancel, Ending, Folder, Job
from pipeline.engines.host import HostEngine
from pipeline.model import LibraryKind, Output

_FILES = 40
_LINES = 500  # what the core component prints
_FUNCTIONS = 30
_SCRIPT = """\
set -eu
i=0
while [ "$i" -lt {files} ]; do
    {compiler} -O2 -c "$LLAMATRIX_SRC/part$i.c" -o "$LLAMATRIX_OUT/part$i.o"
    j=0
    while [ "$j" -lt {chatter} ]; do
        echo "[$i/{files}] Building C object src/CMakeFiles/part.dir/part$i.c.o, line $j of what a build says"
        j=$((j + 1))
    done
    i=$((i + 1))
done
"""
_FUNCTION = """\
int f{salt}_{file}_{number}(int *a, int n) {{
    int s = {number};
    for (int i = 0; i < n; i++) s += a[i] * (s ^ {salt}) + (i % ({number} + 3));
    return s;
}}
"""


def measure(setting: Setting) -> list[Row]:
    """Compile the same files bare and as a job, in turns; every turn compiles new text, so no cache answers."""
    lab = _Lab(setting)
    bare, job = lab.timed(lab.bare), lab.timed(lab.job)
    times = alternating({"bare": bare, "job": job}, runs=setting.repeat(7))
    empty = alternating({"empty": lab.empty}, runs=setting.repeat(9))["empty"]
    shares = [100 * (ratio - 1) for ratio in paired(times["job"], times["bare"])]
    what = f"{_FILES} files, {_LINES} lines of output, {Path(lab.compiler[0]).name}"
    return [
        row(f"bare commands: {what}", times["bare"], " s"),
        row("the same as a job of the host engine", times["job"], " s"),
        row("overhead, pair by pair", shares, " %", goal=Goal(limit=3), note="a real component takes minutes, not "
            "seconds, so a job's fixed cost weighs less there"),
        row("fixed cost: a job that does nothing", empty, " s"),
    ]  # fmt: skip


class _Lab:
    """Two ways to run one script on the same folders."""

    def __init__(self, setting: Setting) -> None:
        self.compiler = c_compiler(setting)
        folder = setting.folder("overhead")
        self.source, self.out, self.cache = folder / "src", folder / "out", folder / "cache"
        self.log = folder / "job.log"
        self.engine = HostEngine(folder / "store")
        self.salts = itertools.count(time.time_ns() % 1_000_000)
        for place in (self.source, self.cache):
            place.mkdir(parents=True, exist_ok=True)
        self.script = folder / "build.sh"
        text = _SCRIPT.format(files=_FILES, compiler=" ".join(self.compiler), chatter=-(-_LINES // _FILES))
        self.script.write_text(text, encoding="utf-8")

    def timed(self, work: Callable[[], None]) -> Callable[[], float]:
        """Time only the work: writing new sources and checking the objects is no part of it."""

        def run() -> float:
            self._prepare(next(self.salts))
            started = time.perf_counter()
            work()
            seconds = time.perf_counter() - started
            if len(list(self.out.glob("*.o"))) != _FILES:
                msg = "the compile commands did not leave every object"
                raise NotRunError(msg)
            return seconds

        return run

    def bare(self) -> None:
        """Run the commands as anybody would, with the output going to a file."""
        environ = self._environ() | {"LLAMATRIX_SRC": str(self.source), "LLAMATRIX_OUT": str(self.out)}
        with self.log.open("wb") as log:
            done = subprocess.run(
                ("sh", str(self.script)), env=environ, stdout=log, stderr=subprocess.STDOUT, cwd=self.out, check=False
            )
        if done.returncode:
            msg = f"the compile commands ended with {done.returncode}; {self.compiler[0]} may not work here"
            raise NotRunError(msg)

    def job(self) -> None:
        """Run the same script as a job, with its outputs promised and its lines followed."""
        outputs = tuple(Output(path=f"part{number}.o", kind=LibraryKind.DATA) for number in range(_FILES))
        self._run(("sh", str(self.script)), outputs)

    def empty(self) -> float:
        """Time a job that does nothing."""
        started = time.perf_counter()
        self._run(("true",), ())
        return time.perf_counter() - started

    def _run(self, argv: tuple[str, ...], outputs: tuple[Output, ...]) -> None:
        lines: list[str] = []
        job = Job(
            title="overhead",
            argv=argv,
            folders=(Folder(name="SRC", path=self.source), Folder(name="OUT", path=self.out, writable=True)),
            log=self.log,
            deadline=600,
            memory=2**33,
            cpus=os.cpu_count() or 1,
            environment={key: value for key, value in self._environ().items() if key.startswith("ZIG")},
            outputs=outputs,
        )
        result = self.engine.run(job, on_line=lines.append, cancel=Cancel())
        if result.ending is not Ending.OK:
            raise NotRunError(result.message)

    def _environ(self) -> dict[str, str]:
        cache = str(self.cache)
        return dict(os.environ) | {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}

    def _prepare(self, salt: int) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        for file in range(_FILES):
            text = "".join(_functions(salt, file))
            (self.source / f"part{file}.c").write_text(text, encoding="utf-8")


def _functions(salt: int, file: int) -> Iterator[str]:
    for number in range(_FUNCTIONS):
        yield _FUNCTION.format(salt=salt, file=file, number=number)
