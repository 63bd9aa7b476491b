from __future__ import annotations

import json
import math
import re
import string
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InternalError, StoreError
from pipeline.model import Status, TaskKind, TaskState, Verdict
from pipeline.report.document import from_json, to_json, write
from pipeline.report.record import CellRecord, CellState, Material, RunReport, TaskRecord
from tests.report.builders import HOSTILE, many, report

RUN = report()
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
TIME = st.none() | st.floats(0, 1e10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
VERDICTS = st.builds(
    Verdict,
    gate=TEXT,
    status=st.sampled_from(Status),
    summary=TEXT,
    reason=st.none() | TEXT,
    until=st.none() | TEXT,
    details=st.lists(TEXT, max_size=3).map(tuple),
    measured=st.dictionaries(TEXT, JSON, max_size=3),
    seconds=st.floats(0, 1e6),
)
CELLS = st.builds(
    CellRecord,
    id=TEXT,
    project=TEXT,
    platform=TEXT,
    variant=TEXT,
    state=st.sampled_from(CellState),
    reason=st.none() | TEXT,
    size=st.none() | st.integers(0, 2**40),
    verdicts=st.lists(VERDICTS, max_size=2).map(tuple),
    materials=st.lists(TEXT, max_size=2).map(tuple),
)
MATERIALS = st.builds(
    Material,
    id=TEXT,
    kind=TEXT,
    name=TEXT,
    digest=TEXT,
    origin=TEXT,
    packages=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
)
TASKS = st.builds(
    TaskRecord,
    id=TEXT,
    kind=st.sampled_from(TaskKind),
    key=TEXT,
    state=st.sampled_from(TaskState),
    cells=st.lists(TEXT, max_size=2).map(tuple),
    started=TIME,
    ended=TIME,
    log=st.none() | TEXT,
)
RUNS = st.builds(
    RunReport,
    version=TEXT,
    profile=TEXT,
    engine=TEXT,
    engine_reason=TEXT,
    machine=TEXT,
    tool=TEXT,
    started=st.floats(0, 1e10),
    ended=st.floats(0, 1e10),
    tasks=st.lists(TASKS, max_size=3).map(tuple),
    cells=st.lists(CELLS, max_size=3).map(tuple),
    left_out=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
    materials=st.lists(MATERIALS, max_size=2).map(tuple),
)


@given(RUNS)
def test_what_is_written_reads_back(run: RunReport) -> None:
    text = to_json(run)

    assert from_json(text) == run
    assert to_json(from_json(text)) == text
    assert text.isascii()


def test_the_order_of_measurements_does_not_matter() -> None:
    def run(*names: str) -> RunReport:
        verdict = replace(RUN.cells[0].verdicts[0], measured={name: {"b": 1, "a": 2} for name in names})
        return replace(RUN, cells=(replace(RUN.cells[0], verdicts=(verdict,)),))

    assert to_json(run("x", "y")) == to_json(run("y", "x"))


def test_the_schema_comes_first() -> None:
    assert to_json(RUN).startswith('{\n "schema": 1,\n')


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_without_a_word_is_a_bug(value: float) -> None:
    with pytest.raises(InternalError, match="a number that JSON has no word for"):
        to_json(replace(RUN, ended=value))


@pytest.mark.parametrize(
    ("measured", "message"),
    [({"a": {1: 2}}, r"measured\.a: 1 is no key"), ({"a": [b"x"]}, r"measured\.a\[0\]: bytes is no value")],
)
def test_a_measurement_without_a_word_is_a_bug(measured: dict[str, object], message: str) -> None:
    verdict = replace(RUN.cells[0].verdicts[0], measured=measured)

    with pytest.raises(InternalError, match=message):
        to_json(replace(RUN, cells=(replace(RUN.cells[0], verdicts=(verdict,)),)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a report"),
        ("{", "not a report"),
        ("[" * 100_000, "not a report"),
        ('{"schema": NaN}', "NaN is no JSON"),
        ("[]", "schema None"),
        ("{}", "schema None"),
        ('{"schema": true}', "schema True"),
        ('{"schema": 2}', "schema 2, this version of llamatrix reads 1"),
        ('{"schema": 1}', "missing required field"),
        ('{"schema": 1, "version": 3}', "Expected `str`, got `int`"),
    ],
)
def test_what_is_no_report_is_refused(text: str, message: str) -> None:
    with pytest.raises(StoreError, match=re.escape(message)) as caught:
        from_json(text, where="dist/report.json")

    assert caught.value.where == "dist/report.json"
    assert caught.value.hint


def test_a_state_nobody_knows_is_refused() -> None:
    with pytest.raises(StoreError, match="Invalid enum value 'great'"):
        from_json(to_json(RUN).replace('"unproven"', '"great"'))


def test_a_later_field_is_passed_over() -> None:
    document = json.loads(to_json(RUN))
    document["news"] = 1
    document["cells"][0]["news"] = 1

    assert from_json(json.dumps(document)) == from_json(to_json(RUN))


def test_a_report_from_before_materials_reads_as_having_none() -> None:
    document = json.loads(to_json(RUN))
    del document["materials"]
    for cell in document["cells"]:
        del cell["materials"]

    assert from_json(json.dumps(document)) == from_json(to_json(RUN))


def test_both_files_are_written(tmp_path: Path) -> None:
    write(RUN, tmp_path / "dist")
    write(RUN, tmp_path / "dist")

    assert sorted(path.name for path in (tmp_path / "dist").iterdir()) == ["report.html", "report.json"]
    assert from_json((tmp_path / "dist" / "report.json").read_text()) == from_json(to_json(RUN))


def test_hostile_text_can_be_written(tmp_path: Path) -> None:
    write(many(3, text="".join(HOSTILE)), tmp_path)

    assert (tmp_path / "report.html").read_text(encoding="utf-8").endswith("</html>\n")


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="the report cannot be written") as caught:
        write(RUN, tmp_path / "file" / "dist")

    assert caught.value.hint


def test_a_failure_leaves_the_old_report_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(RUN, tmp_path)
    before = (tmp_path / "report.json").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write(replace(RUN, version="2"), tmp_path)

    assert (tmp_path / "report.json").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_the_page_in_docs_names_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "report-json.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_0-9]+)`", page.replace("`, `", "` `")))

    for record in (RunReport, TaskRecord, CellRecord, Material, Verdict):
        assert {field.name for field in fields(record)} <= named
    for words in (TaskKind, TaskState, CellState, Status):
        assert all(f"`{word.value}`" in page for word in words)
    assert set(page) <= set(string.printable)
