from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

import lief
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engines.forge_macho import macho
from pipeline.errors import BundleError
from pipeline.gates.macho import is_macho, read_macho

if TYPE_CHECKING:
    from pathlib import Path

GOOD = macho(exports=("ggml_backend_init",), needed=("@rpath/libggml-base.dylib",), metallib=b"kernel")


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


def test_reads_a_library(tmp_path: Path) -> None:
    file = read_macho(write(tmp_path, GOOD), "x")

    assert (file.machine, file.program, file.minos) == ("arm64", False, (13, 3, 0))
    assert (file.needed, file.rpaths) == (("@rpath/libggml-base.dylib",), ("@loader_path",))
    assert file.exports == {"ggml_backend_init"}
    assert ("__DATA", "__ggml_metallib", 6) in file.sections


def test_reads_a_program(tmp_path: Path) -> None:
    file = read_macho(write(tmp_path, macho(program=True, machine="x86_64", minos="11.0", rpaths=())), "x")

    assert (file.machine, file.program, file.minos, file.rpaths) == ("x86_64", True, (11, 0, 0), ())


def test_tells_mach_o_by_its_first_bytes() -> None:
    assert is_macho(GOOD[:4])
    assert not is_macho(b"\x7fELF")


def test_reads_the_older_way_to_name_the_oldest_macos(tmp_path: Path) -> None:
    data = bytearray(GOOD)
    at = data.find(bytes((0x32, 0, 0, 0, 24, 0, 0, 0)))
    data[at : at + 24] = struct.pack("<IIIIII", 0x24, 24, 12 << 16 | 5 << 8, 12 << 16, 0, 0)

    assert read_macho(write(tmp_path, bytes(data)), "x").minos == (12, 5, 0)


def test_names_a_file_lief_makes_nothing_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lief.MachO, "parse", lambda path: None)

    with pytest.raises(BundleError, match="libx: its tables cannot be read: there is no structure in them"):
        read_macho(write(tmp_path, GOOD), "libx")


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:4],
        b"\xca\xfe\xba\xbe" + bytes(60),
        GOOD[:4] + bytes(28),
        GOOD[:16] + (10**6).to_bytes(4, "little") + GOOD[20:],
        GOOD[:200],
    ],
)
def test_names_a_file_that_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BundleError, match="libx: it begins like a Mach-O file"):
        read_macho(write(tmp_path, data), "libx")


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=12), st.integers(0, len(GOOD)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_read_or_is_our_error(tmp_path: Path, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    with contextlib.suppress(BundleError):
        read_macho(write(tmp_path, bytes(data[: len(data) - cut // 8])), "libx")
