"""A matrix that was read, with the places its parts came from."""

from __future__ import annotations

__all__ = ["LoadedMatrix"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from pipeline.matrix.document import Document
    from pipeline.matrix.nodes import Path
    from pipeline.matrix.spec import MatrixFile


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedMatrix:
    """matrix.yaml as records, with its positions. ``sha256`` is of the file's bytes."""

    file: MatrixFile
    document: Document
    path: FilePath
    sha256: str

    def where(self, *path: str | int) -> str:
        """Give ``file:line:column`` of the value at ``path``, for example ``where("exclude", 0, "cells")``."""
        return self.document.where(*path)

    def where_key(self, *path: str | int) -> str:
        """Give ``file:line:column`` of the key that ``path`` ends in."""
        return self.document.where_key(*path)

    def keys(self, path: Path) -> tuple[str, ...]:
        """Give the keys written in the mapping at ``path``: only the file knows what was set and what is a default."""
        return tuple(self.document.node(path).entries)
