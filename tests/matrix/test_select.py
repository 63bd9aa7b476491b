"""What ``--only`` picks, and what it says when it picks nothing."""

from __future__ import annotations

import pytest

from pipeline.errors import SelectionError
from pipeline.matrix.cells import LeftOut
from pipeline.matrix.select import PLATFORM_ALIASES, compile_glob, normalise_platform, select

IDS = (
    "llama.cpp/linux-x86_64/cpu",
    "llama.cpp/linux-x86_64/vulkan",
    "llama.cpp/linux-aarch64/cpu",
    "llama.cpp/darwin-arm64/metal",
    "ollama/linux-x86_64/cpu",
)
LEFT_OUT = (LeftOut(id="ollama/darwin-arm64/cpu", reason="Metal runs everywhere there", where="matrix.yaml:9:3"),)


def test_no_pattern_means_everything() -> None:
    assert select([], IDS) == IDS


def test_the_order_is_that_of_the_matrix() -> None:
    assert select(["ollama/*/*", "llama.cpp/*/vulkan", "*/*/vulkan"], IDS) == (IDS[1], IDS[4])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*/linux-amd64/cpu", (IDS[0], IDS[4])),
        ("*/linux-arm64/*", (IDS[2],)),
        ("*/*-arm64/*", (IDS[2], IDS[3])),
        ("*/{linux-amd64,darwin-aarch64}/{vulkan,metal}", (IDS[1], IDS[3])),
        ("*/linux-x86_64/vulkan", (IDS[1],)),
    ],
)
def test_platforms_answer_to_their_aliases(pattern: str, expected: tuple[str, ...]) -> None:
    assert select([pattern], IDS) == expected


def test_normalise_platform() -> None:
    assert normalise_platform("linux-amd64") == "linux-x86_64"
    assert normalise_platform("linux-arm64") == "linux-aarch64"
    assert normalise_platform("darwin-arm64") == "darwin-arm64"
    assert normalise_platform("plan9-mips") == "plan9-mips"
    assert not set(PLATFORM_ALIASES) & set(PLATFORM_ALIASES.values())


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("vulkan", "it has 1 part, a cell id has three: project/platform/variant; did you mean '*/*/vulkan'?"),
        ("linux-amd64", "did you mean '*/linux-amd64/*'?"),
        ("ollama", "did you mean 'ollama/*/*'?"),
        ("linux-*/cpu", "it has 2 parts, a cell id has three: project/platform/variant; did you mean '*/linux-*/cpu'?"),
        ("ollama/*", "did you mean 'ollama/*/*'?"),
        ("/ollama/*/*", "did you mean 'ollama/*/*'?"),
        ("*/*/{cpu", "a '{' is not closed"),
        ("{cpu", "a '{' is not closed"),
        ("*/*/vulcan", "no variant matches 'vulcan'; did you mean 'vulkan'?"),
        ("*/linux-x86/*", "no platform matches 'linux-x86'; did you mean 'linux-x86_64'?"),
        ("lama.cpp/*/*", "no project matches 'lama.cpp'; did you mean 'llama.cpp'?"),
        (
            "ollama/linux-aarch64/cpu",
            "'ollama/linux-aarch64/cpu' matches no cell; did you mean 'llama.cpp/linux-aarch64/cpu'?",
        ),
        ("ollama/*/metal", "'ollama/*/metal' matches no cell"),
        ("ollama/darwin-*/cpu", "matches only cells that do not exist: ollama/darwin-arm64/cpu: Metal runs everywhere"),
    ],
)
def test_a_pattern_that_picks_nothing_is_explained(pattern: str, says: str) -> None:
    with pytest.raises(SelectionError) as caught:
        select(["*/*/cpu", pattern], IDS, left_out=LEFT_OUT)
    assert says in caught.value.what
    assert caught.value.where == "--only"
    assert caught.value.hint


def test_what_is_known_is_listed() -> None:
    with pytest.raises(SelectionError) as caught:
        select(["*/*/zzz"], IDS)
    assert caught.value.hint == "known: cpu, metal, vulkan"


def test_no_cells_at_all() -> None:
    with pytest.raises(SelectionError, match="matches no cell"):
        select(["*/*/*"], ())


def test_compile_glob_is_offered_here_too() -> None:
    assert compile_glob("*/*/cpu").match(IDS[0])
