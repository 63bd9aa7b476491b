from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from release.model import Asset, AssetKind, Sealed
from release.publish.limits import SIZE_LIMIT, limit_problems, tag_problem
from tests.release.publish.scene import make_sealed


def _with(sealed: Sealed, *names: str, size: int = 5) -> Sealed:
    more = tuple(Asset(name=name, path=Path(name), size=size, sha256="a" * 64, kind=AssetKind.BUNDLE) for name in names)
    return replace(sealed, assets=more + sealed.assets)


def test_a_sealed_release_is_within_the_limits(tmp_path: Path) -> None:
    assert limit_problems(_with(make_sealed(tmp_path), "a", "a-b_c.D.9", size=SIZE_LIMIT - 1)) == []


@pytest.mark.parametrize("name", ["a b", ".a", "a.", "ä", "a+b", "a/b", "", ".", "..", "a\n"])
def test_names_that_would_be_changed_are_problems(tmp_path: Path, name: str) -> None:
    (problem,) = limit_problems(_with(make_sealed(tmp_path), name))

    assert problem.startswith(f"GitHub would rename {name!r}")


def test_names_that_differ_only_in_case_are_a_problem(tmp_path: Path) -> None:
    (problem,) = limit_problems(_with(make_sealed(tmp_path), "Readme", "README"))

    assert problem == "these names differ only in case or not at all: Readme, README"


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        (0, "big is empty"),
        (2**31, "big has 2147483648 bytes, and GitHub takes less than 2147483648"),
    ],
)
def test_sizes_out_of_range_are_problems(tmp_path: Path, size: int, problem: str) -> None:
    assert limit_problems(_with(make_sealed(tmp_path), "big", size=size)) == [problem]


def test_a_thousand_assets_and_no_more(tmp_path: Path) -> None:
    sealed = make_sealed(tmp_path)
    most = 1000 - len(sealed.assets)

    assert limit_problems(_with(sealed, *(f"n{i}" for i in range(most)))) == []
    assert limit_problems(_with(sealed, *(f"n{i}" for i in range(most + 1)))) == [
        "1001 assets, and GitHub takes 1000 in a release"
    ]


def test_a_text_that_is_too_long_is_a_problem(tmp_path: Path) -> None:
    sealed = make_sealed(tmp_path)
    room = 125_000 - len(sealed.marker) - 3

    assert limit_problems(replace(sealed, notes="x" * room)) == []
    assert "125001 characters" in limit_problems(replace(sealed, notes="x" * (room + 1)))[0]


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.minisig", "SHA256SUMS", "SHA256SUMS.minisig"])
def test_what_vouches_for_the_rest_must_be_there(tmp_path: Path, name: str) -> None:
    sealed = make_sealed(tmp_path)
    without = replace(sealed, assets=tuple(asset for asset in sealed.assets if asset.name != name))

    assert limit_problems(without) == [f"{name} is not among the assets: the release is not sealed"]


def test_the_manifest_must_be_the_one_that_identifies_the_release(tmp_path: Path) -> None:
    other = replace(make_sealed(tmp_path), manifest_sha256="0" * 64)

    assert limit_problems(other) == ["manifest.json is not the one that identifies this release: seal again"]


def test_a_tag_names_the_version() -> None:
    assert tag_problem("v1.2", "1.2") is None
    assert tag_problem("1.2", "1.2") is None
    assert tag_problem("v1.2.1", "1.2") == "the tag v1.2.1 does not name version 1.2: it must be v1.2 or 1.2"
    assert tag_problem("vv1.2", "1.2") is not None
