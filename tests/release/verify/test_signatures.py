"""Not one byte of a signature file can be changed without being noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.verify.case import Case, Expected
from release.verify.files import Files
from release.verify.program import Opinion
from release.verify.signatures import check_program, check_signature
from tests.release.builders import RELEASE, TODAY
from tests.release.verify.sealed import KEY, copy_of, seal_it


@pytest.mark.parametrize("name", ["SHA256SUMS", "manifest.json"])
@pytest.mark.parametrize("bit", [0x01, 0x20])
def test_every_byte_counts(tmp_path: Path, name: str, bit: int) -> None:
    folder = copy_of(seal_it(), tmp_path / "release")
    data, path = (folder / name).read_bytes(), folder / f"{name}.minisig"
    expected = Expected(key=KEY.public, today=TODAY)
    good = path.read_bytes()

    def problems() -> list[str]:
        case = Case(files=Files(folder), expected=expected, minisign=None)
        check_signature(case, name, data)
        return case.findings.problems

    assert problems() == []
    unnoticed = []
    for at in range(len(good)):
        changed = bytearray(good)
        changed[at] ^= bit
        path.write_bytes(changed)
        if not problems():
            unnoticed.append(at)
    assert unnoticed == []


def test_a_good_one_gives_what_it_is_for(tmp_path: Path) -> None:
    folder = copy_of(seal_it(), tmp_path / "release")
    case = Case(files=Files(folder), expected=Expected(key=KEY.public, today=TODAY), minisign=None)

    found = check_signature(case, "SHA256SUMS", (folder / "SHA256SUMS").read_bytes())

    assert found is not None
    assert (found.repo, found.tag, found.file) == (RELEASE.repo, RELEASE.tag, "SHA256SUMS")


def test_a_bad_one_gives_nothing(tmp_path: Path) -> None:
    folder = copy_of(seal_it(), tmp_path / "release")
    case = Case(files=Files(folder), expected=Expected(key=KEY.public, today=TODAY), minisign=None)

    assert check_signature(case, "SHA256SUMS", b"other") is None
    assert case.findings.problems == [
        "SHA256SUMS.minisig: the signature does not fit: the file is not the one that key 0101010101010101 signed"
    ]


def test_without_the_program_that_is_said(tmp_path: Path) -> None:
    case = Case(files=Files(tmp_path), expected=Expected(key=KEY.public, today=TODAY), minisign=None)

    assert check_program(case) is None
    assert case.findings.lines == ["minisign: not installed: checked by llamatrix's own verifier only"]


def test_the_program_is_not_said_to_agree_with_nothing(tmp_path: Path) -> None:
    class Judge:
        version = "9.9"

        def verify(self, file: Path, signature: Path, public_key: str) -> Opinion:
            raise AssertionError

    case = Case(files=Files(tmp_path), expected=Expected(key=KEY.public, today=TODAY), minisign=Judge())

    assert check_program(case) == "9.9"
    assert case.findings.lines == []
