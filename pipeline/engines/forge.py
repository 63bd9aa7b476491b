"""Forge tiny, valid ELF files: what a compiler would leave, in microseconds and in pure Python.

The fake engine and the tests of the gates use it. The files are complete (program and section headers, dynamic
section, hash table, symbol versions) so that LIEF, ``readelf`` and the dynamic loader accept them; a forged x86_64
program really starts and exits 0. Every exported function returns 1.
"""

from __future__ import annotations

__all__ = ["Import", "elf", "forge"]

import struct
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING

from pipeline.model import LibraryKind, Output

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PAGE = 0x1000
_MACHINES = {"x86_64": 62, "aarch64": 183}
_INTERPRETERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
# return 1; then at +8: exit(0)
_CODE = {
    "x86_64": bytes.fromhex("b801000000c3909031ff b83c000000 0f05 90".replace(" ", "")),
    "aarch64": bytes.fromhex("20008052c0035fd6000080d2 a80b80d2 010000d4".replace(" ", "")),
}
_START = 8
_NULL, _PROGBITS, _STRTAB, _HASH, _DYNAMIC, _DYNSYM = 0, 1, 3, 5, 6, 11
_VERNEED, _VERSYM = 0x6FFFFFFE, 0x6FFFFFFF
_WRITE, _ALLOC, _EXEC = 1, 2, 4
_DT = {
    "NEEDED": 1,
    "HASH": 4,
    "STRTAB": 5,
    "SYMTAB": 6,
    "STRSZ": 10,
    "SYMENT": 11,
    "SONAME": 14,
    "RPATH": 15,
    "RUNPATH": 29,
    "VERSYM": 0x6FFFFFF0,
    "FLAGS_1": 0x6FFFFFFB,
    "VERNEED": 0x6FFFFFFE,
    "VERNEEDNUM": 0x6FFFFFFF,
}
_TABLES = {
    "HASH": ".hash",
    "STRTAB": ".dynstr",
    "SYMTAB": ".dynsym",
    "VERSYM": ".gnu.version",
    "VERNEED": ".gnu.version_r",
}
_PIE = 0x08000000
_WEAK_FUNCTION, _GLOBAL_FUNCTION = 0x22, 0x12


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """A symbol a file asks another library for, with its version; weak, so that the loader forgives its absence."""

    symbol: str
    library: str
    version: str


@dataclass(slots=True)
class _Section:
    name: str
    kind: int
    content: bytes
    flags: int = _ALLOC
    align: int = 8
    link: str = ""
    info: int = 0
    entry: int = 0
    offset: int = 0


class _Strings:
    """A string table under construction."""

    def __init__(self) -> None:
        self.content = b"\0"

    def add(self, text: str) -> int:
        data = text.encode() + b"\0"
        at = self.content.find(b"\0" + data)
        if at >= 0:
            return at + 1
        self.content += data
        return len(self.content) - len(data)


def forge(output: Output) -> bytes:
    """Give the content of one promised file; a link has none."""
    if output.kind is LibraryKind.DATA:
        return output.content or f"forged {output.path}\n".encode()
    if output.kind is LibraryKind.LINK:
        msg = f"{output.path} is a link and has no content"
        raise ValueError(msg)
    imports: tuple[Import, ...] = ()
    if output.glibc:
        version = f"GLIBC_{output.glibc}"
        imports = (Import(symbol=f"forged_{version.lower()}", library="libc.so.6", version=version),)
    return elf(
        machine=output.machine,
        program=output.kind is LibraryKind.PROGRAM,
        soname=output.soname,
        exports=output.exports,
        needed=output.needed,
        runpath=output.runpath,
        imports=imports,
        sections=output.sections,
        mark=output.path,
    )


