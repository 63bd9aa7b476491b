"""Forge tiny Mach-O libraries, so that the gates' macOS half can be tested on any machine.

They carry what the gates read (minimum system, linked libraries, run paths, exported symbols, an embedded Metal
library) and are not meant to be loaded: they hold no code signature.
"""

from __future__ import annotations

__all__ = ["macho"]

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MACHINES = {"arm64": (0x0100000C, 0), "x86_64": (0x01000007, 3)}
_DYLIB, _EXECUTE = 6, 2
_SEGMENT, _SYMTAB, _LOAD_DYLIB, _ID_DYLIB, _RPATH, _BUILD_VERSION = 0x19, 0x02, 0x0C, 0x0D, 0x8000001C, 0x32
_MACOS = 1
_EXTERNAL = 0x0F  # N_SECT | N_EXT


def macho(  # noqa: PLR0913 - each one is a field of the file
    *,
    machine: str = "arm64",
    program: bool = False,
    name: str = "@rpath/libforged.dylib",
    exports: Sequence[str] = (),
    needed: Sequence[str] = (),
    rpaths: Sequence[str] = ("@loader_path",),
    minos: str = "13.3",
    metallib: bytes = b"",
) -> bytes:
    """Give a Mach-O library or program.

    Args:
        machine: ``arm64`` or ``x86_64``.
        program: An executable rather than a library.
        name: The library's install name.
        exports: C functions it defines.
        needed: Install names of the libraries it links.
        rpaths: Its run paths.
        minos: The oldest macOS it says it runs on.
        metallib: The content of ``__DATA,__ggml_metallib``.
    """
    major, minor = (int(part) for part in minos.split(".")[:2])
    version = major << 16 | minor << 8
    strings, symbols = b"\0", b""
    for export in exports:
        symbols += struct.pack("<IBBHQ", len(strings), _EXTERNAL, 1, 0, 0)
        strings += b"_" + export.encode() + b"\0"
    commands = [struct.pack("<IIIIII", _BUILD_VERSION, 24, _MACOS, version, version, 0)]
    if not program:
        commands.append(_named(_ID_DYLIB, name, struct.pack("<III", 2, 0x10000, 0x10000)))
    commands += [_named(_LOAD_DYLIB, library, struct.pack("<III", 2, 0x10000, 0x10000)) for library in needed]
    commands += [_named(_RPATH, rpath, b"") for rpath in rpaths]
    sections = [("__TEXT", "__text", b"\xc0\x03\x5f\xd6" * 4)]
    if metallib:
        sections.append(("__DATA", "__ggml_metallib", metallib))
    size = sum(map(len, commands)) + 24 + (72 + 80) * len(sections)
    offset = 32 + size
    content = b""
    for segment, section, data in sections:
        at = offset + len(content)
        commands.append(_segment(segment, section, at, len(data)))
        content += data
    at = offset + len(content)
    commands.append(struct.pack("<IIIIII", _SYMTAB, 24, at, len(exports), at + len(symbols), len(strings)))
    cpu, kind = _MACHINES[machine], _EXECUTE if program else _DYLIB
    header = struct.pack("<IIIIIIII", 0xFEEDFACF, *cpu, kind, len(commands), size, 0x85, 0)
    return header + b"".join(commands) + content + symbols + strings


def _named(command: int, name: str, fields: bytes) -> bytes:
    text = name.encode() + b"\0"
    start = 12 + len(fields)
    size = start + len(text)
    size += -size % 8
    return (struct.pack("<III", command, size, start) + fields + text).ljust(size, b"\0")


def _segment(segment: str, section: str, at: int, size: int) -> bytes:
    names = struct.pack("16s16s", section.encode(), segment.encode())
    head = struct.pack("<II16sQQQQIIII", _SEGMENT, 152, segment.encode(), at, size, at, size, 5, 5, 1, 0)
    return head + names + struct.pack("<QQIIIIIIII", at, size, at, 0, 0, 0, 0, 0, 0, 0)
