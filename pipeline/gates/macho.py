"""Read Mach-O files through LIEF: the macOS half of what the gates ask of a program or library."""

from __future__ import annotations

__all__ = ["MachoFile", "is_macho", "read_macho"]

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import lief

from pipeline.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

lief.logging.disable()  # a damaged file is reported by us, with its name

_THIN = b"\xcf\xfa\xed\xfe"
_MAGICS = (_THIN, b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_HEADER = struct.Struct("<4sIIIIIII")
_MACHINES = {0x0100000C: "arm64", 0x01000007: "x86_64"}
_EXECUTABLE = 2
_SMALLEST_COMMAND = 8
_LOADS = {
    lief.MachO.LoadCommand.TYPE.LOAD_DYLIB,
    lief.MachO.LoadCommand.TYPE.LOAD_WEAK_DYLIB,
    lief.MachO.LoadCommand.TYPE.REEXPORT_DYLIB,
    lief.MachO.LoadCommand.TYPE.LAZY_LOAD_DYLIB,
}
_EXTERNAL, _DEFINED = 0x01, 0x0E
# A value LIEF's enums do not have becomes a SystemError where warnings are errors.
_DAMAGE = (UnicodeDecodeError, ValueError, RuntimeError, SystemError, RuntimeWarning)
_HINT = "the file is damaged or was not made by a linker: look at the build log, then build it again"


@dataclass(frozen=True, kw_only=True, slots=True)
class MachoFile:
    """One Mach-O file; ``minos`` is the oldest macOS it starts on, None when it does not say."""

    name: str
    path: Path
    machine: str
    program: bool
    minos: tuple[int, ...] | None
    needed: tuple[str, ...]
    rpaths: tuple[str, ...]
    exports: frozenset[str]
    sections: tuple[tuple[str, str, int], ...]


def is_macho(head: bytes) -> bool:
    """Tell from a file's first bytes whether it claims to be Mach-O."""
    return head.startswith(_MAGICS)


def read_macho(path: Path, name: str) -> MachoFile:
    """Read one Mach-O file, or raise BundleError naming it."""
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        size = file.seek(0, os.SEEK_END)
    fields = _HEADER.unpack(head.ljust(_HEADER.size, b"\0"))
    commands, commands_size = fields[4:6]
    fits = 0 < commands * _SMALLEST_COMMAND <= commands_size <= size - _HEADER.size
    if fields[0] != _THIN or not fits:
        msg = "it begins like a Mach-O file and is not a whole 64-bit one for one processor"
        raise BundleError(msg, where=name, hint=_HINT)
    try:
        fat = lief.MachO.parse(str(path))
        binary = fat.at(0) if fat is not None else None
        if binary is None:
            _unreadable()
        machine = _MACHINES.get(fields[1], f"processor number {fields[1]:#x}")
        return _record(binary, path, name, machine, program=fields[3] == _EXECUTABLE)
    except _DAMAGE as error:
        msg = f"its tables cannot be read: {error}"
        raise BundleError(msg, where=name, hint=_HINT) from error


def _unreadable() -> NoReturn:
    msg = "there is no structure in them"
    raise ValueError(msg)


def _record(binary: lief.MachO.Binary, path: Path, name: str, machine: str, *, program: bool) -> MachoFile:
    minos: tuple[int, ...] | None = None
    if binary.build_version is not None:
        minos = tuple(binary.build_version.minos)
    elif binary.version_min is not None:
        minos = tuple(binary.version_min.version)
    return MachoFile(
        name=name,
        path=path,
        machine=machine,
        program=program,
        minos=minos,
        needed=tuple(_text(library.name) for library in binary.libraries if library.command in _LOADS),
        rpaths=tuple(_text(rpath.path) for rpath in binary.rpaths),
        exports=frozenset(
            _text(symbol.name).removeprefix("_")
            for symbol in binary.symbols
            if symbol.raw_type & _EXTERNAL and symbol.raw_type & _DEFINED
        ),
        sections=tuple((_text(part.segment_name), _text(part.name), part.size) for part in binary.sections),
    )


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
