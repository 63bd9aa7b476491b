from __future__ import annotations

from pipeline.matrix.cells import Cell
from pipeline.plan.names import ARCHIVE_SUFFIX, asset_name


def test_the_name_says_what_the_archive_is() -> None:
    cell = Cell(id="llama.cpp/linux-x86_64/cpu", project="llama.cpp", platform="linux-x86_64", variant="cpu")

    assert asset_name(cell, "0.1.0-local") == "llama.cpp-0.1.0-local-linux-x86_64-cpu.tar.zst"
    assert ARCHIVE_SUFFIX == ".tar.zst"
