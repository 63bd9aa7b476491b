"""One class and one exit code for each kind of failure.

Every error says what happened, where, and what to do about it. ``docs/errors.md`` lists them all;
a test keeps that page, the classes and the codes in step.
"""

from __future__ import annotations

__all__ = [
    "BundleError",
    "CancelledError",
    "CellUnavailableError",
    "DeadlineError",
    "EngineError",
    "GateFailedError",
    "ImageError",
    "InternalError",
    "MatrixError",
    "PipelineError",
    "PlanError",
    "SelectionError",
    "SourceError",
    "StoreError",
    "TaskFailedError",
    "ToolchainError",
    "UsageError",
]

from typing import ClassVar


class PipelineError(Exception):
    """A failure a person can act on: printed as ``where: what`` plus a hint, never as a traceback."""

    code: ClassVar[int]

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        """Keep the three parts apart so that each front end can lay them out its own way."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Give ``where: what``, one line."""
        return f"{self.where}: {self.what}" if self.where else self.what


class GateFailedError(PipelineError):
    """A gate of a bundle failed: the artifact is not what the matrix promises."""

    code = 1


class UsageError(PipelineError):
    """The command line cannot be understood."""

    code = 2


class MatrixError(PipelineError):
    """matrix.yaml is wrong; ``where`` is ``file:line:column``."""

    code = 3


class SelectionError(PipelineError):
    """A ``--only`` glob selects no cell."""

    code = 4


class PlanError(PipelineError):
    """The matrix is valid but no consistent plan follows from it."""

    code = 5


class CellUnavailableError(PipelineError):
    """A cell was asked for by name and cannot be built here."""

    code = 6


class SourceError(PipelineError):
    """No mirror gave the pinned source."""

    code = 7


class ToolchainError(PipelineError):
    """The embedded toolchain could not be installed."""

    code = 8


class ImageError(PipelineError):
    """A container image could not be pulled or bootstrapped."""

    code = 9


class EngineError(PipelineError):
    """The engine itself failed: it could not start, or it lost a job."""

    code = 10


class TaskFailedError(PipelineError):
    """A task of the plan failed: compile error, deadline, out of memory, missing output."""

    code = 11


class DeadlineError(TaskFailedError):
    """A task ran into its deadline and was killed."""

    code = 14


class BundleError(PipelineError):
    """A bundle cannot be packed or read: unknown file, unsafe member, damaged archive."""

    code = 12


class StoreError(PipelineError):
    """The store is locked by another run, not writable, or damaged."""

    code = 13


class CancelledError(PipelineError):
    """The user interrupted the run (130 is what a shell expects after Ctrl-C)."""

    code = 130


class InternalError(PipelineError):
    """A bug in llamatrix; ``--debug`` shows the traceback."""

    code = 70
