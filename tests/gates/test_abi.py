from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.engines.forge import Import
from pipeline.engines.forge_macho import macho
from pipeline.gates.abi import AbiGate
from pipeline.matrix.spec import AbiGate as Floor
from pipeline.model import Status
from tests.gates.builders import asking, glibc, library, put, subject

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.gates.base import Subject
    from pipeline.model import Verdict

STDCXX = "libstdc++.so.6"


def check(base: Subject, *imports: Import) -> Verdict:
    put(base.root, "libllama.so", library("libllama.so", imports=imports))
    return AbiGate().check(base)


def cxx(version: str) -> Import:
    return Import(symbol="_ZSt4cout", library=STDCXX, version=version)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64"])
def test_passes(tmp_path: Path, machine: str) -> None:
    verdict = AbiGate().check(subject(tmp_path, machine=machine))

    assert verdict.status is Status.PASSED, (verdict.summary, verdict.details)


def test_compares_numbers_not_text(tmp_path: Path) -> None:
    verdict = check(subject(tmp_path), *glibc("2.4"), *glibc("2.28"))

    assert verdict.status is Status.PASSED
    assert verdict.measured["glibc"] == "2.28"
    assert verdict.summary == "needs at most GLIBC_2.28; the floor is GLIBC_2.28"


def test_catches_a_symbol_above_the_floor(tmp_path: Path) -> None:
    verdict = check(subject(tmp_path), *glibc("2.29"))

    assert verdict.status is Status.FAILED
    assert verdict.summary == "libllama.so: memcpy needs GLIBC_2.29 of libc.so.6, above the floor GLIBC_2.28"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("GLIBC_ABI_DT_RELR", "above the floor GLIBC_2.28"),
        ("GLIBC_PRIVATE", "which no release of the library promises to keep"),
        ("GLIBC_ABI_NEW", "which no release of the library promises to keep"),
    ],
)
def test_catches_versions_without_a_number(tmp_path: Path, version: str, message: str) -> None:
    verdict = check(subject(tmp_path), Import(symbol="odd", library="libc.so.6", version=version))

    assert verdict.status is Status.FAILED
    assert message in verdict.summary


def test_catches_any_libstdcxx_unless_allowed(tmp_path: Path) -> None:
    verdict = check(subject(tmp_path), cxx("GLIBCXX_3.4"))

    assert verdict.status is Status.FAILED
    text = "\n".join((verdict.summary, *verdict.details))
    assert "libllama.so needs libstdc++.so.6, which the floor does not allow" in text
    assert "needs GLIBCXX_3.4 of libstdc++.so.6, and the floor allows no libstdc++ of the system" in text


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("GLIBCXX_3.4.25", None),
        ("GLIBCXX_3.4.26", "above the floor GLIBCXX_3.4.25"),
        ("CXXABI_1.3.11", None),
        ("CXXABI_1.3.13", "which came with GLIBCXX_3.4.29, above the floor GLIBCXX_3.4.25"),
    ],
)
def test_holds_libstdcxx_to_its_floor(tmp_path: Path, version: str, message: str | None) -> None:
    base = asking(subject(tmp_path), abi=Floor(glibc="2.28", glibcxx="3.4.25"))

    verdict = check(base, cxx(version))

    assert verdict.status is (Status.FAILED if message else Status.PASSED)
    assert message is None or message in verdict.summary


def test_leaves_other_libraries_versions_to_the_closure_gate(tmp_path: Path) -> None:
    verdict = check(
        subject(tmp_path), Import(symbol="cudaMalloc", library="libcudart.so.12", version="libcudart.so.12")
    )

    assert verdict.status is Status.PASSED


def test_catches_a_newer_macos(tmp_path: Path) -> None:
    base = subject(tmp_path, machine="arm64")
    put(base.root, "libllama.so", macho(minos="14.0"))

    verdict = AbiGate().check(base)

    assert verdict.status is Status.FAILED
    assert verdict.summary == "libllama.so needs macOS 14, above the floor 13.3"


def test_catches_a_mach_o_file_that_does_not_say(tmp_path: Path) -> None:
    base = subject(tmp_path, machine="arm64")
    data = bytearray(macho())
    at = data.find(bytes((0x32, 0, 0, 0, 24, 0, 0, 0)))
    data[at : at + 4] = (0x2B).to_bytes(4, "little")  # an unrelated load command of the same size
    put(base.root, "libllama.so", bytes(data))

    assert "libllama.so does not say which macOS it needs" in AbiGate().check(base).summary


@pytest.mark.parametrize(
    ("machine", "floor", "message"),
    [
        ("x86_64", Floor(), "exactly one of abi.glibc and abi.macos"),
        ("x86_64", Floor(glibc="2.28", macos="13.3"), "exactly one of abi.glibc and abi.macos"),
        ("x86_64", Floor(macos="13.3"), "there is no Mach-O file in the bundle"),
        ("arm64", Floor(glibc="2.28"), "there is no ELF file in the bundle"),
        ("x86_64", None, "exactly one of abi.glibc and abi.macos"),
    ],
)
def test_does_not_pass_what_it_did_not_look_at(tmp_path: Path, machine: str, floor: Floor | None, message: str) -> None:
    verdict = AbiGate().check(asking(subject(tmp_path, machine=machine), abi=floor))

    assert verdict.status is Status.FAILED
    assert message in verdict.summary
