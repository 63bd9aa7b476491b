from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pipeline.engines.base import Ending, Folder
from pipeline.gates.lab import LabInterruptedError, NoLabError, Surroundings, open_lab, stage
from pipeline.gates.script import Command
from pipeline.matrix.spec import Gates
from pipeline.model import EngineName, Status
from tests.gates.labs import EndingEngine, NoEngine, ShellEngine, make_subject

HERE = Surroundings(machine="linux-x86_64")
ECHO = Command(name="echo", argv=("echo", "{BUNDLE}"))


def refused(tmp_path: Path, engine: EngineName, platform: str, around: Surroundings = HERE) -> NoLabError:
    subject = make_subject(tmp_path, Gates(), engine=NoEngine(engine), platform=platform)
    with pytest.raises(NoLabError) as caught:
        open_lab(subject, gate="smoke", image="floor", deadline=60, around=around)
    return caught.value


def test_the_fake_engine_runs_nothing(tmp_path: Path) -> None:
    error = refused(tmp_path, EngineName.FAKE, "linux-x86_64")
    assert error.verdict("smoke").status is Status.SKIPPED
    assert error.reason == "the fake engine forges files that cannot run"


@pytest.mark.parametrize("engine", [EngineName.HOST, EngineName.DOCKER])
def test_another_system_is_skipped(tmp_path: Path, engine: EngineName) -> None:
    error = refused(tmp_path, engine, "darwin-arm64")
    assert "build and gate this cell on darwin" in error.reason
    assert not error.broken


def test_an_image_that_was_not_prepared_fails(tmp_path: Path) -> None:
    error = refused(tmp_path, EngineName.DOCKER, "linux-x86_64")
    assert "image 'floor' was not prepared for this gate (there is none at all)" in error.reason
    assert error.verdict("smoke").status is Status.FAILED


def test_another_processor_without_an_emulator_is_skipped(tmp_path: Path) -> None:
    error = refused(tmp_path, EngineName.HOST, "linux-aarch64")
    assert "install qemu-user-static" in error.reason
    assert not error.broken


def emulated(tmp_path: Path, engine: EngineName, sysroot: Path) -> tuple[EndingEngine, Surroundings]:
    fake = EndingEngine(Ending.OK, name=engine)
    return fake, Surroundings(machine="linux-x86_64", sysroots={"aarch64": (sysroot, "libc6-arm64-cross")})


@pytest.fixture
def qemu(tmp_path: Path) -> Path:
    path = tmp_path / "qemu-aarch64-static"
    path.write_bytes(b"an emulator")
    return path


def test_the_host_needs_the_other_processors_c_library(tmp_path: Path, qemu: Path) -> None:
    engine, around = emulated(tmp_path, EngineName.HOST, tmp_path / "none")
    subject = make_subject(tmp_path, Gates(), engine=engine, platform="linux-aarch64", emulators={"aarch64": qemu})
    with pytest.raises(NoLabError, match="install libc6-arm64-cross"):
        open_lab(subject, gate="smoke", image="floor", deadline=60, around=around)


def test_the_emulator_on_the_host(tmp_path: Path, qemu: Path) -> None:
    engine, around = emulated(tmp_path, EngineName.HOST, tmp_path)
    subject = make_subject(tmp_path, Gates(), engine=engine, platform="linux-aarch64", emulators={"aarch64": qemu})
    lab = open_lab(subject, gate="smoke", image="floor", deadline=60, around=around)
    lab.run("a job", [ECHO])
    (job,) = engine.jobs
    script = (subject.work / "smoke" / "01" / "script" / "run.sh").read_text()
    assert job.argv == ("sh", "{SCRIPT}/run.sh")
    assert f'exec "$LLAMATRIX_QEMU"/qemu-aarch64 -L {tmp_path} echo "$LLAMATRIX_BUNDLE"' in script
    assert lab.where == "host, qemu-aarch64"
    assert lab.emulated
    assert lab.on_host


def test_the_emulator_in_an_image_runs_its_shell_too(tmp_path: Path, qemu: Path) -> None:
    engine, around = emulated(tmp_path, EngineName.DOCKER, tmp_path / "none")
    subject = make_subject(
        tmp_path,
        Gates(),
        engine=engine,
        platform="linux-aarch64",
        emulators={"aarch64": qemu},
        images={"floor": "sha256:1"},
    )
    lab = open_lab(subject, gate="smoke", image="floor", deadline=60, around=around)
    lab.run("a job", [ECHO])
    (job,) = engine.jobs
    assert job.argv == ("{QEMU}/qemu-aarch64", "/bin/sh", "{SCRIPT}/run.sh")
    assert job.image == "sha256:1"
    folders = {folder.name: folder for folder in job.folders}
    assert [path.read_bytes() for path in folders["QEMU"].path.iterdir()] == [b"an emulator"]
    assert [name for name, folder in folders.items() if folder.writable] == ["OUT"]
    assert not job.network


