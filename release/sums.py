"""SHA256SUMS: what ``sha256sum -c`` reads, written and read in exactly one form.

The real ``sha256sum`` accepts much more (BSD lines, escaped names, upper case, lines it only warns about). A signed
file that two readers understand differently is a hole, so a line is 64 lower-case hex digits, two blanks and a name.
"""

from __future__ import annotations

__all__ = ["MAX_SUMS_BYTES", "parse_sums", "write_sums"]

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from release.errors import SealError, VerifyError

MAX_SUMS_BYTES = 1 << 20
"""GitHub takes 1000 assets with names of at most 255 bytes: a third of this."""

# No leading dot or dash: "." and ".." are folders, and "-" is standard input to sha256sum.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LINE = re.compile(rf"({_DIGEST.pattern})  ({_NAME.pattern})", re.ASCII)
_PLACEHOLDER = "0" * 64
_SHOWN = 60
_MOST_PROBLEMS = 10


class _Summed(Protocol):
    """What is needed of an asset; ``release.model.Asset`` has it."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...


def write_sums(assets: Iterable[_Summed]) -> bytes:
    """Write the file: one line for each asset, sorted by name.

    Raises:
        SealError: There is no asset, or one has a name or digest that does not belong into the file.
    """
    digests: dict[str, str] = {}
    for asset in assets:
        problem = _problem_of(asset, digests)
        if problem is not None:
            raise SealError(problem, where=_shown(asset.name), hint="asset names are made by llamatrix: report this")
        digests[asset.name] = asset.sha256
    if not digests:
        msg = "there is nothing to sum up"
        raise SealError(msg, where="SHA256SUMS", hint="build a bundle first: nox -s build-matrix")
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode("ascii")


def parse_sums(data: bytes, *, where: str) -> Mapping[str, str]:
    """Read the file into name -> SHA-256; ``data`` may come from anybody.

    Raises:
        VerifyError: It is not exactly what ``write_sums`` writes; every wrong line is listed.
    """
    whole = _problem_of_whole(data)
    if whole is not None:
        raise _refused(where, [whole])
    digests: dict[str, str] = {}
    problems: list[str] = []
    previous = ""
    # Not splitlines(): that would also break at a form feed or a carriage return, and hide them.
    for number, line in enumerate(data[:-1].split(b"\n"), start=1):
        if len(problems) >= _MOST_PROBLEMS:
            problems.append("reading stopped here")
            break
        match = _LINE.fullmatch(line.decode("latin-1"))
        if match is None:
            problems.append(f"line {number} is no digest, two blanks and a name: {_shown(line.decode('latin-1'))}")
            continue
        digest, name = match.groups()
        if digest == _PLACEHOLDER:
            problems.append(f"line {number} gives {name} an all-zero digest, which is a placeholder")
        if name in digests:
            problems.append(f"line {number} names {name} a second time")
        elif name < previous:
            problems.append(f"line {number} is out of order: {name} after {previous}")
        digests[name] = digest
        previous = name
    if problems:
        raise _refused(where, problems)
    return MappingProxyType(digests)


def _problem_of(asset: _Summed, digests: Mapping[str, str]) -> str | None:
    if not _NAME.fullmatch(asset.name):
        return "the name holds something else than letters, digits, dots, dashes and underscores, or is too long"
    if not _DIGEST.fullmatch(asset.sha256):
        return f"{_shown(asset.sha256)} is no SHA-256 digest"
    if asset.sha256 == _PLACEHOLDER:
        return "an all-zero digest is a placeholder"
    if asset.name in digests:
        return "two assets have this name"
    return None


def _problem_of_whole(data: bytes) -> str | None:
    if len(data) > MAX_SUMS_BYTES:
        return f"it has {len(data)} bytes; at most {MAX_SUMS_BYTES} are read"
    if not data:
        return "it is empty"
    if not data.endswith(b"\n"):
        return "its last line does not end; it was cut off or edited"
    return None


def _refused(where: str, problems: list[str]) -> VerifyError:
    return VerifyError(problems, where=where, hint="take the file from the release again; it is never edited by hand")


def _shown(text: str) -> str:
    """Make hostile text safe to print: escaped, and no longer than a line."""
    escaped = ascii(text)
    return escaped if len(escaped) <= _SHOWN else f"{escaped[:_SHOWN]}..."
