from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.gates.base import Timing
from pipeline.gates.timeout import TimeoutGate
from pipeline.model import Status
from tests.gates.builders import subject

if TYPE_CHECKING:
    from pathlib import Path

CORE = "llama.cpp/linux-x86_64/core"


def test_passes(tmp_path: Path) -> None:
    verdict = TimeoutGate().check(subject(tmp_path))

    assert (verdict.status, verdict.summary) == (Status.PASSED, f"{CORE} took 60 s of 3600 s")
    assert verdict.measured["seconds"] == {CORE: 60}


@pytest.mark.parametrize("seconds", [3601.0, float("nan"), float("inf")])
def test_catches_a_late_component(tmp_path: Path, seconds: float) -> None:
    base = replace(subject(tmp_path), timings=(Timing(component=CORE, seconds=seconds, deadline=3600),))

    verdict = TimeoutGate().check(base)

    assert verdict.status is Status.FAILED
    assert f"over the deadline: {CORE} took {seconds:.0f} s" in verdict.summary
    assert verdict.details == (f"{CORE}: {seconds:.1f} s of 3600 s",)


def test_an_unknown_time_is_not_a_short_one(tmp_path: Path) -> None:
    base = subject(tmp_path, backends=("vulkan",))

    nothing = TimeoutGate().check(replace(base, timings=()))
    half = TimeoutGate().check(replace(base, timings=base.timings[:1]))

    assert nothing.status is half.status is Status.FAILED
    assert half.summary == "nobody knows how long llama.cpp/linux-x86_64/vulkan took: build it again with --fresh"
