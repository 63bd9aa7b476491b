"""Find the device code inside a library: SPIR-V modules, CUDA machine code and PTX, HIP code objects.

The readers work on the file's bytes alone and need no vendor tool. They are written for hostile input: every length
is checked before it is used, and the work is bounded by the size of what is read.
"""

from __future__ import annotations

__all__ = ["Cuda", "cuda_code", "hip_targets", "spirv_modules"]

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import zstandard

from pipeline.errors import BundleError

if TYPE_CHECKING:
    import mmap

_HINT = "the section is damaged or of a kind llamatrix does not know yet: compare with the vendor's own tools"

_SPIRV_MAGIC = struct.pack("<I", 0x07230203)
_SPIRV_HEADER = 20
_SPIRV_MAX_MINOR = 6
_SPIRV_MAX_BOUND = 0x3FFFFF
_OP_MEMORY_MODEL, _OP_ENTRY_POINT, _OP_CAPABILITY = 14, 15, 17
_OP_FUNCTION, _OP_FUNCTION_END, _OP_LINE, _OP_NO_LINE = 54, 56, 8, 317
_OP_LAST = 0x2FFF  # vendors' ranges end well below

_FATBIN_MAGIC = 0xBA55ED50
_FATBIN_HEADER, _FATBIN_ENTRY = 16, 64
_FATBIN_PTX, _FATBIN_MACHINE_CODE = 1, {2, 16}
_FATBIN_KINDS = {0x100000: "a", 0x200000: "f"}

_OFFLOAD_MAGIC = b"__CLANG_OFFLOAD_BUNDLE__"
_PACKED_MAGIC = b"CCOB"
_MAX_ENTRIES = 4096
_MAX_ID = 4096
_WORD = 8
_MAX_UNPACKED = 4 << 30
_TARGET = re.compile(r"hip(?:v4)?-amdgcn-amd-amdhsa-(?:[a-z]*)-(gfx[0-9a-z]+(?::[a-z]+[+-])*)")

_u32 = struct.Struct("<I")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuda:
    """Architectures by kind, sorted and without repeats; ``entries`` counts every image."""

    sass: tuple[str, ...]
    ptx: tuple[str, ...]
    entries: int


def spirv_modules(data: bytes | mmap.mmap, start: int = 0, end: int | None = None) -> int:
    """Count the complete SPIR-V modules between two offsets.

    A module counts when its header is sane and its instructions can be walked from the first capability over a memory
    model and an entry point to the end of its last function. It need not be aligned: ggml embeds it as bytes.
    """
    stop = len(data) if end is None else end
    found, steps, at = 0, 0, data.find(_SPIRV_MAGIC, start, stop)
    while at >= 0:
        length, walked = _spirv_length(data, at, stop)
        steps += walked
        if steps > stop - start + _SPIRV_HEADER:
            # Real modules do not overlap, so an honest file is walked about once.
            _fail("SPIR-V", "it is built so that counting its modules does not end")
        found += length > 0
        at = data.find(_SPIRV_MAGIC, at + max(length, 4), stop)
    return found


def _spirv_length(data: bytes | mmap.mmap, at: int, stop: int) -> tuple[int, int]:
    """Give the module's length, or 0 when there is none, and how many instructions were walked."""
    if stop - at < _SPIRV_HEADER:
        return 0, 0
    _, version, _, bound, schema = struct.unpack_from("<5I", data, at)
    if version >> 16 != 1 or version & 0xFF or version >> 8 & 0xFF > _SPIRV_MAX_MINOR or schema:
        return 0, 0
    if not 0 < bound <= _SPIRV_MAX_BOUND:
        return 0, 0
    position, length, steps = at + _SPIRV_HEADER, 0, 0
    seen = set()
    while position + 4 <= stop:
        (word,) = _u32.unpack_from(data, position)
        opcode, size = word & 0xFFFF, (word >> 16) * 4
        steps += 1
        if steps == 1 and opcode != _OP_CAPABILITY:
            return 0, steps
        if length and opcode not in {_OP_FUNCTION, _OP_LINE, _OP_NO_LINE}:
            break
        if not size or size > stop - position or opcode > _OP_LAST:
            break
        if opcode in {_OP_MEMORY_MODEL, _OP_ENTRY_POINT}:
            seen.add(opcode)
        position += size
        length = position - at if opcode == _OP_FUNCTION_END else 0
    return (length if seen == {_OP_MEMORY_MODEL, _OP_ENTRY_POINT} else 0), steps


def cuda_code(data: bytes | mmap.mmap, start: int = 0, end: int | None = None) -> Cuda:
    """List the architectures in the content of ``.nv_fatbin``: containers one after another, zeros between them."""
    stop = len(data) if end is None else end
    sass: set[str] = set()
    ptx: set[str] = set()
    entries, at = 0, start
    while at + 4 <= stop:
        (magic,) = _u32.unpack_from(data, at)
        if magic == 0:
            at += 4
            continue
        if magic != _FATBIN_MAGIC or stop - at < _FATBIN_HEADER:
            _fail(".nv_fatbin", f"there is no container at byte {at - start}")
        _, _, head, size = struct.unpack_from("<IHHQ", data, at)
        if head < _FATBIN_HEADER or head + size > stop - at:
            _fail(".nv_fatbin", f"the container at byte {at - start} does not fit")
        position, at = at + head, at + head + size
        while position < at:
            position, kind, name = _fatbin_entry(data, position, at)
            entries += 1
            if kind == _FATBIN_PTX:
                ptx.add(name)
            elif kind in _FATBIN_MACHINE_CODE:
                sass.add(name)
    return Cuda(sass=_by_number(sass), ptx=_by_number(ptx), entries=entries)


