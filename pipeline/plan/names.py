"""What an archive is called. Planner and release use this one place: a name is how a bundle is recognised."""

from __future__ import annotations

__all__ = ["ARCHIVE_SUFFIX", "asset_name"]

from pipeline.matrix.cells import Cell

ARCHIVE_SUFFIX = ".tar.zst"


def asset_name(cell: Cell, version: str) -> str:
    """Name a cell's archive; ``version`` is the matrix's with the profile's suffix."""
    return f"{cell.project}-{version}-{cell.platform}-{cell.variant}{ARCHIVE_SUFFIX}"
