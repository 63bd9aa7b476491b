"""A place to run a bundle's programs: the floor image or this machine, its own processor or an emulator."""

from __future__ import annotations

__all__ = [
    "FindLab",
    "Lab",
    "LabInterruptedError",
    "NoLabError",
    "Runner",
    "Surroundings",
    "open_lab",
    "stage",
]

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.engines.base import Ending, Folder, Job
from pipeline.gates.base import Subject, failed, skipped
from pipeline.gates.script import Command, Ran, read_results, write_script
from pipeline.model import EngineName, Verdict, machine_platform

_MEMORY = 4 * 2**30
_CPUS = 2
_SYSROOTS = {"aarch64": (Path("/usr/aarch64-linux-gnu"), "libc6-arm64-cross")}


class LabInterruptedError(Exception):
    """The user stopped the run while a command was under way; there is nothing to judge."""


class NoLabError(Exception):
    """There is no place to run the bundle; ``broken`` when that is a mistake and not just this machine."""

    def __init__(self, reason: str, *, broken: bool = False) -> None:
        """Keep the reason, which says what would make a place."""
        super().__init__(reason)
        self.reason = reason
        self.broken = broken

    def verdict(self, gate: str) -> Verdict:
        """Give what the gate says then: a mistake fails, a machine that lacks something skips."""
        return failed(gate, self.reason) if self.broken else skipped(gate, self.reason)


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


class FindLab(Protocol):
    """What finds a lab: :func:`open_lab`, or a test's own."""

    def __call__(self, subject: Subject, *, gate: str, image: str, deadline: float) -> Runner:
        """Give the lab or raise :class:`NoLabError`."""
        ...


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
        text = write_script(commands, prefix=prefix, timed=self.emulator is None)
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
        runs = read_results(commands, out, result)
        if len(shell) > 1 and result.ending is Ending.FAILED and all(run.exit_code is None for run in runs):
            msg = (
                f"nothing ran in {self.where}: {result.message}; it needs /bin/sh, so add dash to the image's packages"
            )
            raise NoLabError(msg, broken=True)
        return runs


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
            _place(path, target)
    return folder


def _place(path: Path, target: Path) -> None:
    """Hard-link one file, or copy it where links are not possible; symbolic links stay what they are."""
    if path.is_symlink():
        target.symlink_to(path.readlink())
        return
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copy2(path, target)


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a lab asks of this machine; ``sysroots`` maps a processor to its C library here and that one's package."""

    machine: str = field(default_factory=machine_platform)
    sysroots: Mapping[str, tuple[Path, str]] = field(default_factory=lambda: _SYSROOTS)
    clock: Callable[[], float] = time.monotonic


def open_lab(subject: Subject, *, gate: str, image: str, deadline: float, around: Surroundings | None = None) -> Lab:
    """Find the place where this subject's programs can run; :class:`NoLabError` says why there is none."""
    around = around or Surroundings()
    engine, platform = subject.engine.name, subject.cell.platform
    if engine is EngineName.FAKE:
        msg = "the fake engine forges files that cannot run"
        raise NoLabError(msg)
    system, arch = platform.split("-", 1)
    here, processor = around.machine.split("-", 1)
    if system != ("linux" if engine is EngineName.DOCKER else here):
        msg = (
            f"programs of {platform} cannot run here ({around.machine}, {engine}); build and gate this cell on {system}"
        )
        raise NoLabError(msg)
    lab = Lab(
        subject=subject,
        folder=subject.work / gate,
        where=f"image {image}" if engine is EngineName.DOCKER else "host",
        ends=around.clock() + deadline,
        clock=around.clock,
    )
    if engine is EngineName.DOCKER:
        lab.image = subject.images.get(image)
        if lab.image is None:
            known = ", ".join(sorted(subject.images)) or "none at all"
            msg = f"image {image!r} was not prepared for this gate (there is {known}); the plan must hold it"
            raise NoLabError(msg, broken=True)
    if _processor(arch) != _processor(processor):
        _emulate(lab, arch, around)
    return lab


def _emulate(lab: Lab, arch: str, around: Surroundings) -> None:
    """Put the emulator of ``arch`` into a folder of its own, which works without binfmt in any image."""
    name = f"qemu-{arch}"
    found = lab.subject.emulators.get(arch)
    if found is None or not found.is_file():
        msg = f"programs of {lab.subject.cell.platform} need {name} on {around.machine}; install qemu-user-static"
        raise NoLabError(msg)
    if lab.image is None:
        sysroot, package = around.sysroots.get(arch, (None, f"a C library for {arch}"))
        if sysroot is None or not sysroot.is_dir():
            msg = f"programs of {lab.subject.cell.platform} need that processor's C library here; install {package}"
            raise NoLabError(msg)
        lab.sysroot = sysroot
    lab.where += f", {name}"
    lab.emulator = stage(lab.folder / "qemu", ()) / name
    _place(found.resolve(), lab.emulator)


def _processor(arch: str) -> str:
    """Make the names of one processor equal."""
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(arch, arch)
