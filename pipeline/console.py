"""What every command line of ours shares: complaints as errors, errors as exit codes, and an end for a closed pipe."""

from __future__ import annotations

__all__ = ["Parser", "debug_wanted", "run", "show"]

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from pipeline.errors import CancelledError, InternalError, PipelineError, UsageError


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are our errors."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise instead of exiting."""
        raise UsageError(message, where=self.prog, hint=f"{self.prog} --help shows what it takes")


def debug_wanted(argv: Sequence[str] | None) -> bool:
    """Tell whether tracebacks were asked for; known before the arguments are parsed, since parsing can fail."""
    return "--debug" in (sys.argv if argv is None else argv)


def show(text: str) -> None:
    """Print. Whoever reads our output (head, a pager) may have had enough; that is no failure of ours."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(command: Callable[[], int], *, debug: bool, again: str) -> int:
    """Run one command and give its exit code; expected errors are shown without a traceback.

    Args:
        command: The parsed command.
        debug: Show tracebacks.
        again: What to say when the user stops it, for example ``run it again: finished work is kept``.
    """
    try:
        return command()
    except PipelineError as error:
        return _complain(error, debug=debug)
    except KeyboardInterrupt:
        return _complain(CancelledError("stopped", hint=again), debug=debug)
    except Exception as error:  # noqa: BLE001  the one place where a bug becomes a message
        what = f"{type(error).__name__}: {error}"
        return _complain(InternalError(what, hint="this is a bug in llamatrix; --debug shows where"), debug=debug)


def _complain(error: PipelineError, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"error: {error}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        text = str(error).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        sys.stderr.write(f"::error title=llamatrix::{text}\n")
    return error.code
