"""What a release section may say; each mistake in one is a row of mistakes.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import MatrixError
from pipeline.matrix.load import load
from tests.matrix.builders import load_text, matrix_text, position_of

ROOT = Path(__file__).resolve().parents[2]
RULE = '    - {cells: "*/*/*", name: GGML_VK_VISIBLE_DEVICES, value: "1", gfx: [gfx1103], reason: the second one}'


def test_a_matrix_without_a_release_section_can_be_built() -> None:
    assert load_text(matrix_text()).file.release is None


def test_a_right_release_section_loads() -> None:
    release = load_text(matrix_text(release=True)).file.release

    assert release is not None
    assert release.order == ("vulkan", "cpu")
    assert release.requires["vulkan"].vulkan == "1.2"


def test_the_matrix_of_this_repository_can_be_released() -> None:
    assert load(ROOT / "matrix.yaml").file.release is not None


@pytest.mark.parametrize(
    "second",
    [
        RULE.replace("GGML_VK_VISIBLE_DEVICES", "GGML_VK_OTHER").replace(", gfx: [gfx1103]", ""),
        RULE.replace("*/*/*", "*/*/cpu").replace(", gfx: [gfx1103]", ""),
        RULE,
    ],
    ids=["another name", "other cells", "another GPU"],
)
def test_rules_that_never_hold_on_the_same_machine_may_stand_side_by_side(second: str) -> None:
    load_text(matrix_text((RULE, second), release=True))


def test_a_clash_of_rules_names_the_other_one() -> None:
    text = matrix_text(("gfx: [gfx1103]", "gfx: [gfx1101]"), release=True)

    with pytest.raises(MatrixError) as caught:
        load_text(text)

    other = position_of(text, '{cells: "*/*/vulkan", name')
    assert caught.value.hint == f"the other one is {other}; narrow cells or gfx, or keep one of them"


def test_an_included_cell_brings_its_platform_and_variant() -> None:
    edits = (
        ("2.28}", "2.28}\n  linux-aarch64: {os: linux, arch: aarch64, target: b}"),
        ("  vulkan: {backend", "  cuda12: {backend: cuda, description: x}\n  vulkan: {backend"),
        ("defaults:\n", "include: [llama.cpp/linux-aarch64/cuda12, llama.cpp/linux-aarch64/cpu]\ndefaults:\n"),
        ("overrides:\n", 'overrides:\n  - {cells: "*/linux-aarch64/*", set: {needs: x}}\n'),
        ("order: [", "order: [cuda12, "),
        ("{linux-x86_64: cpu}", "{linux-x86_64: cpu, linux-aarch64: cpu}"),
        ("    vulkan: {vulkan", '    cuda12: {nvidia: {min: "525.60.13", ptx_min: "550.54.14"}}\n    vulkan: {vulkan'),
    )
    # The profile's own mapping of that text comes first in the file.
    text = matrix_text(*edits[:5], release=True)
    head, mark, tail = text.partition("  defaults: ")
    for old, new in edits[5:]:
        assert old in tail
        tail = tail.replace(old, new, 1)

    release = load_text(head + mark + tail).file.release

    assert release is not None
    assert release.defaults == {"linux-x86_64": "cpu", "linux-aarch64": "cpu"}
