"""What globs match, and which are impossible."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.matrix.globs import compile_glob, compile_parts

MATCHES = {
    "*/*/*": ("a/b/c", "llama.cpp/linux-x86_64/cpu"),
    "llama.cpp/linux-x86_64/cpu": ("llama.cpp/linux-x86_64/cpu",),
    "*/linux-*/cpu": ("a/linux-x/cpu", "a/linux-/cpu"),
    "*/*-*-*/c": ("a/x-y-z/c", "a/--/c"),
    "?/?/?": ("a/b/c",),
    "*/{linux,darwin}-*/c": ("a/linux-x/c", "a/darwin-x/c"),
    "a/{x,{y,z{1,2}}}/c": ("a/x/c", "a/y/c", "a/z1/c", "a/z2/c"),
    "a/b/cuda{12,13,}": ("a/b/cuda12", "a/b/cuda13", "a/b/cuda"),
    "a/b/gfx[0-9a-f]?": ("a/b/gfx1x", "a/b/gfxf0"),
    "a/b/[!x]": ("a/b/y",),
    "a/b/[^x]": ("a/b/y",),
    "a/b/[-.]": ("a/b/-", "a/b/."),
    "a/b/[{,}]": ("a/b/{", "a/b/,"),
    "a/{*x,y*}/c": ("a/x/c", "a/1x/c", "a/y2/c"),
    "*a*b*/b/c": ("ab/b/c", "xaxbx/b/c", "aab/b/c"),
}
MISSES = {
    "*/*/*": ("a/b", "a/b/c/d", "a/b/c\n/d"),
    "llama.cpp/b/c": ("llamaxcpp/b/c", "llama.cpp/b/cc", "xllama.cpp/b/c", "llama.cpp/b/c\n"),
    "*/linux-*/cpu": ("a/linux/cpu", "a/linux-x/cpux", "a/linux-x/y/cpu"),
    "?/?/?": ("aa/b/c", "///", "a/b/"),
    "a/b/[!x]": ("a/b/x", "a/b/", "a/b//"),
    "a/[+-9]/c": ("a/A/c", "a///c"),
    "a/b/A": ("a/b/a",),
    "*a*b*/b/c": ("ba/b/c", "aaa/b/c"),
}
IMPOSSIBLE = {
    "": "it is empty",
    "cpu": "it has 1 part,",
    "a/b": "it has 2 parts",
    "a/b/c/d": "it has 4 parts",
    "/a/b/c": "it starts with '/'",
    "a//c": "its platform can be empty",
    "a/b/": "its variant can be empty",
    "a/{b,}/c": "its platform can be empty",
    "a/b/{c": "a '{' is not closed",
    "a/b/{c,": "a '{' is not closed",
    "a/b/c}": "a '}' has no '{' before it",
    "a/b/{}": "a pair of braces is empty",
    "a/{b/c,d}/e": "a '/' stands inside braces",
    "a/b/[c": "a '[' is not closed",
    "a/b/c]": "a ']' has no '[' before it",
    "a/b/[]": "a pair of brackets is empty",
    "a/b/[!]": "a pair of brackets is empty",
    "a/[b/c]/d": "brackets may hold letters, digits and ranges",
    "a/b/[z-a]": "the range z-a runs backwards",
    "a/b/c,d": "a ',' stands outside braces",
    "a/**/c": "'**' has no meaning here",
    "a\\b\\c": "'\\' has no meaning here",
    "a/b/" + "c" * 500: "it is longer than 500 characters",
    "a/b/" + "{a,b}" * 20: "its braces make more than 256 choices",
    "a/b/{"
    + ",".join(map(str, range(99)))
    + ","
    + ",".join("{a,b}{c,d}{e,f}{g,h}{i,j}{k,l}{m,n}" for _ in range(3))
    + "}": "more than 256",
    "a/b/" + "{" * 20 + "a" + "}" * 20: "its braces are nested more than 10 deep",
}


@pytest.mark.parametrize(("glob", "cell"), [(glob, cell) for glob, cells in MATCHES.items() for cell in cells])
def test_matches(glob: str, cell: str) -> None:
    assert compile_glob(glob).match(cell)
    assert compile_glob(glob).fullmatch(cell)
    assert all(part.match(text) for part, text in zip(compile_parts(glob), cell.split("/"), strict=True))


@pytest.mark.parametrize(("glob", "cell"), [(glob, cell) for glob, cells in MISSES.items() for cell in cells])
def test_misses(glob: str, cell: str) -> None:
    assert not compile_glob(glob).match(cell)


@pytest.mark.parametrize(("glob", "reason"), IMPOSSIBLE.items())
def test_impossible(glob: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        compile_glob(glob)
    assert reason in str(caught.value)
    with pytest.raises(ValueError):
        compile_parts(glob)


def test_many_stars_do_not_run_away() -> None:
    # A backtracking matcher needs longer than the universe has for this.
    assert not compile_glob("a/b/" + "*a" * 200 + "b").match("a/b/" + "a" * 5000)


def test_compiled_globs_are_kept() -> None:
    assert compile_glob("x/*/*") is compile_glob("x/*/*")


@settings(deadline=None)
@given(st.text("ab*?/{},[]!-^\\", max_size=20), st.text("ab/-!", max_size=10))
def test_any_glob_compiles_or_gives_a_reason(glob: str, cell: str) -> None:
    try:
        pattern = compile_glob(glob)
    except ValueError as error:
        reason = str(error)
    else:
        reason = "it compiles"
        assert pattern.match(cell) is None or cell.count("/") == 2
    assert reason


_PART = st.text("ab*?", min_size=1, max_size=8).filter(lambda part: "**" not in part)
_NAME = st.text("ab", min_size=1, max_size=8)


@settings(deadline=None)
@given(_PART, _NAME)
def test_agrees_with_fnmatch_inside_a_part(part: str, name: str) -> None:
    assert bool(compile_parts(f"{part}/x/x")[0].match(name)) == fnmatch.fnmatchcase(name, part)