def elf(  # noqa: PLR0913 - each one is a field of the file
    *,
    machine: str = "x86_64",
    program: bool = False,
    soname: str | None = None,
    exports: Sequence[str] = (),
    needed: Sequence[str] = (),
    runpath: str | None = None,
    rpath: str | None = None,
    imports: Sequence[Import] = (),
    sections: Sequence[tuple[str, bytes]] = (),
    interpreter: str | None = None,
    mark: str = "forged",
) -> bytes:
    """Give a complete ELF file.

    Args:
        machine: ``x86_64`` or ``aarch64``.
        program: A position-independent executable rather than a shared library.
        soname: ``DT_SONAME``.
        exports: Functions it defines.
        needed: ``DT_NEEDED``, in order; libraries named by ``imports`` are added.
        runpath: ``DT_RUNPATH``.
        rpath: ``DT_RPATH``, which modern linkers no longer write.
        imports: Versioned symbols it asks for.
        sections: Further read-only sections, name and content.
        interpreter: The program's loader; the platform's standard one when None.
        mark: Goes into ``.comment``, so that two files of one shape still differ.
    """
    strings = _Strings()
    libraries = list(dict.fromkeys((*needed, *(entry.library for entry in imports))))
    tags: list[tuple[str, int]] = [("NEEDED", strings.add(name)) for name in libraries]
    tags += [
        (tag, strings.add(text))
        for tag, text in (("SONAME", soname), ("RPATH", rpath), ("RUNPATH", runpath))
        if text is not None
    ]
    build_id = struct.pack("<III4s", 4, 16, 3, b"GNU\0") + md5(mark.encode(), usedforsecurity=False).digest()
    body: list[_Section] = []
    if program:
        loader = interpreter or _INTERPRETERS[machine]
        body.append(_Section(".interp", _PROGBITS, loader.encode() + b"\0", align=1))
    names = [*exports, *(entry.symbol for entry in imports)]
    body.append(_Section(".note.gnu.build-id", 7, build_id, align=4))
    body.append(_Section(".hash", _HASH, _hash_table(names), link=".dynsym", entry=4))
    body.append(_Section(".dynsym", _DYNSYM, b"", link=".dynstr", info=1, entry=24))
    if imports:
        versions, requirements, count = _versions(strings, exports, imports)
        body.append(_Section(".gnu.version", _VERSYM, versions, align=2, link=".dynsym", entry=2))
        body.append(_Section(".gnu.version_r", _VERNEED, requirements, link=".dynstr", info=count))
        tags.append(("VERNEEDNUM", count))
    name_offsets = [strings.add(name) for name in names]
    body.append(_Section(".dynstr", _STRTAB, strings.content, align=1))
    body += [_Section(name, _PROGBITS, content, align=16) for name, content in sections]
    body.append(_Section(".text", _PROGBITS, _CODE[machine], flags=_ALLOC | _EXEC, align=16))
    plan = _Plan(machine=machine, program=program, tags=tags, mark=mark, names=name_offsets, exported=len(exports))
    return _assemble(body, plan)


def _hash_table(names: Sequence[str]) -> bytes:
    """The System V hash table with one chain, which is all a handful of symbols needs."""
    count = len(names) + 1
    chain = [0, *(index + 1 if index + 1 < count else 0 for index in range(1, count))]
    return struct.pack(f"<{3 + count}I", 1, count, 1 if names else 0, *chain)


def _versions(strings: _Strings, exports: Sequence[str], imports: Sequence[Import]) -> tuple[bytes, bytes, int]:
    by_library: dict[str, list[str]] = {}
    for entry in imports:
        wanted = by_library.setdefault(entry.library, [])
        if entry.version not in wanted:
            wanted.append(entry.version)
    indices: dict[tuple[str, str], int] = {}
    requirements = b""
    for position, (library, wanted) in enumerate(by_library.items()):
        last = position == len(by_library) - 1
        step = 0 if last else 16 + 16 * len(wanted)
        requirements += struct.pack("<HHIII", 1, len(wanted), strings.add(library), 16, step)
        for place, version in enumerate(wanted):
            index = indices.setdefault((library, version), len(indices) + 2)
            following = 16 if place + 1 < len(wanted) else 0
            requirements += struct.pack("<IHHII", _elf_hash(version), 0, index, strings.add(version), following)
    table = [0, *(1 for _ in exports), *(indices[entry.library, entry.version] for entry in imports)]
    return struct.pack(f"<{len(table)}H", *table), requirements, len(by_library)


