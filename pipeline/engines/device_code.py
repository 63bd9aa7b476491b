"""Small, valid device code for forged libraries: what the backend gate reads out of real ones.

The CUDA layout was read off ``nvcc`` 13.0's output: one container of entries, PTX first; from compute capability 10.0
on an entry of machine code has a longer header, and a flag marks the architecture-specific (``a``) and family (``f``)
kinds.
"""

from __future__ import annotations

__all__ = ["hip_fatbin", "nv_fatbin", "spirv_module"]

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPIRV_MAGIC = 0x07230203
_FATBIN_MAGIC = 0xBA55ED50
_OFFLOAD_MAGIC = b"__CLANG_OFFLOAD_BUNDLE__"
_PTX, _MACHINE_CODE = 1, 2
_KIND_FLAGS = {"": 0, "a": 0x100000, "f": 0x200000}
_LONG_HEADER_FROM = 100
_PAGE = 4096
_ARCH = re.compile(r"(?:sm|compute)_(\d+)([af]?)")


def spirv_module(version: tuple[int, int] = (1, 3)) -> bytes:
    """Give a complete compute shader that does nothing: an entry point with an empty body."""

    def instruction(opcode: int, *operands: int) -> tuple[int, ...]:
        return ((len(operands) + 1) << 16 | opcode, *operands)

    main = struct.unpack("<2I", b"main\0\0\0\0")
    words = (
        *(_SPIRV_MAGIC, version[0] << 16 | version[1] << 8, 0, 5, 0),
        *instruction(17, 1),  # OpCapability Shader
        *instruction(14, 0, 1),  # OpMemoryModel Logical GLSL450
        *instruction(15, 5, 3, *main),  # OpEntryPoint GLCompute %3 "main"
        *instruction(16, 3, 17, 1, 1, 1),  # OpExecutionMode %3 LocalSize 1 1 1
        *instruction(19, 1),  # %1 = OpTypeVoid
        *instruction(33, 2, 1),  # %2 = OpTypeFunction %1
        *instruction(54, 1, 3, 0, 2),  # %3 = OpFunction %1 None %2
        *instruction(248, 4),  # %4 = OpLabel
        *instruction(253),  # OpReturn
        *instruction(56),  # OpFunctionEnd
    )
    return struct.pack(f"<{len(words)}I", *words)


def nv_fatbin(sass: Sequence[str] = (), ptx: Sequence[str] = ()) -> bytes:
    """Give the content of ``.nv_fatbin`` for machine code such as ``sm_86`` and PTX such as ``sm_75``."""
    entries = b"".join(_fatbin_entry(_PTX, arch) for arch in ptx)
    entries += b"".join(_fatbin_entry(_MACHINE_CODE, arch) for arch in sass)
    return struct.pack("<IHHQ", _FATBIN_MAGIC, 1, 16, len(entries)) + entries


def _fatbin_entry(kind: int, arch: str) -> bytes:
    match = _ARCH.fullmatch(arch)
    if match is None:
        msg = f"not a CUDA architecture: {arch!r}"
        raise ValueError(msg)
    number, flags = int(match[1]), _KIND_FLAGS[match[2]] | 0x11
    if kind == _PTX:
        text = f".version 9.0\n.target sm_{number}{match[2]}\n.address_size 64\n\0".encode()
        size, payload, versions = 64, text + bytes(-len(text) % 8), (0, 9)
    else:
        size, payload, versions = (112 if number >= _LONG_HEADER_FROM else 64), b"\x7fELF" + bytes(60), (8, 1)
    header = struct.pack("<HHIQIIHHIQQQQ", kind, 0x101, size, len(payload), 0, 0, *versions, number, 0, flags, 0, 0)
    return header + bytes(size - len(header)) + payload


def hip_fatbin(gfx: Sequence[str]) -> bytes:
    """Give the content of ``.hip_fatbin``: one offload bundle with an empty host entry and a code object per target."""
    names = ["host-x86_64-unknown-linux-gnu-", *(f"hipv4-amdgcn-amd-amdhsa--{name}" for name in gfx)]
    head = len(_OFFLOAD_MAGIC) + 8 + sum(24 + len(name) for name in names)
    offset = head + -head % _PAGE
    table, payload = b"", b""
    for index, name in enumerate(names):
        code = b"" if index == 0 else b"\x7fELF\x02\x01\x01\x40" + bytes(10) + struct.pack("<H", 224) + bytes(44)
        table += struct.pack("<QQQ", offset + len(payload), len(code), len(name)) + name.encode()
        payload += code + bytes(-len(code) % _PAGE)
    lead = _OFFLOAD_MAGIC + struct.pack("<Q", len(names)) + table
    return lead + bytes(-len(lead) % _PAGE) + payload
