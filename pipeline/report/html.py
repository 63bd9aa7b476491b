"""report.html: one file that works from a disk, asks for nothing, and shows hostile text as text.

Every value is cleaned and then escaped on its way into the template, and the page's Content-Security-Policy allows
its own style sheet by hash and nothing else: what should slip through would still not run.
"""

from __future__ import annotations

__all__ = ["SIZE_GOAL", "render"]

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from pipeline.report.page import at_least, build_page
from pipeline.report.record import RunReport
from pipeline.report.text import clean
from pipeline.report.view import Density

SIZE_GOAL = 2_800_000
"""Bytes above which a page is told with less detail."""


def _harmless(value: object) -> object:
    """Clean whatever the template prints; autoescape comes after this."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _parts() -> tuple[Template, Markup, str]:
    """Read the template and the style sheet, and hash the sheet as the browser will."""
    folder = files("pipeline.report")
    sheet = folder.joinpath("report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(sheet.encode("utf-8")).digest()).decode("ascii")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_harmless,
    )
    template = environment.from_string(folder.joinpath("report.html.j2").read_text(encoding="utf-8"))
    return template, Markup(sheet), f"sha256-{digest}"  # noqa: S704 - our own file, with no value in it


def render(report: RunReport) -> str:
    """Write the page, in as much detail as keeps it below ``SIZE_GOAL``."""
    template, sheet, digest = _parts()
    text = ""
    for density in Density:
        if at_least(report, density) > SIZE_GOAL and density is not Density.BARE:
            continue
        text = template.render(page=build_page(report, density), sheet=sheet, digest=digest)
        if len(text.encode("utf-8")) <= SIZE_GOAL:
            break
    return text
