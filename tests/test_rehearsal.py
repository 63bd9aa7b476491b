from __future__ import annotations

import datetime
import pickle
from pathlib import Path

import pytest
import yaml

from pipeline.matrix.expand import expand
from tests.github.contract import check
from tests.matrix.builders import load_text
from tests.rehearsal import ROOT, main, waived_matrix


def test_the_rehearsals_matrix_waives_what_cannot_run_until_tomorrow() -> None:
    text = waived_matrix((ROOT / "matrix.yaml").read_text(), datetime.date(2026, 11, 21))

    cells = {cell.id: cell for cell in expand(load_text(text)).cells}
    waivers = cells["llama.cpp/linux-x86_64/cpu"].waivers
    assert {(waiver.gate, waiver.until) for waiver in waivers} == {
        ("smoke", "2026-11-22"),
        ("tests", "2026-11-22"),
        ("repro", "2026-11-22"),
    }
    assert all("rehearsal" in waiver.reason for waiver in waivers)
    assert "waivers" not in (ROOT / "matrix.yaml").read_text()


def test_nothing_else_is_changed() -> None:
    before = yaml.safe_load((ROOT / "matrix.yaml").read_text())
    after = yaml.safe_load(waived_matrix((ROOT / "matrix.yaml").read_text(), datetime.date(2026, 11, 21)))

    assert after["overrides"].pop()["cells"] == "*/*/*"
    assert after == before


@pytest.mark.process
def test_the_whole_line_runs_with_nothing_but_python(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--record", str(tmp_path / "exchanges")]) == 0

    exchanges = pickle.loads((tmp_path / "exchanges").read_bytes())
    assert len(exchanges) > 50
    check(exchanges)

    shown = capsys.readouterr().out
    for step in ("nothing was sent", "sealed, published and verified", "wrote nothing", "changed byte was refused"):
        assert step in shown
