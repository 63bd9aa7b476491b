from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.bundle.archive import pack
from pipeline.errors import BundleError
from pipeline.gates.repro import ReproGate
from pipeline.model import Status, Verdict
from tests.gates.builders import EPOCH, TOP, library, put, subject

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.gates.base import Subject


def second(base: Subject, tmp_path: Path, *, level: int = 1, mtime: int = EPOCH) -> Verdict:
    """Judge against a twin packed from the staging folder as it is now."""
    twin = pack(tmp_path / "staging", tmp_path / "twin.tar.zst", top=TOP, level=level, mtime=mtime)
    return ReproGate().check(replace(base, twin=twin))


def test_passes_equal_bytes(tmp_path: Path) -> None:
    base = subject(tmp_path)

    verdict = second(base, tmp_path)

    assert verdict.status is Status.PASSED
    assert verdict.measured["sha256"] == verdict.measured["twin_sha256"] == base.bundle.sha256


@pytest.mark.parametrize("reason", [None, "the local profile makes no second build"])
def test_a_build_that_was_not_made_twice_is_skipped(tmp_path: Path, reason: str | None) -> None:
    verdict = ReproGate().check(replace(subject(tmp_path), twin_reason=reason))

    assert verdict.status is Status.SKIPPED
    assert verdict.reason == (reason or "there is no second build to compare with")


def test_names_the_file_and_section_that_differ(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(tmp_path / "staging", "libllama.so", library("libllama.so", sections=((".rodata", b"/build/1"),)))

    verdict = second(base, tmp_path)

    assert verdict.status is Status.FAILED
    assert verdict.summary.startswith("the two builds differ: libllama.so differs (")
    assert ".rodata" in verdict.summary
    assert not (base.work / "repro").exists()


def test_names_every_kind_of_difference(tmp_path: Path) -> None:
    base = subject(tmp_path)
    staging = tmp_path / "staging"
    (staging / "llama-cli").unlink()
    put(staging, "new", b"new")
    put(staging, "licenses/LICENSE", b"GPL\n", mode=0o644)
    (staging / "libggml-base.so").unlink()
    (staging / "libggml-base.so").symlink_to("libggml-base.so.0.1")
    (staging / "libggml-rpc.so").chmod(0o644)

    verdict = second(base, tmp_path)

    assert {verdict.summary.removeprefix("the two builds differ: "), *verdict.details} == {
        "libggml-base.so points to libggml-base.so.0 and libggml-base.so.0.1",
        "libggml-rpc.so has the modes 0755 and 0644",
        "licenses/LICENSE differs (12 and 4 bytes)",
        "llama-cli is only in the first",
        "new is only in the second",
    }


def test_counts_what_it_does_not_show(tmp_path: Path) -> None:
    base = subject(tmp_path)
    for index in range(30):
        put(tmp_path / "staging", f"more-{index:02}", b"x")

    verdict = second(base, tmp_path)

    assert verdict.measured["differences"] == 30
    assert verdict.details[-1] == "and 10 more"


def test_names_other_causes(tmp_path: Path) -> None:
    base = subject(tmp_path)

    assert "were compressed differently" in second(base, tmp_path, level=9).summary
    assert "only names, order, times or modes in the archives differ" in second(base, tmp_path, mtime=1).summary


def test_a_damaged_twin_proves_nothing(tmp_path: Path) -> None:
    base = subject(tmp_path)
    twin = replace(base.bundle, path=tmp_path / "twin")
    twin.path.write_bytes(b"damaged")

    with pytest.raises(BundleError, match="not readable as zstd"):
        ReproGate().check(replace(base, twin=twin))
