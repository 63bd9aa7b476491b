"""A place to run a bundle's programs: the floor image or this machine, its own processor or an emulator.

Commands are written into one shell script per job, so that several cheap ones share a container and each still has
its own exit code, streams and time. The script uses nothing but the shell's builtins around the programs (``date``
only where the processor is the machine's own): an image of a foreign processor runs it under the emulator alone.
"""

from __future__ import annotations

__all__ = ["Command", "Lab", "LabInterruptedError", "NoLab", "Ran", "Runner", "emulator_name", "open_lab", "stage"]

import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.engines.base import Ending, Folder, Job, JobResult
from pipeline.gates.base import Subject
from pipeline.model import EngineName, machine_platform

_MEMORY = 4 * 2**30
_CPUS = 2
_KEEP = 2**20
_REFERENCE = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")
_SYSROOTS = {"aarch64": (Path("/usr/aarch64-linux-gnu"), "libc6-arm64-cross")}


class LabInterruptedError(Exception):
    """The user stopped the run while a command was under way; there is nothing to judge."""


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


class Runner(Protocol):
    """What the gates need of a lab."""

    @property
    def where(self) -> str:
        """Where commands run, for the report."""
        ...

    @property
    def emulated(self) -> bool:
        """Whether another processor is emulated, which makes times meaningless."""
        ...

    @property
    def on_host(self) -> bool:
        """Whether commands see this machine's own files and drivers."""
        ...

    def run(self, title: str, commands: Sequence[Command], *, folders: Iterable[Folder] = ()) -> tuple[Ran, ...]:
        """Run ``commands`` one after the other within what is left of the deadline; one result for each."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NoLab:
    """There is no place to run the bundle; ``broken`` when that is a mistake and not just this machine."""

    reason: str
    broken: bool = False


@dataclass(kw_only=True, slots=True)
class Lab:
    """Runs commands through the subject's engine; all of them together stay inside one deadline."""

    subject: Subject
    folder: Path
    where: str
    ends: float
    clock: Callable[[], float]
    image: str | None = None
    emulator: Path | None = None
    sysroot: Path | None = None
    jobs: int = 0

    @property
    def emulated(self) -> bool:
        """Whether an emulator runs the programs."""
        return self.emulator is not None

    @property
    def on_host(self) -> bool:
        """Whether there is no image around the programs."""
        return self.image is None

    def run(self, title: str, commands: Sequence[Command], *, folders: Iterable[Folder] = ()) -> tuple[Ran, ...]:
        """Write the script, run it as one job, and read what each command left."""
        self.jobs += 1
        place = self.folder / f"{self.jobs:02d}"
        shutil.rmtree(place, ignore_errors=True)
        out, script = place / "out", place / "script"
        out.mkdir(parents=True)
        script.mkdir()
        left = self.ends - self.clock()
        if left <= 0:
            return tuple(Ran(name=each.name, exit_code=None, message="no time was left") for each in commands)
        prefix: tuple[str, ...] = ()
        seen = [
            Folder(name="BUNDLE", path=self.subject.root),
            Folder(name="SCRIPT", path=script),
            Folder(name="OUT", path=out, writable=True),
            *folders,
        ]
        shell: tuple[str, ...] = ("sh",)
        if self.emulator is not None:
            seen.append(Folder(name="QEMU", path=self.emulator.parent))
            prefix = (f"{{QEMU}}/{self.emulator.name}",)
            if self.image is not None:
                shell = (*prefix, "/bin/sh")
            if self.sysroot is not None:
                prefix += ("-L", str(self.sysroot))
        text = _script(commands, prefix=prefix, timed=self.emulator is None)
        (script / "run.sh").write_text(text, encoding="utf-8")
        job = Job(
            title=title,
            argv=(*shell, "{SCRIPT}/run.sh"),
            folders=tuple(seen),
            log=place / "job.log",
            deadline=left,
            memory=_MEMORY,
            cpus=_CPUS,
            image=self.image,
            environment={"LC_ALL": "C"},
        )
        result = self.subject.engine.run(job, on_line=lambda _line: None, cancel=self.subject.cancel)
        if result.ending is Ending.CANCELLED:
            msg = f"{title}: cancelled"
            raise LabInterruptedError(msg)
        return _results(commands, out, result)


