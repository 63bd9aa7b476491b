"""A dist folder of forged bundles that weigh what real ones weigh: half noise, half machine code."""

from __future__ import annotations

__all__ = ["MATRIX", "made_dist"]

import functools
import itertools
import json
import random
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard

from benchmarks.rows import NotRunError
from pipeline.bundle.archive import pack
from pipeline.bundle.reading import unpack
from pipeline.matrix.expand import expand
from release.inspection import inspect
from tests.release.builders import EPOCH, MATRIX_TEXT, make_dist, make_verdicts

_LEVEL = 3
_BLOCK = 1 << 16
_SAMPLE = 64 << 20
_NOTE = "forged.json"
_EDITS = (
    # An archive may not have 2 GiB, so that 10 GiB are more of them than the tests' matrix has.
    (r"variant: \[cpu, cuda12, vulkan, all\]", "variant: [cpu, cuda12, vulkan, all, more, most]"),
    (r"\n  all: .*", r"\g<0>\n  more: {description: as all}\n  most: {description: as all}"),
    (r'cells: "\*/\*/all"', 'cells: "*/*/{all,more,most}"'),
    (r"{cuda12,vulkan,all}", "{cuda12,vulkan,all,more,most}"),
    (r"order: \[cuda12, vulkan, cpu, all\]", "order: [cuda12, vulkan, cpu, all, more, most]"),
    (r"(warn|max): \d+MB", r"\1: 2147483647B"),
    (r"max_unpacked: \d+MB", "max_unpacked: 16GiB"),
)


def _matrix() -> str:
    text = MATRIX_TEXT
    for old, new in _EDITS:
        text, count = re.subn(old, new, text)
        assert count, f"tests/release/builders.py no longer has {old!r}"
    return text


MATRIX = _matrix()
"""The tests' matrix with six bundles that can be built, of any size."""


def made_dist(root: Path, code: Path, size: int, *, say: Callable[[str], None]) -> dict[str, int]:
    """Write ``root/VERSION`` with archives of about ``size`` bytes together, unless they are there; give the sizes.

    Device code of GPUs is packed already, and so does not shrink any more; the rest of a bundle is machine code. Both
    are here in equal parts: every library of the forged bundles goes on with as much noise as code. Both follow
    from the library's name, since a platform's bundles must have one core.

    Args:
        root: What ``collect`` takes as dist.
        code: A folder of ELF files, to take machine code from.
        size: The archives' size.
        say: Told what takes long.

    Raises:
        NotRunError: There is no room for them.
    """
    note = root / _NOTE
    if note.is_file() and (found := json.loads(note.read_bytes()))["wanted"] == size:
        return dict(found["sizes"])
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    free = shutil.disk_usage(root).free
    if free < 2 * size + (4 << 30):
        msg = f"{2 * size / 1e9:.0f} GB and some room are needed, and {free / 1e9:.0f} GB are free"
        raise NotRunError(msg)
    dist = make_dist(root, text=MATRIX)
    cells = {cell.id: cell for cell in expand(dist.matrix).cells if cell.needs is None}
    material = _code(code)
    archives = {record.id: dist.folder / str(record.asset) for record in dist.report.cells if record.id in cells}
    libraries = sum(len(inspect(archive).info.libraries) for archive in archives.values())
    # Packed, a part of noise and one of code weigh 1 + share.
    part = int(size / libraries / (1 + _share(material)))
    if part < _BLOCK:
        msg = f"{size} bytes are too few for {libraries} libraries"
        raise NotRunError(msg)
    for ident, cell in cells.items():
        say(f"... forging {ident}")
        _grow(archives[ident], root / "staging", part, material)
        seen = inspect(archives[ident])
        dist = dist.change(
            ident,
            size=seen.size,
            unpacked_size=seen.unpacked_size,
            sha256=seen.sha256,
            verdicts=make_verdicts(cell, seen),
        )
    records = [each for each in dist.report.cells if each.id in cells]
    sizes = {
        "packed": sum(each.size or 0 for each in records),
        "unpacked": sum(each.unpacked_size or 0 for each in records),
    }
    note.write_text(json.dumps({"wanted": size, "sizes": sizes}), encoding="utf-8")
    return sizes


def _grow(archive: Path, staging: Path, part: int, material: Path) -> None:
    """Pack an archive anew whose libraries each have ``part`` bytes of noise and as many of code more."""
    shutil.rmtree(staging, ignore_errors=True)
    top = unpack(archive, staging)
    for name in inspect(archive).info.libraries:
        with (top / name).open("ab") as file:
            for source in (_noise(name), _endless(material, name)):
                file.writelines(itertools.islice(source, part // _BLOCK))
    pack(top, archive, top=top.name, level=_LEVEL, mtime=EPOCH)
    shutil.rmtree(staging)


def _noise(seed: str) -> Iterator[bytes]:
    chance = random.Random(seed)
    while True:
        yield chance.randbytes(_BLOCK)


def _code(folder: Path) -> Path:
    """Put the ELF files of a folder into one file."""
    joined = folder.with_name(f"{folder.name}.code")
    with joined.open("wb") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                file.write(path.read_bytes())
    if joined.stat().st_size < _BLOCK:
        msg = f"{folder} holds no machine code to fill bundles with"
        raise NotRunError(msg)
    return joined


def _endless(material: Path, seed: str) -> Iterator[bytes]:
    """Give the code round and round, from a place that follows from the seed: libraries must not be alike."""
    blocks = material.stat().st_size // _BLOCK
    with material.open("rb") as file:
        for number in itertools.count(zlib.crc32(seed.encode())):
            file.seek(number % blocks * _BLOCK)
            yield file.read(_BLOCK)


def _share(material: Path) -> float:
    """Tell what part of its size machine code keeps when it is packed."""
    with material.open("rb") as file:
        sample = b"".join(itertools.islice(iter(functools.partial(file.read, _BLOCK), b""), _SAMPLE // _BLOCK))
    return len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample)) / len(sample)