def _elf_hash(name: str) -> int:
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        value = (value ^ ((value & 0xF0000000) >> 24)) & 0x0FFFFFFF
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What the final layout needs to know about the file."""

    machine: str
    program: bool
    tags: list[tuple[str, int]]
    mark: str
    names: Sequence[int]
    exported: int


def _assemble(body: list[_Section], plan: _Plan) -> bytes:
    # Without its own header table in sight, the loader cannot tell where a position-independent program lies.
    kinds = (*(("headers", "interp") if plan.program else ()), "load", "load", "dynamic", "note", "stack")
    found = {section.name: section for section in body}
    found[".dynsym"].content = bytes(24 * (len(plan.names) + 1))
    _lay_out(body, 64 + 56 * len(kinds))
    text = found[".text"].offset
    found[".dynsym"].content = _symbols(plan, text, body.index(found[".text"]) + 1)
    code_end = body[-1].offset + len(body[-1].content)
    dynamic = _Section(".dynamic", _DYNAMIC, _dynamic(plan, found), flags=_WRITE | _ALLOC, link=".dynstr", entry=16)
    labels = _Strings()
    comment = _Section(".comment", _PROGBITS, f"llamatrix forge: {plan.mark}".encode() + b"\0", flags=0, align=1)
    last = _Section(".shstrtab", _STRTAB, b"", flags=0, align=1)
    every = [*body, dynamic, comment, last]
    named = {section.name: labels.add(section.name) for section in every}
    last.content = labels.content
    _lay_out([dynamic, comment, last], code_end + -code_end % _PAGE)
    table = last.offset + len(labels.content)
    table += -table % 8

    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    start = text + _START if plan.program else 0
    header += struct.pack("<HHIQQQI", 3, _MACHINES[plan.machine], 1, start, 64, table, 0)
    header += struct.pack("<6H", 64, 56, len(kinds), 64, len(every) + 1, len(every))
    image = bytearray(header + _segments(kinds, {**found, ".dynamic": dynamic}, code_end))
    for section in every:
        image += bytes(section.offset - len(image)) + section.content
    image += bytes(table - len(image) + 64)
    order = {section.name: index + 1 for index, section in enumerate(every)}
    for section in every:
        address = section.offset if section.flags & _ALLOC else 0
        place = (address, section.offset, len(section.content))
        rest = (order.get(section.link, 0), section.info, section.align, section.entry)
        image += struct.pack("<IIQQQQIIQQ", named[section.name], section.kind, section.flags, *place, *rest)
    return bytes(image)


def _symbols(plan: _Plan, text: int, section: int) -> bytes:
    defined, wanted = (_GLOBAL_FUNCTION, 0, section, text, 6), (_WEAK_FUNCTION, 0, 0, 0, 0)
    rows = [(name, *(defined if index < plan.exported else wanted)) for index, name in enumerate(plan.names)]
    return bytes(24) + b"".join(struct.pack("<IBBHQQ", *row) for row in rows)


def _dynamic(plan: _Plan, found: dict[str, _Section]) -> bytes:
    tags = [*plan.tags, *((tag, found[name].offset) for tag, name in _TABLES.items() if name in found)]
    tags += [("STRSZ", len(found[".dynstr"].content)), ("SYMENT", 24)]
    if plan.program:
        tags.append(("FLAGS_1", _PIE))
    return b"".join(struct.pack("<QQ", _DT[tag], value) for tag, value in tags) + bytes(16)


def _segments(kinds: Iterable[str], found: dict[str, _Section], code_end: int) -> bytes:
    kinds = tuple(kinds)

    def around(name: str, flags: int, align: int, number: int) -> tuple[int, int, int, int, int]:
        return (number, flags, found[name].offset, len(found[name].content), align)

    loads = iter([(1, 5, 0, code_end, _PAGE), around(".dynamic", 6, _PAGE, 1)])
    rows = []
    for kind in kinds:
        if kind == "load":
            rows.append(next(loads))
        elif kind == "headers":
            rows.append((6, 4, 64, 56 * len(kinds), 8))
        elif kind == "interp":
            rows.append(around(".interp", 4, 1, 3))
        elif kind == "dynamic":
            rows.append(around(".dynamic", 6, 8, 2))
        elif kind == "note":
            rows.append(around(".note.gnu.build-id", 4, 4, 4))
        else:
            rows.append((0x6474E551, 6, 0, 0, 16))
    return b"".join(
        struct.pack("<IIQQQQQQ", n, flags, at, at, at, size, size, align) for n, flags, at, size, align in rows
    )


def _lay_out(sections: Iterable[_Section], start: int) -> None:
    for section in sections:
        section.offset = start + -start % section.align
        start = section.offset + len(section.content)
