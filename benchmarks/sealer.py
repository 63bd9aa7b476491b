"""One process that seals: ``python -m benchmarks.sealer DIST``, or only reads: ``... --read ARCHIVE...``."""

from __future__ import annotations

__all__ = ["Taken"]

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.bigdist import MATRIX
from benchmarks.memory import peak_megabytes
from release.collect import collect
from release.inspection import inspect
from release.keys.keyfile import SecretKey
from release.seal import seal
from tests.release.builders import EPOCH, RELEASE, TODAY, load_matrix

_KEY = SecretKey(key_id=b"\1" * 8, seed=b"\2" * 32)  # thrown away, and worth nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Seconds without starting Python, and MB."""

    collect: float
    seal: float
    peak: float
    unpacked: int


def main(dist: Path) -> Taken:
    """Collect and seal."""
    matrix = load_matrix(MATRIX)
    started = time.perf_counter()
    collection = collect(matrix=matrix, dist=dist, today=TODAY, epoch=EPOCH)
    collected = time.perf_counter()
    seal(collection, RELEASE, _KEY, previous=None)
    return Taken(
        collect=collected - started,
        seal=time.perf_counter() - collected,
        peak=peak_megabytes(),
        unpacked=sum(bundle.inspection.unpacked_size for bundle in collection.bundles),
    )


def only_read(archives: Sequence[Path]) -> Taken:
    """Read archives as ``collect`` does."""
    started = time.perf_counter()
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        seen = list(pool.map(inspect, archives))
    return Taken(
        collect=time.perf_counter() - started,
        seal=0.0,
        peak=peak_megabytes(),
        unpacked=sum(each.unpacked_size for each in seen),
    )


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    taken = only_read([Path(each) for each in rest]) if first == "--read" else main(Path(first))
    print(json.dumps(asdict(taken)))
