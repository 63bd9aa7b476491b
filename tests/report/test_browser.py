"""The page in a real browser: no request, no console message, every text there, in light, dark and narrow."""

from __future__ import annotations

import html
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from pipeline.model import Status
from pipeline.report.html import render
from pipeline.report.text import clean
from tests.report.builders import HOSTILE, many, report

pytestmark = [pytest.mark.browser, pytest.mark.process]

RUN = report()
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)


def _browse(folder: Path, page: str, *arguments: str) -> tuple[str, list[str]]:
    """Open ``page``; give what the browser printed and its console's messages."""
    browser = shutil.which("chromium")
    assert browser is not None, "chromium is not installed: apt-get install chromium, or leave out --run-browser"
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [browser, *_FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def _text(dom: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", dom, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "", body))


def test_this_test_would_see_a_violation(tmp_path: Path) -> None:
    page = render(RUN).replace("<main>", '<main><script>document.title = "ran"</script><p style="color:red">x</p>')
    dom, console = _browse(tmp_path, page, "--dump-dom")

    assert any("Content Security Policy" in line for line in console)
    assert "<title>ran</title>" not in dom


def test_every_cell_is_there_and_the_console_is_silent(tmp_path: Path) -> None:
    dom, console = _browse(tmp_path, render(RUN), "--dump-dom")
    text = _text(dom)

    assert console == []
    assert "2 passed (1 with a waiver), 1 unproven, 1 failed, 22 not run" in text
    for cell in RUN.cells:
        assert cell.id in text
        assert (cell.reason or "") in text
        for verdict in cell.verdicts:
            assert ((verdict.reason or "") if verdict.status is Status.SKIPPED else verdict.summary) in text
    assert all(cell in text and reason in text for cell, reason in RUN.left_out)


def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    dom, console = _browse(tmp_path, render(many(3, text=" ".join(HOSTILE))), "--dump-dom")

    assert console == []
    assert not re.search(r"<(?:script|img)", dom)
    assert clean(HOSTILE[0]) in _text(dom)


def test_a_big_page_opens(tmp_path: Path) -> None:
    dom, console = _browse(tmp_path, render(many(2000)), "--dump-dom")

    assert console == []
    assert dom.count("<article") == 2000


@pytest.mark.parametrize(
    ("name", "width", "arguments"),
    [
        ("light", 1200, ()),
        ("dark", 1200, ("--blink-settings=preferredColorScheme=0",)),
        ("narrow", 400, ()),
    ],
)
def test_it_is_drawn(tmp_path: Path, name: str, width: int, arguments: tuple[str, ...]) -> None:
    shot = tmp_path / f"{name}.png"
    _, console = _browse(
        tmp_path, render(RUN), f"--screenshot={shot}", f"--window-size={width},1600", "--hide-scrollbars", *arguments
    )
    data = shot.read_bytes()

    assert console == []
    assert struct.unpack(">II", data[16:24]) == (width, 1600)
    assert len(data) > 40_000, "the page is all but empty"
