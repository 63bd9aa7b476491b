"""Hostile text stays text: read back by a Markdown parser that knows tables and links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from release.notes.inert import cell, inert

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")


def kinds(markdown: str) -> set[str]:
    found = set()
    for token in PARSER.parse(markdown):
        found.add(token.type)
        found |= {child.type for child in token.children or ()}
    return found


def shown(markdown: str) -> str:
    return "".join(child.content for token in PARSER.parse(markdown) for child in token.children or ())


@pytest.mark.parametrize(
    "text",
    [
        "needs a CUDA 12 image (toolkit 12.4)",
        "glslc for x86-64 with aarch64 libraries; 40% less",
        "",
    ],
)
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert inert(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "thanks @octocat",
        "see ggml-org/llama.cpp#1",
        "see GH-12",
        "see #12",
        "fixed in 0c1e57098bba",
        "https://evil.example/x",
        "http:/x",
        "//evil.example",
        "www.evil.example",
        "mailto:a",
        "<img src=x onerror=alert(1)>",
        "<!-- llamatrix: manifest-sha256=00 -->",
        "*bold* _it_ ~~gone~~",
        "[a](b)",
        "![a](b)",
        "a | b",
        "`code`",
        "``two`` and `one",
        "$x$",
        "&amp; &#64;",
        "done :tada:",
        "back\\slash",
        "ünïcode",
    ],
)
def test_everything_else_is_a_code_span(text: str) -> None:
    line = inert(text)

    assert line.startswith("`")
    assert line.endswith("`")
    assert kinds(f"x {line} y") <= {"paragraph_open", "inline", "paragraph_close", "text", "code_inline"}
    assert text in shown(f"x {line} y")


def test_line_breaks_and_controls_do_not_get_out() -> None:
    assert inert("a\n\n# b\r\n<b>") == "`a # b <b>`"
    assert inert("a\x1b[31mb") == "ab"
    assert inert("a\u202eb") == "`a\\u202eb`"


def test_long_text_is_cut() -> None:
    assert inert("word " * 200, limit=20) == "`word word word word…`"


def test_a_cell_never_has_a_bar() -> None:
    assert cell("a | b") == "`a ¦ b`"
    assert cell("plain") == "plain"


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=60) | st.text("`|*_<>@#:/w. ahtp\\", max_size=40))
def test_nothing_gets_out(text: str) -> None:
    line = inert(text)

    assert "\n" not in line
    if line:
        assert kinds(f"- x: {line}.\n") <= {
            "bullet_list_open", "list_item_open", "paragraph_open", "inline", "paragraph_close", "text", "code_inline",
            "list_item_close", "bullet_list_close",
        }  # fmt: skip
    in_table = f"| a | b |\n|---|---|\n| x {cell(text)} | end |\n"
    cells = [token.content for token in PARSER.parse(in_table) if token.type == "inline"]
    assert cells[-1] == "end"
    assert len(cells) == 4