def test_an_image_of_another_processor_needs_a_shell(tmp_path: Path, qemu: Path) -> None:
    subject = make_subject(
        tmp_path,
        Gates(),
        engine=EndingEngine(Ending.FAILED, name=EngineName.DOCKER),
        platform="linux-aarch64",
        emulators={"aarch64": qemu},
        images={"floor": "sha256:1"},
    )
    lab = open_lab(subject, gate="smoke", image="floor", deadline=60, around=HERE)
    with pytest.raises(NoLabError, match=r"nothing ran in image floor, qemu-aarch64: as told; .* add dash") as caught:
        lab.run("a job", [ECHO])
    assert caught.value.broken


@pytest.mark.parametrize("machine", ["linux-x86_64", "linux-aarch64"])
def test_the_own_processor_needs_no_emulator(tmp_path: Path, machine: str) -> None:
    subject = make_subject(tmp_path, Gates(), platform=machine)
    lab = open_lab(subject, gate="smoke", image="floor", deadline=60, around=Surroundings(machine=machine))
    assert not lab.emulated
    assert lab.where == "host"


def test_all_jobs_share_one_deadline(tmp_path: Path) -> None:
    engine = EndingEngine(Ending.OK)
    clock = itertools.count(100, 25)
    around = Surroundings(machine="linux-x86_64", clock=lambda: float(next(clock)))
    lab = open_lab(make_subject(tmp_path, Gates(), engine=engine), gate="g", image="i", deadline=60, around=around)
    for _ in range(2):
        lab.run("a job", [ECHO])
    (late,) = lab.run("a job", [ECHO])
    assert [job.deadline for job in engine.jobs] == [35, 10]
    assert late.problem == "no time was left"


def test_a_cancelled_job_is_nobodys_fault(tmp_path: Path) -> None:
    subject = make_subject(tmp_path, Gates(), engine=EndingEngine(Ending.CANCELLED))
    lab = open_lab(subject, gate="g", image="i", deadline=60, around=HERE)
    with pytest.raises(LabInterruptedError, match="a job: cancelled"):
        lab.run("a job", [ECHO])


@pytest.mark.process
def test_programs_really_run(tmp_path: Path) -> None:
    subject = make_subject(tmp_path, Gates(), engine=ShellEngine())
    lab = open_lab(subject, gate="g", image="i", deadline=60, around=HERE)
    extra = tmp_path / "extra"
    extra.mkdir()
    runs = lab.run(
        "a job",
        [ECHO, Command(name="ls", argv=("ls", "{EXTRA}")), Command(name="pwd", argv=("sh", "-c", "pwd; ls"))],
        folders=[Folder(name="EXTRA", path=extra)],
    )
    assert [run.problem for run in runs] == [None, None, None]
    assert runs[0].stdout == f"{subject.root}\n"
    assert "libggml" not in runs[2].stdout


@pytest.mark.process
def test_a_program_that_hangs_ends_with_the_deadline(tmp_path: Path) -> None:
    subject = make_subject(tmp_path, Gates(), engine=ShellEngine())
    lab = open_lab(subject, gate="g", image="i", deadline=0.5, around=HERE)
    first, hung, after = lab.run(
        "a job", [ECHO, Command(name="sleep", argv=("sleep", "30")), Command(name="after", argv=("true",))]
    )
    assert first.problem is None
    assert hung.problem == "hung until the deadline"
    assert after.problem is not None


def test_a_stage_holds_real_files_and_keeps_links(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "sub").mkdir(parents=True)
        (folder / "same").write_text(folder.name)
    (one / "libggml-cpu-x64.so").write_text("variant")
    (one / "liba.so.1").write_text("library")
    (one / "liba.so").symlink_to("liba.so.1")
    (two / "only").write_text("only")
    stage(tmp_path / "stage", [one])
    place = stage(tmp_path / "stage", [one, two], leave_out="libggml-cpu-*")
    assert sorted(path.name for path in place.iterdir()) == ["liba.so", "liba.so.1", "only", "same"]
    assert (place / "same").read_text() == "one"
    assert (place / "liba.so").readlink() == Path("liba.so.1")
    assert not (place / "liba.so.1").is_symlink()


def test_a_stage_on_another_file_system_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("a")
    (source / "a").chmod(0o755)
    copy = stage(tmp_path / "stage", [source]) / "a"
    assert copy.read_text() == "a"
    assert copy.stat().st_mode & 0o777 == 0o755
