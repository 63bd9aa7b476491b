"""A first look at a pack file: every size in it, before anything is inflated into memory.

``dulwich`` trusts the sizes a pack declares, so a small file could ask for all memory of the machine. This scan
inflates each entry in small steps, throws the bytes away and refuses what goes beyond the limits.
"""

from __future__ import annotations

__all__ = ["scan_pack"]

import mmap
import struct
import zlib
from typing import TYPE_CHECKING

from pipeline.sources.limits import Limits, TooLargeError, UnprovenError

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = struct.Struct(">4sII")
_TRAILER = 20
_PLAIN = (1, 2, 3, 4)
_OFFSET_DELTA = 6
_NAMED_DELTA = 7
_STEP = 64 * 1024
# A delta starts with two sizes of at most ten bytes each.
_DELTA_HEAD = 20
_VARINT_MAX = 10


def scan_pack(path: Path, limits: Limits) -> int:
    """Check the outline of the pack at ``path`` and give the number of its objects.

    Raises:
        UnprovenError: it is not a pack, is cut off, or goes beyond ``limits``.
    """
    if path.stat().st_size < _HEADER.size + _TRAILER:
        msg = "a pack is cut off"
        raise UnprovenError(msg)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _Scan(data, limits).run()


class _Scan:
    def __init__(self, data: mmap.mmap, limits: Limits) -> None:
        self.data = data
        self.limits = limits
        self.at = 0
        self.end = len(data) - _TRAILER
        self.inflated = 0

    def run(self) -> int:
        magic, version, count = _HEADER.unpack_from(self.data)
        if magic != b"PACK" or version not in (2, 3):
            msg = "a pack does not start like one"
            raise UnprovenError(msg)
        if count > self.limits.objects:
            msg = f"a pack holds {count} objects, more than {self.limits.objects}"
            raise TooLargeError(msg)
        self.at = _HEADER.size
        for _ in range(count):
            self.entry()
        if self.at != self.end:
            msg = "a pack holds bytes that belong to no object"
            raise UnprovenError(msg)
        return int(count)

    def entry(self) -> None:
        first = self.byte()
        kind, size = first >> 4 & 7, first & 15
        if first & 0x80:
            size |= self.varint() << 4
        if kind == _OFFSET_DELTA:
            self.varint()
        elif kind == _NAMED_DELTA:
            self.at += _TRAILER
        elif kind not in _PLAIN:
            msg = f"a pack holds an object of the unknown kind {kind}"
            raise UnprovenError(msg)
        self.check(size)
        head = self.skip(size)
        if kind not in _PLAIN:
            size = _delta_result(head)
            self.check(size)
        self.inflated += size
        if self.inflated > self.limits.inflated:
            msg = f"a pack inflates to more than {self.limits.inflated} bytes"
            raise TooLargeError(msg)

    def check(self, size: int) -> None:
        if size > self.limits.object:
            msg = f"a pack holds an object of {size} bytes, more than {self.limits.object}"
            raise TooLargeError(msg)

    def skip(self, size: int) -> bytes:
        """Inflate the entry's data, which must give exactly ``size`` bytes; keep only how it starts."""
        inflate = zlib.decompressobj()
        head, done = b"", 0
        while not inflate.eof:
            chunk = inflate.unconsumed_tail or self.data[self.at : min(self.at + _STEP, self.end)]
            if not inflate.unconsumed_tail:
                self.at += len(chunk)
            try:
                out = inflate.decompress(chunk, _STEP)
            except zlib.error as error:
                msg = f"a pack is damaged: {error}"
                raise UnprovenError(msg) from error
            if not chunk and not out:
                msg = "a pack is cut off"
                raise UnprovenError(msg)
            done += len(out)
            head = (head + out)[:_DELTA_HEAD] if len(head) < _DELTA_HEAD else head
            if done > size:
                break
        self.at -= len(inflate.unused_data)
        if done != size:
            msg = "a pack holds an object that is not as long as it says"
            raise UnprovenError(msg)
        return head

    def byte(self) -> int:
        if self.at >= self.end:
            msg = "a pack is cut off"
            raise UnprovenError(msg)
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = 0
        for position in range(_VARINT_MAX):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * position
            if not byte & 0x80:
                return value
        msg = "a pack holds a number that never ends"
        raise UnprovenError(msg)


def _delta_result(head: bytes) -> int:
    """Read the second of the two sizes at the start of a delta: that of the object it makes."""
    values, value, shift = [], 0, 0
    for byte in head:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            values.append(value)
            value, shift = 0, 0
            if len(values) == 2:  # noqa: PLR2004 - base size and result size
                return values[1]
    msg = "a pack holds a delta without sizes"
    raise UnprovenError(msg)