def _quote(text: str) -> str:
    """Quote ``text`` for the shell, with each ``{NAME}`` as the variable the engine sets for that folder."""
    parts = _REFERENCE.split(text)
    quoted = [f'"$LLAMATRIX_{part}"' if index % 2 else shlex.quote(part) for index, part in enumerate(parts) if part]
    return "".join(quoted) or "''"


def _script(commands: Sequence[Command], *, prefix: tuple[str, ...], timed: bool) -> str:
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


def _results(commands: Sequence[Command], out: Path, result: JobResult) -> tuple[Ran, ...]:
    """Read each command's streams, exit code and time; the first without an end is the one that hung."""
    why = {Ending.TIMED_OUT: "hung until the deadline", Ending.OUT_OF_MEMORY: "ran out of memory"}
    message = why.get(result.ending) or f"did not come to its end: {result.message}"
    found = []
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


def emulator_name(arch: str) -> str:
    """Give the emulator's file name, and the package that has it is ``qemu-user-static`` in Debian."""
    return f"qemu-{arch}"


def stage(folder: Path, sources: Iterable[Path], *, leave_out: str | None = None) -> Path:
    """Put the files of ``sources`` side by side into a new ``folder``: hard links, copies across file systems.

    Programs look for backends beside their real path, so links that are followed would not do. The first source
    wins a name; ``leave_out`` is a glob of names.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source in sources:
        for path in sorted(source.iterdir()):
            target = folder / path.name
            if path.is_dir() or target.exists() or target.is_symlink():
                continue
            if leave_out is not None and path.match(leave_out):
                continue
            place_file(path, target)
    return folder


def place_file(path: Path, target: Path) -> None:
    """Hard-link one file, or copy it where links are not possible; symbolic links stay what they are."""
    if path.is_symlink():
        target.symlink_to(path.readlink())
        return
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copy2(path, target)


def open_lab(
    subject: Subject,
    *,
    gate: str,
    image: str,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
    sysroots: Mapping[str, tuple[Path, str]] = _SYSROOTS,
    machine: str | None = None,
) -> Lab | NoLab:
    """Find the place where this subject's programs can run, or say why there is none and what would make one."""
    engine = subject.engine.name
    if engine is EngineName.FAKE:
        return NoLab(reason="the fake engine forges files that cannot run")
    platform, here = subject.cell.platform, machine or machine_platform()
    system, arch = platform.split("-", 1)
    if engine is EngineName.HOST and system != here.split("-", 1)[0]:
        return NoLab(reason=f"programs of {platform} cannot run on {here}; build and gate this cell on {system}")
    lab = Lab(
        subject=subject,
        folder=subject.work / gate,
        where=f"image {image}" if engine is EngineName.DOCKER else "host",
        ends=clock() + deadline,
        clock=clock,
    )
    if engine is EngineName.DOCKER:
        lab.image = subject.images.get(image)
        if lab.image is None:
            known = ", ".join(sorted(subject.images)) or "none at all"
            return NoLab(
                reason=f"image {image!r} was not prepared for this gate (there is {known}); the plan must hold it",
                broken=True,
            )
    if _processor(arch) == _processor(here.split("-", 1)[1]):
        return lab
    found = subject.emulators.get(arch)
    if found is None or not found.is_file():
        return NoLab(reason=f"{platform} needs {emulator_name(arch)} on {here}; install the package qemu-user-static")
    if engine is EngineName.HOST:
        sysroot, package = sysroots.get(arch, (Path("/nonexistent"), f"a sysroot for {arch}"))
        if not sysroot.is_dir():
            return NoLab(reason=f"{platform} needs that processor's C library on the host; install {package}")
        lab.sysroot = sysroot
    lab.where += f", {emulator_name(arch)}"
    lab.emulator = stage(lab.folder / "qemu", ()) / emulator_name(arch)
    place_file(found.resolve(), lab.emulator)
    return lab


def _processor(arch: str) -> str:
    """Make the names of one processor equal."""
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(arch, arch)
