from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engines.forge import Import, elf
from pipeline.errors import BundleError
from pipeline.gates.elf import is_elf, read_elf

if TYPE_CHECKING:
    from pathlib import Path

GOOD = elf(
    soname="libx.so.1",
    exports=("ggml_backend_init", "ggml_backend_score"),
    needed=("libggml-base.so.0", "libc.so.6"),
    runpath="$ORIGIN",
    imports=(Import(symbol="memcpy", library="libc.so.6", version="GLIBC_2.14"),),
    sections=((".nv_fatbin", b"x" * 100),),
)


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_reads_a_library(tmp_path: Path, machine: str) -> None:
    data = elf(
        machine=machine,
        soname="libx.so.1",
        exports=("ggml_backend_init",),
        needed=("libggml-base.so.0",),
        runpath="$ORIGIN",
        rpath="/old",
        imports=(
            Import(symbol="memcpy", library="libc.so.6", version="GLIBC_2.14"),
            Import(symbol="logf", library="libm.so.6", version="GLIBC_2.27"),
            Import(symbol="strlen", library="libc.so.6", version="GLIBC_2.2.5"),
        ),
        sections=((".nv_fatbin", b"fat"),),
    )

    file = read_elf(write(tmp_path, data), "lib/x")

    assert (file.name, file.machine, file.program, file.interpreter) == ("lib/x", machine, False, None)
    assert (file.soname, file.runpath, file.rpath) == ("libx.so.1", ("$ORIGIN",), ("/old",))
    assert file.needed == ("libggml-base.so.0", "libc.so.6", "libm.so.6")
    assert file.exports == {"ggml_backend_init"}
    assert {(entry.library, entry.version, entry.symbol) for entry in file.wanted} == {
        ("libc.so.6", "GLIBC_2.14", "memcpy"),
        ("libc.so.6", "GLIBC_2.2.5", "strlen"),
        ("libm.so.6", "GLIBC_2.27", "logf"),
    }
    section = next(section for section in file.sections if section.name == ".nv_fatbin")
    assert data[section.offset :][: section.size] == b"fat"
    assert section.loaded
    assert not next(section for section in file.sections if section.name == ".comment").loaded


@pytest.mark.parametrize(
    ("machine", "loader"),
    [("x86_64", "/lib64/ld-linux-x86-64.so.2"), ("aarch64", "/lib/ld-linux-aarch64.so.1")],
)
def test_reads_a_program(tmp_path: Path, machine: str, loader: str) -> None:
    file = read_elf(write(tmp_path, elf(program=True, machine=machine)), "run")

    assert (file.program, file.interpreter, file.wanted, file.exports) == (True, loader, (), frozenset())


def test_tells_elf_by_its_first_bytes() -> None:
    assert is_elf(GOOD[:4])
    assert not is_elf(b"#!/b")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x7fELF", "ends in its header"),
        (GOOD[:40], "ends in its header"),
        (GOOD[:-1], "was cut off: its header tables lie outside it"),
        (GOOD[:4] + b"\x01" + GOOD[5:], "is not a 64-bit, little-endian one"),
    ],
)
def test_names_a_file_that_cannot_be_read(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=f"libx: .*{message}"):
        read_elf(write(tmp_path, data), "libx")


def test_names_a_section_outside_the_file(tmp_path: Path) -> None:
    table = int.from_bytes(GOOD[40:48], "little")
    count = int.from_bytes(GOOD[60:62], "little")
    data = bytearray(GOOD)
    for index in range(1, count):
        at = table + 64 * index + 24
        if GOOD[int.from_bytes(GOOD[at : at + 8], "little") :].startswith(b"x" * 100):
            data[at + 8 : at + 16] = (1 << 40).to_bytes(8, "little")

    with pytest.raises(BundleError, match=r"section '\.nv_fatbin' lies outside the file|cannot be read"):
        read_elf(write(tmp_path, bytes(data)), "libx")


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=12), st.integers(0, len(GOOD)))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_read_or_is_our_error(tmp_path: Path, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    with contextlib.suppress(BundleError):
        read_elf(write(tmp_path, bytes(data[: len(data) - cut // 8])), "libx")
