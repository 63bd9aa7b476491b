"""Which cells follow from a matrix, and what they are made of."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.matrix.document import parse
from pipeline.matrix.expand import GlobTable, expand, indexes, settings_of
from pipeline.matrix.load import convert, load
from pipeline.matrix.loaded import LoadedMatrix
from pipeline.matrix.select import compile_glob
from tests.matrix.builders import MATRIX, load_text, matrix_text, position_of

MATRIX_YAML = Path(__file__).parents[2] / "matrix.yaml"
GOLDEN = Path(__file__).with_name("golden") / "cells.txt"


def unchecked(text: str) -> LoadedMatrix:
    """Read a matrix without the checks that ask for gates, sources and components."""
    document = parse(text)
    return LoadedMatrix(file=convert(document), document=document, path=Path("matrix.yaml"), sha256="0" * 64)


def test_our_matrix_has_exactly_these_cells(pytestconfig: pytest.Config) -> None:
    expansion = expand(load(MATRIX_YAML))
    lines = [f"{cell.id}: {cell.needs or 'can be built'}" for cell in expansion.cells]
    lines += [f"{cell.id}: left out: {cell.reason}" for cell in expansion.left_out]
    text = "\n".join(lines) + "\n"
    if pytestconfig.getoption("--update-golden"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8"), "if this is meant, run pytest with --update-golden"


def test_every_cell_of_our_matrix_has_its_place_in_the_product() -> None:
    matrix = load(MATRIX_YAML)
    axes = matrix.file.axes
    wanted = ["/".join(parts) for parts in product(axes.project, axes.platform, axes.variant)]
    expansion = expand(matrix)
    cells, left_out = [cell.id for cell in expansion.cells], [cell.id for cell in expansion.left_out]
    assert sorted(cells + left_out) == sorted(wanted)
    assert cells == [cell for cell in wanted if cell in cells]
    assert left_out == [cell for cell in wanted if cell in left_out]


def test_defaults_and_overrides_make_a_cell() -> None:
    cpu, vulkan = expand(load_text(MATRIX)).cells
    assert (cpu.id, cpu.project, cpu.platform, cpu.variant) == (
        "llama.cpp/linux-x86_64/cpu",
        "llama.cpp",
        "linux-x86_64",
        "cpu",
    )
    assert cpu.backends == ()
    assert vulkan.backends == ("vulkan",)
    assert cpu.needs is None
    assert cpu.gates.abi == vulkan.gates.abi
    assert cpu.gates.size is not None
    assert cpu.gates.size.max == "30MB"
    assert vulkan.gates.repro is None


def test_a_later_gate_replaces_the_whole_gate_and_no_other() -> None:
    text = MATRIX + '  - cells: "*/*/cpu"\n    set: {gates: {size: {max: 1MB, max_unpacked: 2MB}, tests: null}}\n'
    cpu, vulkan = expand(load_text(text)).cells
    assert cpu.gates.size is not None
    assert (cpu.gates.size.max, cpu.gates.size.warn, cpu.gates.size.growth) == ("1MB", None, None)
    assert cpu.gates.tests is None
    assert vulkan.gates.tests is not None
    assert cpu.gates.smoke is not None


def test_needs_null_clears_needs_and_an_absent_needs_does_not() -> None:
    defaults = ("defaults:\n", "defaults:\n  needs: later\n  pending: {vulkan: soon}\n")
    text = (
        matrix_text(defaults)
        + '  - cells: "*/*/cpu"\n    set: {needs: null}\n  - {cells: "*/*/*", set: {pending: {}}}\n'
    )
    cpu, vulkan = expand(load_text(text)).cells
    assert cpu.needs is None
    assert vulkan.needs == "later"
    assert dict(cpu.pending) == {}


def test_the_last_override_wins_for_whole_keys() -> None:
    text = MATRIX + (
        '  - cells: "*/*/*"\n'
        '    set: {needs: one, waivers: [{gate: size, reason: a, until: "2030-01-01"}]}\n'
        '  - cells: "*/*/cpu"\n'
        '    set: {needs: two, waivers: [{gate: abi, reason: b, until: "2030-01-01"}]}\n'
    )
    cpu, vulkan = expand(load_text(text)).cells
    assert (cpu.needs, vulkan.needs) == ("two", "one")
    assert [waiver.gate for waiver in cpu.waivers] == ["abi"]
    assert [waiver.gate for waiver in vulkan.waivers] == ["size"]


def test_settings_know_where_they_come_from() -> None:
    text = MATRIX + '  - {cells: "*/*/cpu", set: {needs: later}}\n'
    (_, cpu), _ = settings_of(load_text(text))
    assert cpu.origins["needs"] == ("overrides", 2, "set", "needs")
    assert cpu.origins["gates.abi"] == ("defaults", "gates", "abi")
    assert cpu.origins["gates.size"] == ("overrides", 0, "set", "gates", "size")


def test_the_first_matching_exclude_gives_the_reason_and_its_place() -> None:
    excludes = 'exclude:\n  - {cells: "*/*/cpu", reason: one}\n  - {cells: "*/*/{cpu,vulkan}", reason: two}\n'
    text = matrix_text(("defaults:", excludes + "defaults:"))
    one, two = expand(unchecked(text)).left_out
    assert (one.id, one.reason, one.where) == ("llama.cpp/linux-x86_64/cpu", "one", position_of(text, '"*/*/cpu"'))
    assert (two.id, two.reason) == ("llama.cpp/linux-x86_64/vulkan", "two")


def test_included_cells_come_last_and_take_overrides() -> None:
    text = matrix_text(
        ("  vulkan: {backend", "  cuda12: {backend: cuda, description: x}\n  vulkan: {backend"),
        ("defaults:\n", "include: [llama.cpp/linux-x86_64/cuda12]\ndefaults:\n"),
        ("overrides:\n", 'overrides:\n  - {cells: "*/*/cuda12", set: {needs: a toolkit}}\n'),
    )
    cells = expand(load_text(text)).cells
    assert [cell.variant for cell in cells] == ["cpu", "vulkan", "cuda12"]
    assert cells[2].needs == "a toolkit"


def test_indexes() -> None:
    assert indexes(0) == ()
    assert indexes(0b101001) == (0, 3, 5)


_NAMES = st.lists(st.text("abx", min_size=1, max_size=3), min_size=1, max_size=4, unique=True)
_PART = st.sampled_from(["*", "a*", "*x", "?", "{a,b,x}", "[ab]*", "ab", "x?"])
_GLOB = st.tuples(_PART, _PART, _PART).map("/".join)


def matrix_of(projects: list[str], platforms: list[str], variants: list[str], excludes: list[str], rest: str) -> str:
    text = matrix_text(
        ("project: [llama.cpp]", f"project: [{', '.join(projects)}]"),
        ("platform: [linux-x86_64]", f"platform: [{', '.join(platforms)}]"),
        ("variant: [cpu, vulkan]", f"variant: [{', '.join(variants)}]"),
    )
    rows = "".join(f'  - {{cells: "{glob}", reason: r{index}}}\n' for index, glob in enumerate(excludes))
    return text[: text.index("defaults:")] + (f"exclude:\n{rows}" if rows else "") + rest


@settings(deadline=None, max_examples=60)
@given(_NAMES, _NAMES, _NAMES, st.lists(_GLOB, max_size=4), st.lists(_GLOB, max_size=4))
def test_each_id_of_the_product_is_a_cell_or_left_out_once(
    projects: list[str], platforms: list[str], variants: list[str], excludes: list[str], overrides: list[str]
) -> None:
    rows = "".join(f'  - {{cells: "{glob}", set: {{needs: n{index}}}}}\n' for index, glob in enumerate(overrides))
    rest = "defaults: {needs: nothing yet}\n" + (f"overrides:\n{rows}" if rows else "")
    expansion = expand(unchecked(matrix_of(projects, platforms, variants, excludes, rest)))
    wanted = ["/".join(parts) for parts in product(projects, platforms, variants)]
    found = [cell.id for cell in expansion.cells] + [cell.id for cell in expansion.left_out]
    assert sorted(found) == sorted(wanted)
    assert len(set(found)) == len(found)
    for left in expansion.left_out:
        first = next(index for index, glob in enumerate(excludes) if compile_glob(glob).match(left.id))
        assert left.reason == f"r{first}"
    for cell in expansion.cells:
        assert not any(compile_glob(glob).match(cell.id) for glob in excludes)
        last = [f"n{index}" for index, glob in enumerate(overrides) if compile_glob(glob).match(cell.id)]
        assert cell.needs == (last[-1] if last else "nothing yet")


def test_ten_thousand_cells_share_their_settings() -> None:
    projects, platforms, variants = (
        [f"{axis}{number}" for number in range(count)] for axis, count in (("p", 20), ("l", 20), ("v", 25))
    )
    rows = "".join(f'  - {{cells: "p*/*{number}/v?*", set: {{needs: n{number}}}}}\n' for number in range(20))
    rest = f"defaults: {{needs: nothing yet}}\noverrides:\n{rows}"
    found = list(settings_of(unchecked(matrix_of(projects, platforms, variants, [], rest))))
    assert len(found) == 10_000
    assert len({id(settings) for _, settings in found}) <= 21


def test_a_glob_is_matched_once_for_each_name() -> None:
    class Counting:
        count = 0

        def match(self, name: str) -> bool:
            Counting.count += 1
            return True

    table = GlobTable([])
    table._globs = [(Counting(), Counting(), Counting())] * 5  # type: ignore[list-item]
    for parts in product("ab", "cd", "ef"):
        assert table.bits(*parts) == 0b11111
    assert Counting.count == 5 * 6
