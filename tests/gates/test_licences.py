from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from pipeline.gates.licences import LicencesGate
from pipeline.matrix.spec import LicencesGate as Required
from pipeline.model import Status
from tests.gates.builders import as_mapping, asking, build_info, component, put, subject

if TYPE_CHECKING:
    from pathlib import Path


def test_passes(tmp_path: Path) -> None:
    verdict = LicencesGate().check(subject(tmp_path))

    assert (verdict.status, verdict.summary) == (Status.PASSED, "1 licence files inside")
    assert verdict.measured["found"] == ["LICENSE"]


def test_catches_a_missing_licence(tmp_path: Path) -> None:
    base = asking(subject(tmp_path), licences=Required(require=("LICENSE", "LICENSE-jsonhpp")))

    verdict = LicencesGate().check(base)

    assert verdict.status is Status.FAILED
    assert verdict.summary == "licenses/LICENSE-jsonhpp, required by matrix.yaml, is not in the bundle"


def test_catches_a_blank_licence(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root / "licenses", "LICENSE", b" \n")

    assert LicencesGate().check(base).summary == "licenses/LICENSE is empty"


def test_catches_a_components_missing_licence(tmp_path: Path) -> None:
    base = subject(tmp_path)
    info = build_info()
    parts = (*info.components, component("vulkan", licences=("LICENSE-spirv",)), component("bare", licences=()))
    base = replace(base, info=as_mapping(msgspec.structs.replace(info, components=parts)))

    verdict = LicencesGate().check(base)

    assert verdict.status is Status.FAILED
    assert verdict.summary == "the component llama.cpp/linux-x86_64/bare names no licence file"
    expected = "licenses/LICENSE-spirv, required by llama.cpp/linux-x86_64/vulkan, is not in the bundle"
    assert verdict.details == (expected,)


def test_needs_something_to_require(tmp_path: Path) -> None:
    base = asking(subject(tmp_path), licences=Required(require=()))

    assert "names no licence for this cell" in LicencesGate().check(base).summary
