"""What a job sees, the same for every engine: its folders, command line, environment and promises.

The environment is scrubbed: a few fixed variables, one ``LLAMATRIX_<NAME>`` per folder and the job's own, nothing of
the caller's. So no secret of a shell or of a continuous integration runner reaches a compile step.
"""

from __future__ import annotations

__all__ = [
    "OUT",
    "command_line",
    "discard_outputs",
    "environment",
    "exit_message",
    "folder_paths",
    "out_folder",
    "output_problem",
    "stop_message",
]

import os
import re
import signal
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.engines.base import Ending, Folder, Job
from pipeline.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OUT = "OUT"
"""The folder whose files ``Job.outputs`` names."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
# ``${NAME}`` is the shell's own and stays.
_REFERENCE = re.compile(r"(?<!\$)\{([A-Z][A-Z0-9_]*)\}")
_SIGNAL_BASE = 128


def folder_paths(job: Job, see: Callable[[Folder], str]) -> dict[str, str]:
    """Map each folder's name to the path the job sees, checking names and that the folders exist."""
    seen: dict[str, str] = {}
    for folder in job.folders:
        if not _NAME.fullmatch(folder.name) or folder.name in seen:
            msg = f"folder name {folder.name!r} is used twice or is not upper case"
            raise EngineError(msg, where=job.title, hint="name folders like OUT or SOURCE, each once")
        if not folder.path.exists():
            msg = f"folder {folder.name} does not exist: {folder.path}"
            raise EngineError(msg, where=job.title, hint="run again; if it stays, run with --fresh")
        seen[folder.name] = see(folder)
    if job.outputs and OUT not in seen:
        msg = "the job promises outputs but has no folder named OUT"
        raise EngineError(msg, where=job.title)
    return seen


def command_line(job: Job, seen: Mapping[str, str]) -> list[str]:
    """Replace every ``{NAME}`` in the command by the path the job sees."""
    if not job.argv:
        msg = "the job has no command"
        raise EngineError(msg, where=job.title)

    def path_of(match: re.Match[str]) -> str:
        if match[1] not in seen:
            msg = f"the command refers to {{{match[1]}}}, but its folders are {', '.join(sorted(seen)) or 'none'}"
            raise EngineError(msg, where=job.title)
        return seen[match[1]]

    return [_REFERENCE.sub(path_of, argument) for argument in job.argv]


def environment(job: Job, seen: Mapping[str, str], *, path: str, home: str, temporary: str) -> dict[str, str]:
    """Make the whole environment of the job."""
    return {
        "PATH": path,
        "HOME": home,
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        **{f"LLAMATRIX_{name}": where for name, where in seen.items()},
        **job.environment,
    }


def out_folder(job: Job) -> Path | None:
    """Give the folder named OUT, if there is one."""
    return next((folder.path for folder in job.folders if folder.name == OUT), None)


def discard_outputs(job: Job) -> None:
    """Remove promised files an earlier attempt left, so that only this run can satisfy the promise."""
    out = out_folder(job)
    for output in job.outputs if out else ():
        path = _inside(out or Path(), output.path, job)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            msg = f"cannot remove {path}, left by an earlier attempt: {error.strerror}"
            raise EngineError(msg, where=job.title, hint="remove it yourself, or run with --fresh") from error


def output_problem(job: Job) -> str | None:
    """Say which promised file is missing, empty, not a file, or a link that leads out of OUT; None when all is well."""
    out = out_folder(job)
    if out is None:
        return None
    root = Path(os.path.realpath(out))
    for output in job.outputs:
        problem = _file_problem(_inside(out, output.path, job), root)
        if problem is not None:
            return problem.format(output.path)
    return None


def _file_problem(path: Path, root: Path) -> str | None:
    real = Path(os.path.realpath(path))
    if not os.path.lexists(path):
        return "it did not leave {}"
    if not real.is_relative_to(root):
        return "{} is a link that leads out of the output folder"
    if not real.exists():
        return "{} is a link to nothing"
    if not real.is_file():
        return "{} is not a file"
    return None if real.stat().st_size else "{} is empty"


def exit_message(program: str, code: int, last: str) -> str:
    """Say in one line how a command failed; codes above 128 are signals, as in a shell."""
    said = f"; its last line: {last}" if last else "; it printed nothing"
    if code > _SIGNAL_BASE:
        try:
            return f"{program} was killed by {signal.Signals(code - _SIGNAL_BASE).name}{said}"
        except ValueError:
            pass
    return f"{program} exited with status {code}{said}"


def stop_message(job: Job, stopped: Ending, last: str, *, left: str | None = None) -> str:
    """Say in one line why the engine ended the job itself; ``left`` is what it could not end."""
    ended = f"but {left}" if left else "everything it started was ended"
    if stopped is Ending.CANCELLED:
        return f"cancelled; {ended}"
    said = f"its last line: {last}" if last else "it printed nothing"
    return f"the deadline of {job.deadline:g} s passed; {ended}; {said}"


def _inside(out: Path, relative: str, job: Job) -> Path:
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        msg = f"output {relative!r} is not a path under OUT"
        raise EngineError(msg, where=job.title)
    return out / pure
