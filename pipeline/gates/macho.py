"""Read Mach-O files through LIEF: the macOS half of what the gates ask of a program or library."""

from __future__ import annotations

__all__ = ["MachoFile", "is_macho", "read_macho"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lief

from pipeline.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

lief.logging.disable()  # a damaged file is reported by us, with its name

_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_MACHINES = {lief.MachO.Header.CPU_TYPE.ARM64: "arm64", lief.MachO.Header.CPU_TYPE.X86_64: "x86_64"}
_LOADS = {
    lief.MachO.LoadCommand.TYPE.LOAD_DYLIB,
    lief.MachO.LoadCommand.TYPE.LOAD_WEAK_DYLIB,
    lief.MachO.LoadCommand.TYPE.REEXPORT_DYLIB,
    lief.MachO.LoadCommand.TYPE.LAZY_LOAD_DYLIB,
}
_EXTERNAL, _DEFINED = 0x01, 0x0E
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
    fat = lief.MachO.parse(str(path))
    if fat is None or fat.size != 1 or (binary := fat.at(0)) is None:
        msg = "it begins like a Mach-O file and does not hold exactly one readable architecture"
        raise BundleError(msg, where=name, hint=_HINT)
    try:
        return _record(binary, path, name)
    except (UnicodeDecodeError, ValueError, RuntimeError) as error:
        msg = f"its tables cannot be read: {error}"
        raise BundleError(msg, where=name, hint=_HINT) from error


def _record(binary: lief.MachO.Binary, path: Path, name: str) -> MachoFile:
    minos: tuple[int, ...] | None = None
    if binary.build_version is not None:
        minos = tuple(binary.build_version.minos)
    elif binary.version_min is not None:
        minos = tuple(binary.version_min.version)
    return MachoFile(
        name=name,
        path=path,
        machine=_MACHINES.get(binary.header.cpu_type, str(binary.header.cpu_type)),
        program=binary.header.file_type == lief.MachO.Header.FILE_TYPE.EXECUTE,
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
