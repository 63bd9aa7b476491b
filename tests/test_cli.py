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
        (["build-matrix", "--jobs", "0"], 2, "must be 1 or more"),
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
