from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.gates.size import ASSET_LIMIT, SizeGate
from pipeline.matrix.spec import SizeGate as Limits
from pipeline.model import Status
from tests.gates.builders import asking, put, subject

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.gates.base import Subject


def problems(base: Subject) -> str:
    verdict = SizeGate().check(base)

    assert verdict.status is Status.FAILED
    return "\n".join((verdict.summary, *verdict.details))


def test_passes(tmp_path: Path) -> None:
    base = subject(tmp_path)

    verdict = SizeGate().check(base)

    assert verdict.status is Status.PASSED
    assert verdict.measured["packed"] == base.bundle.size
    assert verdict.measured["unpacked"] == base.bundle.unpacked_size
    assert (verdict.measured["warned"], verdict.measured["growth_percent"]) == (False, None)


def test_warns_and_says_so(tmp_path: Path) -> None:
    base = asking(subject(tmp_path), size=Limits(warn="1kB", max="1MB", max_unpacked="1MB"))

    verdict = SizeGate().check(base)

    assert verdict.status is Status.PASSED
    assert "warning: over 1kB" in verdict.summary
    assert verdict.measured["warned"] is True


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max="1kB", max_unpacked="1MB"), "is over the maximum of 1kB"),
        (Limits(max="1MB", max_unpacked="2kB"), "is over the maximum of 2kB"),
        (None, "sets no size limits"),
    ],
)
def test_catches_an_over_size_bundle(tmp_path: Path, limits: Limits | None, message: str) -> None:
    assert message in problems(asking(subject(tmp_path), size=limits))


def test_names_the_ten_largest_files(tmp_path: Path) -> None:
    base = subject(tmp_path)
    for index in range(20):
        put(base.root, f"big-{index:02}", bytes(300_000 + index))

    found = problems(base).splitlines()

    assert found[1] == "the largest files:"
    assert [line.split()[1] for line in found[2:]] == [f"big-{index:02}" for index in range(19, 9, -1)]


@pytest.mark.parametrize(("previous", "status"), [(0.9, Status.PASSED), (0.8, Status.FAILED), (2.0, Status.PASSED)])
def test_compares_with_the_previous_release(tmp_path: Path, previous: float, status: Status) -> None:
    base = subject(tmp_path)
    base = replace(base, previous_size=int(base.bundle.size * previous))

    verdict = SizeGate().check(base)

    assert verdict.status is status
    if status is Status.FAILED:
        assert "since the previous release, more than 15%" in verdict.summary


def test_catches_an_empty_file(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root, "libllama.so", b"")

    assert "libllama.so is empty" in problems(base)


def test_a_missing_archive_is_not_a_small_one(tmp_path: Path) -> None:
    base = subject(tmp_path)
    base.bundle.path.unlink()

    assert "the archive is missing or empty" in problems(base)


def test_catches_an_archive_that_changed(tmp_path: Path) -> None:
    base = subject(tmp_path)
    base.bundle.path.write_bytes(b"x")

    assert f"the archive has 1 bytes, not the {base.bundle.size} it was packed with" in problems(base)


def test_githubs_limit_always_holds(tmp_path: Path) -> None:
    base = asking(subject(tmp_path), size=Limits(max="9GiB", max_unpacked="9GiB"))
    os.truncate(base.bundle.path, ASSET_LIMIT)  # a hole in the file, not two gigabytes
    base = replace(base, bundle=replace(base.bundle, size=ASSET_LIMIT))

    assert "reaches GitHub's limit of 2 GiB for an asset" in problems(base)
