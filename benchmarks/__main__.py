"""Runs the benchmarks that are named, or all of them, and prints one table.

    python -m benchmarks [NAME...] [--list] [--json FILE] [--runs N] [--strict] ...

Goals are compared with the median of several runs, taken in turns with what they are compared to.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import NotRunError, Row, Verdict, not_run
from benchmarks.setting import Setting
from benchmarks.table import render, totals

NAMES = (
    "plan_process",
    "plan_scale",
    "second_run",
    "overhead",
    "bundle_reuse",
    "packing",
    "inference",
    "publishing",
    "sealing",
    "faults",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and with ``--strict`` fail unless every goal was met."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        for name in NAMES:
            summary = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").partition("\n")[0]
            print(f"{name:<14} {summary}")
        return 0
    with tempfile.TemporaryDirectory(prefix="llamatrix-bench-") as temporary:
        setting = Setting(
            work=(arguments.work or Path(temporary)).resolve(),
            say=lambda line: print(line, file=sys.stderr, flush=True),
            store=_resolved(arguments.store),
            source=_resolved(arguments.source),
            tree=_resolved(arguments.tree),
            shipped=_resolved(arguments.shipped),
            profile=arguments.profile,
            runs=arguments.runs,
            full=arguments.full,
            kept=arguments.work is not None,
        )
        results = {name: _measure(name, setting) for name in arguments.names or NAMES}
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f} at the end\n")
    print(render(results))
    print(totals(results))
    if arguments.json:
        rows = {name: [row.as_json() for row in found] for name, found in results.items()}
        arguments.json.write_text(json.dumps({"machine": machine, "results": rows}, indent=1) + "\n", encoding="utf-8")
    bad = {Verdict.MISSED, Verdict.NOT_RUN} & {row.verdict for found in results.values() for row in found}
    return 1 if arguments.strict and bad else 0


def _measure(name: str, setting: Setting) -> tuple[Row, ...]:
    setting.say(f"... {name}")
    try:
        found: tuple[Row, ...] = tuple(importlib.import_module(f"benchmarks.{name}").measure(setting))
    except NotRunError as error:
        return (not_run(name.replace("_", " "), str(error)),)
    return found


def _resolved(path: Path | None) -> Path | None:
    return path.resolve() if path else None


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


def _name(text: str) -> str:
    if text not in NAMES:
        msg = f"there is no {text!r}; there are {', '.join(NAMES)}"
        raise argparse.ArgumentTypeError(msg)
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", type=_name, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every measured value to FILE")
    parser.add_argument("--runs", type=int, metavar="N", help="repetitions, instead of each benchmark's own number")
    parser.add_argument("--strict", action="store_true", help="exit 1 unless every goal was met and everything was run")
    parser.add_argument("--full", action="store_true", help="also what takes long: whole builds, level 19, 10 GiB")
    parser.add_argument("--profile", choices=("local", "release"), default="local", help="whose bundles to measure on")
    for option, variable, what in (
        ("--store", "LLAMATRIX_STORE", "the store of real builds"),
        ("--work", "LLAMATRIX_BENCH_WORK", "keep plain builds and models in DIR for the next time"),
        ("--source", "LLAMATRIX_BENCH_SOURCE", "llama.cpp's source tree, for plain builds"),
        ("--tree", "LLAMATRIX_BENCH_TREE", "a bundle's files, to pack"),
        ("--shipped", "LLAMATRIX_BENCH_SHIPPED", "the folder of the llama-bench we ship"),
    ):
        default = _from_environment(variable)
        parser.add_argument(option, type=Path, metavar="DIR", default=default, help=f"{what} (default: ${variable})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
