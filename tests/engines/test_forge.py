from __future__ import annotations

import ctypes
import subprocess
from typing import TYPE_CHECKING

import pytest

from pipeline.engines.device_code import nv_fatbin, spirv_module
from pipeline.engines.forge import Import, elf, forge
from pipeline.gates.elf import read_elf
from pipeline.model import LibraryKind, Output, machine_platform

if TYPE_CHECKING:
    from pathlib import Path

IMPORTS = (
    Import(symbol="memcpy", library="libc.so.6", version="GLIBC_2.14"),
    Import(symbol="secure_getenv", library="libc.so.6", version="GLIBC_2.17"),
    Import(symbol="_ZSt4cout", library="libstdc++.so.6", version="GLIBCXX_3.4"),
)
SHAPES = {
    "bare": elf(),
    "library": elf(soname="libx.so", exports=("ggml_backend_init", "ggml_backend_score"), runpath="$ORIGIN"),
    "versions": elf(soname="libx.so", imports=IMPORTS, exports=("f",), rpath="/x"),
    "arm": elf(machine="aarch64", imports=IMPORTS, exports=("f",)),
    "program": elf(program=True, imports=IMPORTS, needed=("libx.so",)),
    "arm program": elf(program=True, machine="aarch64"),
    "sections": elf(sections=((".nv_fatbin", nv_fatbin(("sm_86",))), (".rodata", spirv_module() * 3))),
}


@pytest.mark.process
@pytest.mark.parametrize("shape", SHAPES)
def test_readelf_has_nothing_to_complain_about(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(SHAPES[shape])

    ran = subprocess.run(["readelf", "-aW", path], capture_output=True, text=True, check=True)

    assert ran.stderr == ""
    assert "<corrupt" not in ran.stdout


@pytest.mark.process
@pytest.mark.skipif(machine_platform() != "linux-x86_64", reason="starts a forged linux-x86_64 program")
def test_a_forged_program_starts(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(elf(program=True, imports=IMPORTS[:1], runpath="$ORIGIN"))
    path.chmod(0o755)

    assert subprocess.run([path], check=False).returncode == 0


@pytest.mark.skipif(machine_platform() != "linux-x86_64", reason="loads a forged linux-x86_64 library")
def test_a_forged_library_loads_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "libforged.so"
    path.write_bytes(elf(soname="libforged.so", exports=("first", "ggml_backend_score"), imports=IMPORTS[:1]))

    library = ctypes.CDLL(str(path))

    assert (library.first(), library.ggml_backend_score()) == (1, 1)


def test_two_outputs_of_one_shape_differ() -> None:
    first, second = (Output(path=f"bundle/libggml-cpu-{name}.so", kind=LibraryKind.LIBRARY) for name in ("x64", "zen4"))

    assert forge(first) != forge(second)
    assert forge(first) == forge(first)


def test_forges_what_an_output_describes(tmp_path: Path) -> None:
    output = Output(
        path="bundle/libggml-vulkan.so",
        kind=LibraryKind.LIBRARY,
        machine="aarch64",
        soname="libggml-vulkan.so",
        exports=("ggml_backend_init",),
        needed=("libvulkan.so.1", "libc.so.6"),
        glibc="2.28",
        sections=((".rodata", b"shader"),),
    )
    path = tmp_path / "file"
    path.write_bytes(forge(output))

    file = read_elf(path, "file")

    assert (file.machine, file.soname) == ("aarch64", "libggml-vulkan.so")
    assert file.exports == {"ggml_backend_init"}
    assert (file.needed, file.runpath) == (("libvulkan.so.1", "libc.so.6"), ("$ORIGIN",))
    assert [entry.version for entry in file.wanted] == ["GLIBC_2.28"]


def test_forges_programs_data_and_files_without_libc(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(forge(Output(path="llama-cli", kind=LibraryKind.PROGRAM)))
    alone = tmp_path / "alone"
    alone.write_bytes(forge(Output(path="libx.so", kind=LibraryKind.LIBRARY, glibc="")))

    assert read_elf(program, "program").program
    assert read_elf(alone, "alone").needed == ()
    assert forge(Output(path="LICENSE", kind=LibraryKind.DATA, content=b"MIT")) == b"MIT"
    assert forge(Output(path="LICENSE", kind=LibraryKind.DATA)) == b"forged LICENSE\n"


def test_a_link_has_no_content() -> None:
    with pytest.raises(ValueError, match="is a link"):
        forge(Output(path="libx.so", kind=LibraryKind.LINK, target="libx.so.1"))


def test_knows_cuda_architectures_only() -> None:
    with pytest.raises(ValueError, match="not a CUDA architecture: 'gfx1100'"):
        nv_fatbin(("gfx1100",))
