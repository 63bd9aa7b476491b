"""matrix.yaml to records, or an error that says what is wrong, where, and what would be right."""

from __future__ import annotations

__all__ = ["LoadedMatrix", "convert", "load", "load_document"]

from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import MatrixError
from pipeline.matrix.cellrules import check_cells
from pipeline.matrix.coverage import check_globs, check_matches
from pipeline.matrix.document import read
from pipeline.matrix.loaded import LoadedMatrix
from pipeline.matrix.problems import Problems
from pipeline.matrix.promises import check_promises
from pipeline.matrix.references import check_references
from pipeline.matrix.releases import check_release, check_release_cells
from pipeline.matrix.shape import find_problems
from pipeline.matrix.spec import MatrixFile

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.matrix.document import Document


def load(path: Path) -> LoadedMatrix:
    """Read a matrix and check all of it: its YAML, shape, references, globs, cells, and release.

    Raises:
        MatrixError: something is wrong; ``where`` is ``file:line:column`` of the first mistake in the file, and the
            hint names the places of the next ones.
    """
    document, sha256 = read(path)
    return load_document(document, path=path, sha256=sha256)


def load_document(document: Document, *, path: Path, sha256: str) -> LoadedMatrix:
    """Do the same for a document that was read already."""
    matrix = LoadedMatrix(file=convert(document), document=document, path=path, sha256=sha256)
    # In stages: later checks stand on what earlier ones made sure of, and would only repeat their findings.
    problems = Problems(document)
    check_references(matrix, problems)
    check_globs(matrix, problems)
    check_promises(matrix, problems)
    check_release(matrix, problems)
    problems.check()
    check_matches(matrix, problems)
    check_release_cells(matrix, problems)
    problems.check()
    check_cells(matrix, problems)
    problems.check()
    return matrix


def convert(document: Document) -> MatrixFile:
    """Turn a document into records, strictly.

    Raises:
        MatrixError: a key is unknown or missing, or a value is not what its key takes.
    """
    try:
        return msgspec.convert(document.data, MatrixFile, strict=True)
    except msgspec.ValidationError as error:
        problems = Problems(document)
        find_problems(document, MatrixFile, problems)
        problems.check()
        # Not reached as long as shape.py knows all that msgspec checks; a vague place is better than none.
        raise MatrixError(str(error), where=document.where()) from error
