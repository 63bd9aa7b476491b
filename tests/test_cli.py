"""The commands as a user types them, on the fake engine and the real matrix.yaml."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import SourceError
from pipeline.run.store import Store

ROOT = Path(__file__).resolve().parent.parent
CPU = "llama.cpp/linux-x86_64/cpu"


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    matrix, store, dist = ROOT / "matrix.yaml", tmp_path / "store", tmp_path / "dist"
    return ["--matrix", str(matrix), "--store", str(store), "--dist", str(dist), "--engine", "fake"]


def test_a_build_leaves_the_planned_assets_and_both_reports(arguments: list[str], tmp_path: Path) -> None:
    assert main(["build-matrix", "--only", CPU, *arguments]) == 0

    made = sorted(path.name for path in (tmp_path / "dist" / "0.1.0-local").iterdir())
    assert made == ["llama.cpp-0.1.0-local-linux-x86_64-cpu.tar.zst", "logs", "report.html", "report.json"]


def test_the_report_covers_the_whole_matrix_and_keeps_what_earlier_runs_found(
    arguments: list[str], tmp_path: Path
) -> None:
    report = tmp_path / "dist" / "0.1.0-local" / "report.json"

    main(["build-matrix", "--only", CPU, *arguments])
    first = {cell["id"]: cell for cell in json.loads(report.read_text())["cells"]}
    main(["build-matrix", "--only", "llama.cpp/linux-aarch64/cpu", *arguments])
    second = {cell["id"]: cell for cell in json.loads(report.read_text())["cells"]}

    assert first["llama.cpp/linux-aarch64/cpu"]["state"] == "not run"
    assert first["llama.cpp/linux-aarch64/cpu"]["reason"] == "not asked for in this run"
    assert second["llama.cpp/linux-aarch64/cpu"]["state"] == "unproven"
    assert second[CPU] == first[CPU]
    assert second["ollama/linux-x86_64/cuda12"]["state"] == "not run"


def test_the_plan_is_what_the_build_then_does(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--all", "--format", "json", *arguments]) == 0
    plan = json.loads(capsys.readouterr().out)

    main(["build-matrix", "--all", *arguments])
    report = json.loads((tmp_path / "dist" / "0.1.0-local" / "report.json").read_text())

    assert plan["assets"] == [cell["asset"] for cell in report["cells"] if cell["size"]]
    assert {task["key"] for cell in plan["cells"] for task in cell["tasks"]} == {
        task["key"] for task in report["tasks"]
    }


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["build-matrix", "--only", "ollama/linux-x86_64/cpu"], 6, "it cannot be built here: needs an Ollama source"),
        (["build-matrix", "--only", "ollama/*/*"], 6, "nothing that --only ollama/*/* selects can be built here"),
        (["plan", "--only", "*/*/vulcan"], 4, "vulcan"),
        (["plan", "--source", "llama.cpp"], 2, "--source takes NAME=PATH, not 'llama.cpp'"),
        (["plan", "--source", "lama.cpp=x"], 2, "--source names 'lama.cpp', which matrix.yaml does not have"),
        (
            ["build-matrix", "--only", "ollama/linux-amd64/cpu", "--only", CPU],
            6,
            "ollama/linux-x86_64/cpu: it cannot be built here",
        ),
        (["build-matrix", "--jobs", "0"], 2, "must be 1 or more"),
        (["build-matrix", "--jobs", "9" * 5000], 2, "--jobs"),
        (["plan", "--profile", "fast"], 2, "--profile"),
        (["build"], 2, "invalid choice: 'build'"),
    ],
)
def test_a_mistake_has_its_exit_code_and_says_what_is_wrong(
    argv: list[str], code: int, words: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shared = arguments if argv[0] != "build" else []

    assert main([*argv, *shared]) == code

    shown = capsys.readouterr().err
    assert words in shown
    assert shown.startswith("error: ")
    assert "Traceback" not in shown


def test_a_broken_matrix_is_shown_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "matrix.yaml").read_text().replace("deadline: 60m", "deadlin: 60m", 1)
    (tmp_path / "matrix.yaml").write_text(text)

    assert main(["plan", "--matrix", str(tmp_path / "matrix.yaml"), "--engine", "fake"]) == 3

    assert "did you mean 'deadline'?" in capsys.readouterr().err


def test_a_failed_gate_is_exit_code_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "matrix.yaml").read_text().replace("max: 30MB, max_unpacked: 120MB", "max: 30MB, max_unpacked: 2kB")
    for name in ("containers", "schema"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "matrix.yaml").write_text(text)
    places = ["--store", str(tmp_path / "s"), "--dist", str(tmp_path / "d"), "--engine", "fake"]

    code = main(["build-matrix", "--matrix", str(tmp_path / "matrix.yaml"), "--only", CPU, *places])

    assert code == 1
    assert f"error: {CPU}: gate size failed: " in capsys.readouterr().err


def test_nothing_to_build_is_not_success(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for platform, words in (("darwin-arm64", "needs macOS with Xcode"), ("plan9-mips", "--all takes every platform")):
        monkeypatch.setattr("pipeline.session.machine_platform", lambda name=platform: name)

        assert main(["build-matrix", *arguments]) == 6

        shown = capsys.readouterr().err
        assert f"nothing for {platform} can be built here" in shown
        assert words in shown
        assert main(["plan", *arguments]) == 0
        capsys.readouterr()


def test_a_failed_gate_takes_the_archive_of_an_earlier_run_out_of_dist(arguments: list[str], tmp_path: Path) -> None:
    dist = tmp_path / "dist" / "0.1.0-local"
    main(["build-matrix", "--only", CPU, *arguments])
    document = json.loads((dist / "report.json").read_text())
    for cell in document["cells"]:
        cell["size"] = 1 if cell["id"] == CPU else None
    (tmp_path / "previous.json").write_text(json.dumps(document))
    assert len(list(dist.glob("*.tar.zst"))) == 1

    assert main(["build-matrix", "--only", CPU, "--previous", str(tmp_path / "previous.json"), *arguments]) == 1

    assert list(dist.glob("*.tar.zst")) == []


def test_what_a_killed_run_left_in_dist_is_cleared_and_no_old_report_stays(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dist = tmp_path / "dist" / "0.1.0-local"
    main(["build-matrix", "--only", CPU, *arguments])
    for name in (".report.json.abc", ".llama.cpp-0.1.0-local-linux-x86_64-cpu.tar.zst.0123abcd"):
        (dist / name).write_text("half")

    def killed(runner: object) -> None:
        raise SystemExit(9)

    monkeypatch.setattr("pipeline.run.runner.Runner.run", killed)
    with pytest.raises(SystemExit):
        main(["build-matrix", "--only", CPU, *arguments])

    assert sorted(path.name for path in dist.iterdir()) == ["llama.cpp-0.1.0-local-linux-x86_64-cpu.tar.zst", "logs"]
    assert "cut short" in capsys.readouterr().out


def test_a_dist_that_is_a_file_is_exit_code_thirteen(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dist").write_text("mine")

    assert main(["build-matrix", "--only", CPU, *arguments]) == 13

    assert "the folder for bundles cannot be used" in capsys.readouterr().err


def test_somebody_elses_folder_is_not_taken_for_a_store(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "store" / "scratch" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    (tmp_path / "store" / "notes.txt").write_text("mine")

    assert main(["build-matrix", "--only", CPU, *arguments]) == 13

    assert "the folder holds other things: notes.txt" in capsys.readouterr().err
    assert precious.read_text() == "precious"


def test_a_broken_pipe_is_no_success_of_a_build(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(store: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("pipeline.run.store.Store.sweep", broken)

    assert main(["build-matrix", "--only", CPU, *arguments]) == 70

    assert "BrokenPipeError" in capsys.readouterr().err


@pytest.mark.process
def test_a_reader_that_has_had_enough_is_no_failure_of_a_plan(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pipeline", "plan", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        shown = run.stderr.read()

    assert (run.returncode, shown) == (0, b"")


@pytest.mark.process
def test_a_hangup_that_nohup_ignores_does_not_stop_a_build() -> None:
    code = (
        "import os, signal, sys\n"
        "from pipeline.build import _signals\n"
        "from pipeline.engines.base import Cancel\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "cancel = Cancel()\n"
        "with _signals(cancel) as received:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    assert not received and not cancel.is_set()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert received and cancel.is_set()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_mistake_elsewhere_in_the_matrix_is_told_before_the_work(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(session: object) -> None:
        msg = "the source other is not pinned"
        raise SourceError(msg)

    monkeypatch.setattr("pipeline.session.Session.whole_plan", broken)

    assert main(["build-matrix", "--only", CPU, *arguments]) == 7

    assert not (tmp_path / "store" / "tasks").exists()


def test_a_previous_report_that_is_no_text_is_a_mistake_of_the_caller(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "previous.json").write_bytes(b"\xff\xfe")

    assert main(["plan", "--previous", str(tmp_path / "previous.json"), *arguments]) == 2


def test_a_store_in_use_is_exit_code_thirteen(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(tmp_path / "store").locked():
        assert main(["build-matrix", "--only", CPU, *arguments]) == 13

    assert "is using this store" in capsys.readouterr().err


def test_debug_adds_the_traceback(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--only", "*/*/vulcan", "--debug", *arguments])

    assert "Traceback" in capsys.readouterr().err


def test_on_github_an_error_is_an_annotation_that_cannot_be_broken_out_of(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    main(["plan", "--only", "*/*/100%\n::set-output", *arguments])

    annotations = [line for line in capsys.readouterr().err.splitlines() if line.startswith("::")]
    assert len(annotations) <= 2
    assert all(line.startswith("::error title=llamatrix::") or "set-output" in line for line in annotations)


@pytest.mark.process
def test_a_build_that_is_killed_at_random_converges_to_the_same_bytes(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "build-matrix", "--all", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def digests() -> dict[str, str]:
        report = json.loads((tmp_path / "dist" / "0.1.0-local" / "report.json").read_text())
        return {cell["id"]: cell["sha256"] for cell in report["cells"] if cell["sha256"]}

    for number, delay in enumerate((0.25, 0.35, 0.45, 0.55, 0.65)):
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            time.sleep(delay)
            run.send_signal(signal.SIGKILL if number % 2 else signal.SIGINT)
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    killed = digests()
    assert list((tmp_path / "store" / "scratch").iterdir()) == []
    subprocess.run([*command, "--fresh"], env=environment, check=True, stdout=subprocess.DEVNULL)

    assert digests() == killed
    assert len(killed) == 4


def test_growth_is_held_against_the_previous_release(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "dist" / "0.1.0-local" / "report.json"
    main(["build-matrix", "--only", CPU, *arguments])
    document = json.loads(report.read_text())
    for cell in document["cells"]:
        if cell["id"] == CPU:
            cell["size"] //= 2
    (tmp_path / "previous.json").write_text(json.dumps(document))

    code = main(["build-matrix", "--only", CPU, "--previous", str(tmp_path / "previous.json"), *arguments])

    assert code == 1
    assert "gate size failed" in capsys.readouterr().err
    assert main(["build-matrix", "--only", CPU, "--previous", str(tmp_path / "gone.json"), *arguments]) == 2
