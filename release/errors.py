"""One class and one exit code for each way a release is refused; ``docs/errors.md`` lists them with the pipeline's."""

from __future__ import annotations

__all__ = [
    "CollectError",
    "ForeignReleaseError",
    "GitHubError",
    "KeyFileError",
    "ManifestError",
    "PreflightError",
    "PublishError",
    "SealError",
    "SignatureError",
    "VerifyError",
]

from collections.abc import Iterable

from pipeline.errors import PipelineError


class _ManyProblemsError(PipelineError):
    """Several findings at once: a person wants to mend all of them before the next try."""

    def __init__(self, problems: Iterable[str], *, where: str | None = None, hint: str | None = None) -> None:
        """Keep the findings apart; the text lists each on a line of its own."""
        self.problems = tuple(problems)
        count = len(self.problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''}\n{listed}", where=where, hint=hint)


class CollectError(_ManyProblemsError):
    """What lies in dist/ is not what a release needs: missing, changed, unproven or not planned; all is listed."""

    code = 20


class KeyFileError(PipelineError):
    """A key cannot be used: not found, readable by others, damaged, or the wrong password."""

    code = 21


class SignatureError(PipelineError):
    """A signature does not verify, or is not a signature."""

    code = 22


class ManifestError(PipelineError):
    """A manifest cannot be made from these facts, or one that was read is not acceptable."""

    code = 23


class SealError(PipelineError):
    """The release cannot be sealed for another reason: names, sizes, counts, or files in the way."""

    code = 24


class PreflightError(_ManyProblemsError):
    """The release cannot be made; every reason that was found is listed, and nothing was written."""

    code = 25


class ForeignReleaseError(PipelineError):
    """The tag's release is not ours to touch: a foreign draft, or a published release with other bytes."""

    code = 26


class GitHubError(PipelineError):
    """GitHub refused, or gave no usable answer within the budget; running again continues."""

    code = 27


class PublishError(PipelineError):
    """The remote release does not become what was sealed; it was not published, and running again continues."""

    code = 28


class VerifyError(_ManyProblemsError):
    """What was verified is not what it claims to be; every finding is listed."""

    code = 29
