from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Status, Verdict
from pipeline.report.html import SIZE_GOAL, render
from pipeline.report.record import CellState, RunReport
from pipeline.report.text import clean
from tests.report.builders import HOSTILE, many, report
from tests.report.golden import compare

RUN = report()
VOID = {"meta", "rect"}


class _Reader(HTMLParser):
    """Collects tags, attributes and text, and insists that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def _with(text: str) -> RunReport:
    """Put ``text`` everywhere a text can be."""
    verdict = Verdict(
        gate=text, status=Status.FAILED, summary=text, reason=text, until=text, details=(text,), measured={text: text}
    )
    cell = replace(
        RUN.cells[0],
        id=text,
        project=text,
        platform=text,
        variant=text,
        reason=text,
        asset=text,
        sha256=text,
        state=CellState.FAILED,
        verdicts=(verdict, replace(verdict, status=Status.SKIPPED), replace(verdict, status=Status.WAIVED)),
    )
    idle = replace(cell, id=f"{text}2", state=CellState.NOT_RUN, asset=None, verdicts=())
    task = replace(RUN.tasks[-2], id=text, message=text, log=text, cells=(text,))
    return replace(
        RUN,
        version=text,
        profile=text,
        engine=text,
        engine_reason=text,
        machine=text,
        tool=text,
        cells=(cell, idle),
        tasks=(task,),
        left_out=((f"a/b/{text.replace('/', '')}", text),),
    )


SHAPE = [tag for tag, _ in _read(render(_with("x"))).tags]


def test_golden(request: pytest.FixtureRequest) -> None:
    compare("report.html", render(RUN), update=request.config.getoption("--update-golden"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_markup(text: str) -> None:
    reader = _read(render(_with(text)))

    assert [tag for tag, _ in reader.tags if tag not in {"a", "span"}] == [
        tag for tag in SHAPE if tag not in {"a", "span"}
    ]
    assert clean(text) in "".join(reader.text)
    assert not any(name.startswith("on") or name == "style" for _, attrs in reader.tags for name in attrs)
    assert all((attrs.get("href") or "#").startswith(("#", "./", "report.json")) for _, attrs in reader.tags)


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=60))
def test_any_text_adds_no_markup(text: str) -> None:
    page = render(_with(text))
    reader = _read(page)

    assert {tag for tag, _ in reader.tags} <= {*SHAPE, "a"}
    assert "script" not in {tag for tag, _ in reader.tags}
    page.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)


def test_the_page_asks_for_nothing() -> None:
    page = render(RUN)

    assert not re.search(r"\b(?:src|srcset|data|poster|background)=", page)
    assert "url(" not in page
    assert "@import" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert {tag for tag, _ in _read(page).tags}.isdisjoint({"script", "link", "img", "iframe", "object", "base"})


def test_the_policy_allows_this_style_sheet_and_nothing_else() -> None:
    page = render(RUN)
    sheet = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    policy = next(attrs["content"] for tag, attrs in _read(page).tags if attrs.get("http-equiv"))

    assert sheet is not None
    digest = base64.b64encode(hashlib.sha256(sheet[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "</" not in sheet[1]


def test_tables_can_be_read_aloud() -> None:
    tags = _read(render(RUN)).tags

    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in tags if tag == "th")
    assert all(attrs.get("aria-hidden") == "true" for tag, attrs in tags if tag == "svg")
    assert [tag for tag, _ in tags].count("h1") == 1
    assert ("html", {"lang": "en"}) in tags


def test_every_link_in_the_page_leads_somewhere() -> None:
    tags = _read(render(RUN)).tags
    targets = {attrs["id"] for _, attrs in tags if "id" in attrs}

    assert len(targets) == sum("id" in attrs for _, attrs in tags)
    assert {str(attrs["href"])[1:] for _, attrs in tags if str(attrs.get("href", "")).startswith("#")} <= targets


def test_skipped_never_looks_like_passed() -> None:
    page = render(RUN)
    styles = dict(re.findall(r"^\.v\.(\w+) \{ color: var\(--(\w+)\)", page, re.MULTILINE))

    assert '<span class="v skipped">skipped</span>' in page
    assert '<span class="v unproven">unproven</span>' in page
    assert styles["passed"] == "passed"
    assert [name for name, colour in styles.items() if colour == "passed"] == ["passed"]
    assert ".v.unproven, .v.skipped, .v.blocked, .v.cancelled { color: var(--unproven); }" in page


def test_everything_that_matters_is_on_the_page() -> None:
    text = "".join(_read(render(RUN)).text)

    assert "2 passed (1 with a waiver), 1 unproven, 1 failed, 22 not run" in text
    for cell in RUN.cells:
        assert cell.id in text
        assert (cell.sha256 or "") in text
        assert (cell.asset or "") in text
        for verdict in cell.verdicts:
            assert ((verdict.reason or "") if verdict.status is Status.SKIPPED else verdict.summary) in text
            assert all(line in text.replace("&#39;", "'") for line in map(clean, verdict.details))
            assert all(name in text for name in verdict.measured)
    for name, reason in RUN.left_out:
        assert name in text
        assert reason in text


def test_an_empty_run_has_a_page() -> None:
    text = "".join(_read(render(replace(RUN, cells=(), tasks=(), left_out=()))).text)

    assert "nothing was built" in text
    assert "0 passed, 0 unproven, 0 failed, 0 not run" in text


@pytest.mark.parametrize("text", ["", "<&'\">" * 500])
def test_two_thousand_cells_stay_below_the_goal(text: str) -> None:
    run = many(2000, text=text)
    page = render(run)

    assert len(page.encode()) <= SIZE_GOAL < 3_000_000
    assert "This run is large" in page
    assert page.count("<article") == 2000


def test_even_the_worst_run_stays_below_the_goal() -> None:
    run = many(2000)
    text = "é" * 1000
    worst = tuple(
        Verdict(gate=f"gate{at}", status=Status.FAILED, summary=text, reason=text, details=(text,) * 50)
        for at in range(9)
    )
    page = render(replace(run, cells=tuple(replace(cell, verdicts=worst) for cell in run.cells)))

    assert len(page.encode()) <= SIZE_GOAL
    assert page.count('<span class="v failed">failed</span>') >= 4000
    assert "gates are named only" in page


def test_a_waiver_is_told_with_its_reason_and_its_end() -> None:
    text = " ".join(_read(render(RUN)).text)

    assert "These failed or were skipped, and are accepted until the day given." in text
    assert "test-sampling needs 20 minutes under qemu-user (until 2026-12-31)" in text
    assert "waived: tests" in text