def _fatbin_entry(data: bytes | mmap.mmap, at: int, stop: int) -> tuple[int, int, str]:
    """Give the offset behind the entry, its kind and its architecture."""
    if stop - at < _FATBIN_ENTRY:
        _fail(".nv_fatbin", "an entry is cut off")
    kind, _, head, size = struct.unpack_from("<HHIQ", data, at)
    (number,) = _u32.unpack_from(data, at + 28)
    (flags,) = struct.unpack_from("<Q", data, at + 40)
    if head < _FATBIN_ENTRY or head + size > stop - at:
        _fail(".nv_fatbin", "an entry does not fit into its container")
    if size == 0 and kind in {_FATBIN_PTX, *_FATBIN_MACHINE_CODE}:
        _fail(".nv_fatbin", f"the entry for sm_{number} is empty")
    suffix = "".join(letter for flag, letter in _FATBIN_KINDS.items() if flags & flag)
    return at + head + size, kind, f"sm_{number}{suffix}"


def hip_targets(data: bytes | mmap.mmap, start: int = 0, end: int | None = None) -> tuple[str, ...]:
    """List the GPU targets in the content of ``.hip_fatbin``; compressed bundles are unpacked."""
    stop = len(data) if end is None else end
    found: set[str] = set()
    at = start
    while True:
        plain, packed = data.find(_OFFLOAD_MAGIC, at, stop), data.find(_PACKED_MAGIC, at, stop)
        if plain >= 0 and (packed < 0 or plain < packed):
            at = _offload_bundle(data, plain, stop, found)
        elif packed >= 0:
            at, unpacked = _unpacked(data, packed, stop)
            if not unpacked.startswith(_OFFLOAD_MAGIC):
                _fail(".hip_fatbin", "a compressed bundle holds something else")
            _offload_bundle(unpacked, 0, len(unpacked), found)
        else:
            return tuple(sorted(found))


def _offload_bundle(data: bytes | mmap.mmap, start: int, stop: int, found: set[str]) -> int:
    """Add the targets of the bundle at ``start`` that have code, and give the offset behind it."""
    at = start + len(_OFFLOAD_MAGIC)
    count = _u64(data, at, stop)
    if count > _MAX_ENTRIES:
        _fail(".hip_fatbin", f"a bundle claims {count} entries")
    at += 8
    last = at
    for _ in range(count):
        offset, size, length = (_u64(data, at + step, stop) for step in (0, 8, 16))
        if length > _MAX_ID or length > stop - at - 24 or offset + size > stop - start:
            _fail(".hip_fatbin", "an entry does not fit into its bundle")
        name = bytes(data[at + 24 : at + 24 + length])
        at += 24 + length
        last = max(last, at, start + offset + size)
        match = _TARGET.fullmatch(name.decode("ascii", "replace"))
        if match and size:
            if bytes(data[start + offset : start + offset + 4]) != b"\x7fELF":
                _fail(".hip_fatbin", f"the code for {match[1]} is not a code object")
            found.add(match[1])
    return last


def _unpacked(data: bytes | mmap.mmap, at: int, stop: int) -> tuple[int, bytes]:
    """Unpack the compressed bundle at ``at``, and give the offset behind it and its content."""
    # magic, version, method; then sizes of the file (from version 2) and of the content, which version 3 widens
    layouts = {2: "<4sHHII8x", 3: "<4sHHQQ8x"}
    if stop - at < _WORD:
        _fail(".hip_fatbin", "a compressed bundle is cut off")
    version, method = struct.unpack_from("<4xHH", data, at)
    layout = layouts.get(version)
    if layout is None or stop - at < struct.calcsize(layout):
        _fail(".hip_fatbin", f"a compressed bundle of version {version} is not understood")
    _, _, _, total, size = struct.unpack_from(layout, data, at)
    head = struct.calcsize(layout)
    if not head <= total <= stop - at or size > _MAX_UNPACKED:
        _fail(".hip_fatbin", "a compressed bundle does not fit")
    content = bytes(data[at + head : at + total])
    try:
        if method == 0:
            plain = zlib.decompressobj().decompress(content, size + 1)
        elif method == 1:
            with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(content) as reader:
                plain = reader.read(size + 1)
        else:
            _fail(".hip_fatbin", f"the compression method {method} is not understood")
    except (zlib.error, zstandard.ZstdError, MemoryError) as error:
        _fail(".hip_fatbin", f"a compressed bundle cannot be unpacked: {error}")
    if len(plain) != size:
        _fail(".hip_fatbin", "a compressed bundle is not as long as it says")
    return at + total, plain


def _u64(data: bytes | mmap.mmap, at: int, stop: int) -> int:
    if stop - at < _WORD:
        _fail(".hip_fatbin", "a bundle is cut off")
    (value,) = struct.unpack_from("<Q", data, at)
    return int(value)


def _by_number(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: (int(re.sub(r"\D", "", name)), name)))


def _fail(where: str, why: str) -> NoReturn:
    raise BundleError(why, where=where, hint=_HINT)
