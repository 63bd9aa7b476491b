"""Read ELF files through LIEF: everything the gates ask of a program or library, as one frozen record.

The files come out of an archive, so nothing in them is trusted: whatever cannot be read is a BundleError with the
file's name, and numbers in headers are checked against the file's size before they are used.
"""

from __future__ import annotations

__all__ = ["ElfFile", "Section", "Wanted", "is_elf", "read_elf"]

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lief

from pipeline.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

lief.logging.disable()  # a damaged file is reported by us, with its name

_MAGIC = b"\x7fELF"
_HEADER = struct.Struct("<4sBB10xHHIQQQIHHHHHH")
_ELF64, _LITTLE_ENDIAN = 2, 1
_EXECUTABLE = 2
_MACHINES = {62: "x86_64", 183: "aarch64"}
# A value LIEF's enums do not have becomes a SystemError where warnings are errors.
_DAMAGE = (UnicodeDecodeError, ValueError, RuntimeError, SystemError, RuntimeWarning)
_HINT = "the file is damaged or was not made by a linker: look at the build log, then build it again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Where a section's bytes lie in the file; ``loaded`` tells whether the loader maps them."""

    name: str
    offset: int
    size: int
    loaded: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A version the file asks a library for; ``symbol`` is one symbol that carries it, when there is one."""

    library: str
    version: str
    symbol: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ElfFile:
    """One ELF file; ``name`` is relative to the bundle's top folder, ``program`` tells whether it can be started."""

    name: str
    path: Path
    machine: str
    program: bool
    interpreter: str | None
    soname: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    exports: frozenset[str]
    wanted: tuple[Wanted, ...]
    sections: tuple[Section, ...]


def is_elf(head: bytes) -> bool:
    """Tell from a file's first bytes whether it claims to be ELF."""
    return head.startswith(_MAGIC)


def read_elf(path: Path, name: str) -> ElfFile:
    """Read one ELF file, or raise BundleError naming it."""
    machine, executable = _header(path, name)
    binary = _parse(path)
    if binary is None:
        msg = "its structure cannot be read"
        raise BundleError(msg, where=name, hint=_HINT)
    try:
        return _record(binary, path, name, machine, executable=executable)
    except _DAMAGE as error:
        msg = f"its tables cannot be read: {error}"
        raise BundleError(msg, where=name, hint=_HINT) from error


def _header(path: Path, name: str) -> tuple[str, bool]:
    """Check the header ourselves, since LIEF makes the best of a damaged one; give the processor and the type."""
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        size = file.seek(0, os.SEEK_END)
    if len(head) < _HEADER.size:
        msg = "it begins like an ELF file and ends in its header"
        raise BundleError(msg, where=name, hint=_HINT)
    (
        _,
        width,
        order,
        kind,
        machine,
        *_,
    ) = fields = _HEADER.unpack(head)
    segments, sections, (segment_size, segment_count, section_size, section_count) = fields[7], fields[8], fields[11:15]
    if (width, order) != (_ELF64, _LITTLE_ENDIAN):
        msg = "it begins like an ELF file and is not a 64-bit, little-endian one"
        raise BundleError(msg, where=name, hint=_HINT)
    if max(segments + segment_size * segment_count, sections + section_size * section_count) > size:
        msg = "it is an ELF file that was cut off: its header tables lie outside it"
        raise BundleError(msg, where=name, hint=_HINT)
    return _MACHINES.get(machine, f"processor number {machine}"), kind == _EXECUTABLE


def _parse(path: Path) -> lief.ELF.Binary | None:
    config = lief.ELF.ParserConfig()
    config.parse_relocations = False
    config.parse_symtab_symbols = False
    config.parse_notes = False
    config.parse_overlay = False
    return lief.ELF.parse(str(path), config)


def _record(binary: lief.ELF.Binary, path: Path, name: str, machine: str, *, executable: bool) -> ElfFile:
    tags = lief.ELF.DynamicEntry.TAG
    paths: dict[lief.ELF.DynamicEntry.TAG, list[str]] = {tags.RPATH: [], tags.RUNPATH: [], tags.SONAME: []}
    for entry in binary.dynamic_entries:
        if isinstance(entry, lief.ELF.DynamicEntryRpath):
            paths[tags.RPATH].append(_text(entry.rpath))
        elif isinstance(entry, lief.ELF.DynamicEntryRunPath):
            paths[tags.RUNPATH].append(_text(entry.runpath))
        elif isinstance(entry, lief.ELF.DynamicSharedObject):
            paths[tags.SONAME].append(_text(entry.name))
    interpreter = _text(binary.interpreter) if binary.has_interpreter else None
    return ElfFile(
        name=name,
        path=path,
        machine=machine,
        program=interpreter is not None or executable,
        interpreter=interpreter,
        soname=next(iter(paths[tags.SONAME]), None),
        needed=tuple(_text(library) for library in binary.libraries),
        rpath=tuple(paths[tags.RPATH]),
        runpath=tuple(paths[tags.RUNPATH]),
        exports=frozenset(_text(symbol.name) for symbol in binary.dynamic_symbols if _is_export(symbol)),
        wanted=tuple(_wanted(binary)),
        sections=tuple(_sections(binary, path.stat().st_size)),
    )


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _is_export(symbol: lief.ELF.Symbol) -> bool:
    bindings = lief.ELF.Symbol.BINDING
    visible = symbol.visibility in {lief.ELF.Symbol.VISIBILITY.DEFAULT, lief.ELF.Symbol.VISIBILITY.PROTECTED}
    return visible and symbol.shndx != 0 and symbol.binding in {bindings.GLOBAL, bindings.WEAK, bindings.GNU_UNIQUE}


def _wanted(binary: lief.ELF.Binary) -> list[Wanted]:
    symbols: dict[str, str] = {}
    for symbol in binary.dynamic_symbols:
        version = symbol.symbol_version
        auxiliary = version.symbol_version_auxiliary if version is not None and symbol.shndx == 0 else None
        if auxiliary is not None:
            symbols.setdefault(_text(auxiliary.name), _text(symbol.name))
    found = []
    for requirement in binary.symbols_version_requirement:
        for auxiliary in requirement.get_auxiliary_symbols():
            version_name = _text(auxiliary.name)
            found.append(
                Wanted(library=_text(requirement.name), version=version_name, symbol=symbols.get(version_name))
            )
    return found


def _sections(binary: lief.ELF.Binary, file_size: int) -> list[Section]:
    found = []
    for section in binary.sections:
        if section.type in {lief.ELF.Section.TYPE.NOBITS, lief.ELF.Section.TYPE.SHT_NULL_}:
            continue
        if section.offset + section.size > file_size:
            msg = f"section {_text(section.name)!r} lies outside the file"
            raise ValueError(msg)
        loaded = lief.ELF.Section.FLAGS.ALLOC in section.flags_list
        found.append(Section(name=_text(section.name), offset=section.offset, size=section.size, loaded=loaded))
    return found
