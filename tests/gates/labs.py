"""Subjects and labs of the gates that run programs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.engines.base import Cancel, Ending, Folder, Job, JobResult, LineSink
from pipeline.gates.base import Subject
from pipeline.gates.script import Command, Ran
from pipeline.matrix.cells import Cell
from pipeline.matrix.spec import Gates
from pipeline.model import Bundle, EngineName

COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"


class NoEngine:
    """Has a name; whoever runs something on it made a mistake."""

    def __init__(self, name: EngineName = EngineName.HOST) -> None:
        self.name = name

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> JobResult:
        msg = f"nothing may run here: {job.title}"
        raise AssertionError(msg)

    def sweep(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        pass


class EndingEngine(NoEngine):
    """Runs nothing and says that each job ended as told."""

    def __init__(self, ending: Ending, *, name: EngineName = EngineName.HOST) -> None:
        super().__init__(name)
        self.ending = ending
        self.jobs: list[Job] = []

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> JobResult:
        self.jobs.append(job)
        return JobResult(ending=self.ending, exit_code=None, seconds=1.5, message="as told", tail=("last words",))


class ShellEngine(NoEngine):
    """A plain host engine: substitutes folders and runs the command, for tests marked ``process``."""

    def run(self, job: Job, *, on_line: LineSink, cancel: Cancel) -> JobResult:
        began = time.monotonic()
        folders = {folder.name: str(folder.path) for folder in job.folders}
        argv = [part.format(**folders) for part in job.argv]
        environment = {"PATH": os.environ["PATH"], **job.environment}
        environment |= {f"LLAMATRIX_{name}": path for name, path in folders.items()}
        try:
            done = subprocess.run(
                argv, env=environment, timeout=job.deadline, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            return JobResult(ending=Ending.TIMED_OUT, exit_code=None, seconds=job.deadline, message="deadline")
        on_line(done.stdout)
        return JobResult(
            ending=Ending.FAILED if done.returncode else Ending.OK,
            exit_code=done.returncode,
            seconds=time.monotonic() - began,
            message=done.stderr,
        )


def make_subject(
    tmp_path: Path,
    gates: Gates,
    *,
    platform: str = "linux-x86_64",
    files: Iterable[str] = ("llama-cli", "llama-bench", "llama-completion"),
    **changes: Any,  # noqa: ANN401 - as dataclasses.replace has it
) -> Subject:
    """Make a subject whose bundle is a folder of empty files; ``changes`` replace its fields."""
    root, work = tmp_path / "root", tmp_path / "work"
    root.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    for name in files:
        (root / name).write_bytes(b"")
    cell = Cell(id=f"llama.cpp/{platform}/cpu", project="llama.cpp", platform=platform, variant="cpu", gates=gates)
    archive = tmp_path / "b.tar.zst"
    bundle = Bundle(path=archive, top="b", size=1, unpacked_size=1, sha256="", tar_sha256="", files=1)
    subject = Subject(
        cell=cell,
        bundle=bundle,
        root=root,
        info={"source": {"commit": COMMIT}},
        work=work,
        engine=NoEngine(),
        cancel=Cancel(),
    )
    return replace(subject, **changes)


Answer = Callable[[Command], Ran | None]


@dataclass(kw_only=True, slots=True)
class ScriptedLab:
    """A lab whose commands are answered by functions: the first that gives something wins."""

    answers: list[Answer]
    where: str = "script"
    emulated: bool = False
    on_host: bool = False
    commands: list[Command] = field(default_factory=list)
    asked: dict[str, object] = field(default_factory=dict)

    def find(self, subject: Subject, *, gate: str, image: str, deadline: float) -> ScriptedLab:
        """Stand in for ``open_lab``."""
        self.asked = {"gate": gate, "image": image, "deadline": deadline}
        return self

    def run(self, title: str, commands: Sequence[Command], *, folders: Iterable[Folder] = ()) -> tuple[Ran, ...]:
        """Answer each command."""
        self.commands.extend(commands)
        return tuple(self._answer(command) for command in commands)

    def _answer(self, command: Command) -> Ran:
        for answer in self.answers:
            ran = answer(command)
            if ran is not None:
                return ran
        msg = f"no answer to {command.argv}"
        raise AssertionError(msg)


def says(
    command: Command, stdout: str = "", stderr: str = "", *, code: int | None = 0, seconds: float | None = 0.01
) -> Ran:
    """Make the result of a command."""
    message = "hung until the deadline" if code is None else ""
    return Ran(name=command.name, exit_code=code, stdout=stdout, stderr=stderr, seconds=seconds, message=message)
