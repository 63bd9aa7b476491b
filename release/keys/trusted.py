"""The trusted comment of a release's signatures: which release, commit and manifest the signed file belongs to.

Without it an old SHA256SUMS with its good signature could be put in a new release's place.
"""

from __future__ import annotations

__all__ = ["Trusted", "parse"]

import re
from dataclasses import dataclass

from release.errors import SignatureError

_REPO = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}"
# What a tag may hold (git check-ref-format), less what is not printable ASCII: the comment must read alike everywhere.
_TAG = r"(?![-./])(?!.*(?:\.\.|//|/\.|@\{|[./]$|\.lock$))[!-~]{1,200}"
_TAG_NEVER = re.compile(r"[~^:?*\[\\]")
_FILE = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,254}"
_COMMIT = r"[0-9a-f]{40}"
_DIGEST = r"[0-9a-f]{64}"
_TIME = r"0|[1-9][0-9]{0,11}"

_FIELDS = (
    ("repo", re.compile(_REPO)),
    ("tag", re.compile(_TAG)),
    ("commit", re.compile(_COMMIT)),
    ("manifest_sha256", re.compile(_DIGEST)),
    ("file", re.compile(_FILE)),
    ("epoch", re.compile(_TIME)),
)
_HINT = "it is not a signature of a llamatrix release: check that it was made for this file"
_COMPOSING = "a release that can be signed has plain names: printable ASCII without blanks, as git and GitHub take them"
_PREFIXES = ("repo=", "tag=", "commit=", "manifest=sha256:", "file:", "ts=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trusted:
    """What a signature says about the file it signs.

    ``manifest_sha256`` is the digest of the release's ``manifest.json``, ``epoch`` the release's own time.
    """

    repo: str
    tag: str
    commit: str
    manifest_sha256: str
    file: str
    epoch: int

    @property
    def text(self) -> str:
        """The comment; SignatureError if a field does not have its form, since nobody could read it back."""
        words = (self.repo, self.tag, self.commit, self.manifest_sha256, self.file, str(self.epoch))
        for (name, pattern), word in zip(_FIELDS, words, strict=True):
            _check(name, pattern, word, where=None, hint=_COMPOSING)
        return " ".join(prefix + word for prefix, word in zip(_PREFIXES, words, strict=True))

    def check(  # noqa: PLR0913  one for each field
        self,
        *,
        repo: str | None = None,
        tag: str | None = None,
        commit: str | None = None,
        manifest_sha256: str | None = None,
        file: str | None = None,
        epoch: int | None = None,
    ) -> tuple[str, ...]:
        """Give every difference from what was expected, for people; None expects nothing."""
        pairs: tuple[tuple[str, str | int, str | int | None], ...] = (
            ("repository", self.repo, repo),
            ("tag", self.tag, tag),
            ("commit", self.commit, commit),
            ("manifest's SHA-256", self.manifest_sha256, manifest_sha256),
            ("file", self.file, file),
            ("time", self.epoch, epoch),
        )
        return tuple(
            f"the signature is for {name} {signed}, not for {expected}"
            for name, signed, expected in pairs
            if expected is not None and signed != expected
        )


def parse(text: str, *, where: str | None = None) -> Trusted:
    """Read the comment; every field once, in its place, in its one spelling.

    Raises:
        SignatureError: It is not the comment of a release.
    """
    words = text.split(" ")
    if len(words) != len(_FIELDS):
        msg = f"the trusted comment has {len(words)} fields instead of {len(_FIELDS)}"
        raise SignatureError(msg, where=where, hint=_HINT)
    values: list[str] = []
    for word, prefix, (name, pattern) in zip(words, _PREFIXES, _FIELDS, strict=True):
        if not word.startswith(prefix):
            msg = f"the trusted comment has no '{prefix}' where it belongs"
            raise SignatureError(msg, where=where, hint=_HINT)
        values.append(_check(name, pattern, word.removeprefix(prefix), where=where))
    repo, tag, commit, manifest_sha256, file, time = values
    return Trusted(repo=repo, tag=tag, commit=commit, manifest_sha256=manifest_sha256, file=file, epoch=int(time))


def _check(name: str, pattern: re.Pattern[str], word: str, *, where: str | None, hint: str = _HINT) -> str:
    if not pattern.fullmatch(word) or (name == "tag" and _TAG_NEVER.search(word)):
        msg = f"the trusted comment's {name.replace('_', ' ')} does not have its form"
        raise SignatureError(msg, where=where, hint=hint)
    return word
