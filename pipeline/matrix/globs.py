"""Globs over cell ids: three parts, ``*`` and ``?`` that never cross ``/``, ``{a,b}`` choices and ``[...]`` classes.

The regular expressions made here cannot run away: choices are expanded up to a cap, and every ``*`` but the last is
matched in an atomic group, which is exact for globs and leaves nothing to backtrack into.
"""

from __future__ import annotations

__all__ = ["MAX_CHOICES", "MAX_LENGTH", "PARTS", "compile_glob", "compile_parts"]

import re
from functools import lru_cache

PARTS = ("project", "platform", "variant")
MAX_CHOICES = 256
MAX_LENGTH = 500
_MAX_NESTING = 10

_STAR = "*"
Tokens = tuple[str, ...]
"""One expanded choice of a part: regular expressions of one character each, or ``*``."""


@lru_cache(maxsize=4096)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """Turn a glob into a regular expression that matches whole cell ids.

    Raises:
        ValueError: no cell id can match it; the message says why.
    """
    return re.compile("/".join(_parse(pattern)) + r"\Z")


@lru_cache(maxsize=4096)
def compile_parts(pattern: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Turn a glob into one regular expression each for project, platform and variant.

    Raises:
        ValueError: no cell id can match it; the message says why.
    """
    project, platform, variant = (re.compile(part) for part in _parse(pattern))
    return project, platform, variant


def _parse(pattern: str) -> list[str]:
    if not pattern:
        msg = "it is empty"
        raise ValueError(msg)
    if len(pattern) > MAX_LENGTH:
        msg = f"it is longer than {MAX_LENGTH} characters"
        raise ValueError(msg)
    if pattern.startswith("/"):
        msg = "it starts with '/'; a cell id is project/platform/variant"
        raise ValueError(msg)
    parts = _Parser(pattern).parts()
    if len(parts) != len(PARTS):
        count = f"{len(parts)} part{'s' if len(parts) != 1 else ''}"
        msg = f"it has {count}, a cell id has three: project/platform/variant"
        raise ValueError(msg)
    for name, part in zip(PARTS, parts, strict=True):
        if any(not tokens for tokens in part):
            msg = f"its {name} can be empty"
            raise ValueError(msg)
    return [_part_expression(part) for part in parts]


def _part_expression(choices: list[Tokens]) -> str:
    # Atomic: a choice that reaches the end of its part has consumed all of it, so another one could not do better.
    return f"(?>(?:{'|'.join(_choice_expression(tokens) for tokens in choices)})(?=/|\\Z))"


def _choice_expression(tokens: Tokens) -> str:
    chunks = [""]
    for token in tokens:
        if token == _STAR:
            chunks.append("")
        else:
            chunks[-1] += token
    if len(chunks) == 1:
        return chunks[0]
    first, *middle, last = chunks
    return first + "".join(f"(?>[^/]*?{chunk})" for chunk in middle if chunk) + f"[^/]*{last}"


class _Parser:
    """Reads one glob from left to right, expanding choices as it goes."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def parts(self) -> list[list[Tokens]]:
        parts = [self._sequence(0)]
        while self._at < len(self._pattern):
            self._at += 1  # the sequence ended at a '/'
            parts.append(self._sequence(0))
        return parts

    def _sequence(self, nesting: int) -> list[Tokens]:
        """Read up to the end of a part, or of a choice inside braces; the character that ended it is not consumed."""
        choices: list[Tokens] = [()]
        while self._at < len(self._pattern):
            character = self._pattern[self._at]
            if character == "/":
                if nesting:
                    msg = "a '/' stands inside braces"
                    raise ValueError(msg)
                break
            if nesting and character in ",}":
                break
            self._at += 1
            if character == "{":
                choices = self._product(choices, self._braces(nesting + 1))
            else:
                token = self._token(character)
                choices = [(*choice, token) for choice in choices]
        return choices

    def _product(self, left: list[Tokens], right: list[Tokens]) -> list[Tokens]:
        self._cap(len(left) * len(right))
        return list(dict.fromkeys(one + other for one in left for other in right))

    def _cap(self, count: int) -> None:
        if count > MAX_CHOICES:
            msg = f"its braces make more than {MAX_CHOICES} choices"
            raise ValueError(msg)

    def _braces(self, nesting: int) -> list[Tokens]:
        if nesting > _MAX_NESTING:
            msg = f"its braces are nested more than {_MAX_NESTING} deep"
            raise ValueError(msg)
        choices: list[Tokens] = []
        while True:
            choices += self._sequence(nesting)
            self._cap(len(choices))
            if self._at == len(self._pattern):
                msg = "a '{' is not closed"
                raise ValueError(msg)
            self._at += 1
            if self._pattern[self._at - 1] == "}":
                break
        if choices == [()]:
            msg = "a pair of braces is empty"
            raise ValueError(msg)
        return choices

    def _token(self, character: str) -> str:
        if character == "[":
            return self._class()
        if character == "?":
            return "[^/]"
        if character == "*":
            if self._pattern.startswith("*", self._at):
                msg = "'**' has no meaning here: a '*' stays within its part, and a cell id always has three parts"
                raise ValueError(msg)
            return _STAR
        reasons = {
            "}": "a '}' has no '{' before it",
            "]": "a ']' has no '[' before it",
            ",": "a ',' stands outside braces; write {a,b}",
            "\\": "'\\' has no meaning here; cell ids use '/'",
        }
        if character in reasons:
            raise ValueError(reasons[character])
        return re.escape(character)

    def _class(self) -> str:
        end = self._pattern.find("]", self._at)
        if end < 0:
            msg = "a '[' is not closed"
            raise ValueError(msg)
        content = self._pattern[self._at : end]
        negated = content[:1] in {"!", "^"}
        members = content[1:] if negated else content
        self._at = end + 1
        if not members:
            msg = "a pair of brackets is empty"
            raise ValueError(msg)
        if "/" in members or "[" in members or "\\" in members:
            msg = "brackets may hold letters, digits and ranges such as a-z only"
            raise ValueError(msg)
        pieces, index = [], 0
        while index < len(members):
            if members[index + 1 : index + 2] == "-" and index + 2 < len(members):
                low, high = members[index], members[index + 2]
                if low > high:
                    msg = f"the range {low}-{high} runs backwards"
                    raise ValueError(msg)
                pieces.append(f"{re.escape(low)}-{re.escape(high)}")
                index += 3
            else:
                pieces.append(re.escape(members[index]))
                index += 1
        # A range such as '+-9' spans '/', which must never match.
        return f"(?!/)[{'^' if negated else ''}{''.join(pieces)}]"
