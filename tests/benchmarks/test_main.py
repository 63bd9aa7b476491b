from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from benchmarks import __main__ as runner
from benchmarks.rows import Goal, NotRunError, Row, row
from benchmarks.setting import Setting


class Stub:
    """A benchmark that takes no time."""

    def __init__(self, value: float | None) -> None:
        self.value = value

    def measure(self, setting: Setting) -> list[Row]:
        if self.value is None:
            msg = "zstd is missing"
            raise NotRunError(msg)
        return [row("made up", [self.value] * setting.repeat(3), " s", goal=Goal(limit=1))]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub(0.5)
    monkeypatch.setattr(importlib, "import_module", lambda name: made)
    return made


def test_every_benchmark_named_exists_and_says_what_it_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(runner.NAMES)
    assert all(len(line.split()) > 4 for line in lines)


def test_what_is_measured_is_printed_and_written(
    stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(["packing", "--runs", "2", "--json", str(tmp_path / "x.json"), "--strict"]) == 0

    assert "1 met, 0 missed, 0 not run" in capsys.readouterr().out
    found = json.loads((tmp_path / "x.json").read_bytes())
    assert found["results"]["packing"][0]["values"] == [0.5, 0.5]


@pytest.mark.parametrize("value", [2.0, None])
def test_strict_fails_for_what_is_missed_or_not_run(
    stub: Stub, value: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.value = value

    assert runner.main(["packing"]) == 0
    assert runner.main(["packing", "--strict"]) == 1
    shown = capsys.readouterr().out
    assert "missed" in shown if value else "not run: zstd is missing" in shown


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["nonsense"])

    assert "there is no 'nonsense'; there are plan_process" in capsys.readouterr().err
