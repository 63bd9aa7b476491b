"""The shell script that runs a job's commands, and what each of them left behind.

Several cheap commands share a container, and each still has its own exit code, streams and time. The script uses
nothing but the shell's builtins around the programs (``date`` only where the processor is the machine's own): an
image of a foreign processor runs it under the emulator alone.
"""

from __future__ import annotations

__all__ = ["Command", "Ran", "read_results", "write_script"]

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.engines.base import Ending, JobResult

_KEEP = 2**20
_REFERENCE = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One program with its arguments; ``{NAME}`` refers to a folder, as in a job's ``argv``."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a command went. ``exit_code`` is None when it did not come to its end; then ``message`` says why."""

    name: str
    exit_code: int | None
    stdout: str = ""
    stderr: str = ""
    seconds: float | None = None
    message: str = ""

    @property
    def log(self) -> str:
        """Both streams, standard output first."""
        return self.stdout + self.stderr

    @property
    def problem(self) -> str | None:
        """Tell what went wrong with the process itself, None if it exited with 0."""
        if self.exit_code == 0:
            return None
        if self.exit_code is None:
            return self.message or "did not come to its end"
        return f"exited with {self.exit_code}{_signal(self.exit_code)}"

    def last_lines(self, count: int = 8) -> tuple[str, ...]:
        """Give the end of what it printed, errors last."""
        lines = [line.rstrip() for line in self.log.splitlines() if line.strip()]
        return tuple(f"  {self.name}: {line[:300]}" for line in lines[-count:])


def _signal(code: int) -> str:
    """Name what a shell's exit code above 128 or of 126 and 127 means."""
    known = {126: " (not executable)", 127: " (program or a library not found)", 132: " (illegal instruction)"}
    known |= {134: " (aborted)", 137: " (killed)", 139: " (segmentation fault)"}
    return known.get(code, "")


def _quote(text: str) -> str:
    """Quote ``text`` for the shell, with each ``{NAME}`` as the variable the engine sets for that folder."""
    parts = _REFERENCE.split(text)
    quoted = [f'"$LLAMATRIX_{part}"' if index % 2 else shlex.quote(part) for index, part in enumerate(parts) if part]
    return "".join(quoted) or "''"


def write_script(commands: Sequence[Command], *, prefix: tuple[str, ...], timed: bool) -> str:
    """Write the script. The working folder is the empty output folder: ggml looks for backends there as well."""
    now = "$(date +%s%N)" if timed else ""
    lines = ['cd "$LLAMATRIX_OUT" || exit 1', 'export HOME="$LLAMATRIX_OUT" XDG_CACHE_HOME="$LLAMATRIX_OUT"']
    for index, command in enumerate(commands):
        names = " ".join(f"{key}={_quote(value)}" for key, value in sorted(command.environment.items()))
        call = " ".join(_quote(part) for part in (*prefix, *command.argv))
        lines += [
            f"# {command.name}".replace("\n", " "),
            f"began={now}",
            f"( {f'export {names}; ' if names else ''}exec {call} ) </dev/null >{index}.out 2>{index}.err",
            f'echo "$? $began {now}" >{index}.end',
        ]
    return "\n".join([*lines, "exit 0", ""])


def read_results(commands: Sequence[Command], out: Path, result: JobResult) -> tuple[Ran, ...]:
    """Read each command's streams, exit code and time; the first without an end is the one that hung."""
    why = {Ending.TIMED_OUT: "hung until the deadline", Ending.OUT_OF_MEMORY: "ran out of memory"}
    message = why.get(result.ending) or f"did not come to its end: {result.message}"
    found: list[Ran] = []
    for index, command in enumerate(commands):
        code, seconds = _ended(_read(out / f"{index}.end"))
        if seconds is None and len(commands) == 1:
            seconds = result.seconds
        if code is None and found and found[-1].exit_code is None:
            message = f"was not started after {found[-1].name!r} failed to end"
        found.append(
            Ran(
                name=command.name,
                exit_code=code,
                stdout=_read(out / f"{index}.out"),
                stderr=_read(out / f"{index}.err"),
                seconds=seconds,
                message="" if code is not None else "; ".join((message, *result.tail[-3:])),
            )
        )
    return tuple(found)


def _read(path: Path) -> str:
    """Read the end of a file that a program under test wrote, so its size cannot be trusted."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _KEEP))
        return file.read(_KEEP).decode("utf-8", errors="replace")


def _ended(text: str) -> tuple[int | None, float | None]:
    """Take ``exit-code began ended`` apart; a ``date`` without nanoseconds gives no time."""
    words = text.split()
    if not words or not words[0].isdigit():
        return None, None
    times = [int(word) for word in words[1:] if word.isdigit()]
    seconds = (times[1] - times[0]) / 1e9 if len(times) == 2 and times[0] > 10**15 else None  # noqa: PLR2004
    return int(words[0]), seconds
