"""The commands: turn arguments into a plan, a plan into a run, and errors into exit codes."""

from __future__ import annotations

__all__ = ["main"]

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline import __version__
from pipeline.console import Parser, debug_wanted, run, show
from pipeline.errors import UsageError
from pipeline.model import ProfileName

_EPILOG = "Exit codes are listed in docs/errors.md."


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``python -m pipeline``."""
    top = Parser(prog="python -m pipeline", description="One matrix.yaml in, gated bundles out.", epilog=_EPILOG)
    top.add_argument("--version", action="version", version=f"llamatrix {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    plan = commands.add_parser("plan", help="show what would be built, where, what not, and why")
    plan.add_argument("--format", choices=("table", "json", "github"), default="table")
    _shared(plan)
    plan.set_defaults(run=_plan)

    build = commands.add_parser("build-matrix", help="build and gate this machine's own platform")
    _shared(build)
    build.add_argument("--jobs", type=_positive, metavar="N", help="cores to use together (default: all)")
    build.add_argument("--fail-fast", action="store_true", help="stop everything at the first failure")
    build.add_argument("--fresh", action="store_true", help="do everything again, whatever earlier runs finished")
    build.set_defaults(run=_build)

    schema = commands.add_parser("schema", help="write schema/matrix.schema.json")
    _common(schema)
    schema.set_defaults(run=_schema)
    return top


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--matrix", type=Path, default=Path("matrix.yaml"), metavar="FILE")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _shared(command: argparse.ArgumentParser) -> None:
    _common(command)
    command.add_argument("--only", action="append", default=[], metavar="GLOB", help="cells to take, e.g. '*/*/cpu'")
    command.add_argument("--all", action="store_true", help="every platform, not only this machine's own")
    command.add_argument("--engine", choices=("auto", "docker", "host", "fake"), default="auto")
    command.add_argument("--profile", choices=tuple(ProfileName), type=ProfileName, default=ProfileName.LOCAL)
    command.add_argument(
        "--source", action="append", default=[], metavar="NAME=PATH", help="take a source from a folder"
    )
    command.add_argument(
        "--store", type=Path, metavar="DIR", help="where finished work is kept (default: .llamatrix, $LLAMATRIX_STORE)"
    )
    command.add_argument(
        "--previous", type=Path, metavar="FILE", help="report.json of the previous release, to hold growth against"
    )
    command.add_argument("--dist", type=Path, default=Path("dist"), metavar="DIR", help="where bundles go")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        msg = "must be 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return value


def store_folder(arguments: argparse.Namespace) -> Path:
    """Where finished work is kept."""
    if arguments.store is not None:
        return Path(arguments.store)
    return Path(os.environ.get("LLAMATRIX_STORE") or ".llamatrix")


def local_sources(texts: Sequence[str]) -> dict[str, Path]:
    """Read ``--source NAME=PATH``."""
    found = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            msg = f"--source takes NAME=PATH, not {text!r}"
            raise UsageError(msg, hint="for example --source llama.cpp=../llama.cpp")
        found[name] = Path(path)
    return found


# Each command imports what it needs when it runs: a plan must not pay for the Docker SDK or LIEF.


def _plan(arguments: argparse.Namespace) -> int:
    from pipeline.plan.render import github_matrix, plan_json, plan_table  # noqa: PLC0415
    from pipeline.session import Session  # noqa: PLC0415

    session = Session.open(arguments)
    render: Callable[..., str] = {"table": plan_table, "json": plan_json, "github": github_matrix}[arguments.format]
    show(render(session.plan))
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from pipeline.build import build_matrix  # noqa: PLC0415

    return build_matrix(arguments)


def _schema(arguments: argparse.Namespace) -> int:
    from pipeline.matrix.schema import write_schema  # noqa: PLC0415

    written = write_schema(arguments.matrix.parent / "schema" / "matrix.schema.json")
    show(f"wrote {written}\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""

    def command() -> int:
        arguments = parser().parse_args(argv)
        result: int = arguments.run(arguments)
        return result

    return run(command, debug=debug_wanted(argv), again="run it again: finished work is kept")
