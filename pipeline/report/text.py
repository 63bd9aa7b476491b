"""Words for people: sizes, times, and text made harmless before it reaches a screen or a page.

Build output is hostile until cleaned: it may hold escape sequences that move a cursor, direction marks that
reorder a line, or bytes that are no text. ``clean`` leaves one line in which all of that is visible or gone.
"""

from __future__ import annotations

__all__ = [
    "ASCII",
    "UNICODE",
    "Glyphs",
    "charset_of",
    "clean",
    "count",
    "fits",
    "pad",
    "seconds_text",
    "shorten",
    "size_text",
    "wrap",
]

import re
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_SPACES = re.compile(r"[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_PLAINER = str.maketrans({"…": "..", "–": "-", "—": "-", "·": "|", "━": "#", "─": "-"})  # noqa: RUF001 - see UNICODE
_KILO = 1000
_MINUTE = 60
_HOUR = 3600
_TENTHS_BELOW = 10
_BYTE_MAX = 0xFF
_BMP_MAX = 0xFFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class Glyphs:
    """The few signs beyond letters that a terminal shows."""

    full: str
    empty: str
    ellipsis: str
    dash: str
    dot: str
    rule: str


UNICODE = Glyphs(full="━", empty="─", ellipsis="…", dash="–", dot="·", rule="─")  # noqa: RUF001 - an en dash on purpose
ASCII = Glyphs(full="#", empty="-", ellipsis="..", dash="-", dot="|", rule="-")


def charset_of(encoding: str | None) -> Glyphs:
    """Choose the signs an output encoding can show."""
    try:
        "━─…–·".encode(encoding or "ascii")  # noqa: RUF001 - see UNICODE
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return UNICODE


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= _BYTE_MAX:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _BMP_MAX else f"\\U{code:08x}"


def clean(text: str, limit: int | None = None) -> str:
    """Make one harmless line: colours go, line breaks become spaces, invisible characters become visible escapes.

    Longer text than ``limit`` characters is cut and says so with an ellipsis.
    """
    if limit is not None and len(text) > 2 * limit:
        text = text[: 2 * limit]  # a line of a hundred megabytes is not looked at to its end
    if not text.isprintable() or not text.isascii():
        text = _SPACES.sub(" ", _ESCAPES.sub("", text))
        text = _UNSAFE.sub(_visible, text)
    text = text.strip(" ")
    if limit is not None and len(text) > limit:
        text = text[: limit - 1].rstrip() + "…"
    return text


def fits(text: str, encoding: str | None) -> str:
    """Replace what ``encoding`` cannot carry by escapes, so that writing never fails."""
    if charset_of(encoding) is ASCII:
        text = text.translate(_PLAINER)
    try:
        name = encoding or "ascii"
        return text.encode(name, "backslashreplace").decode(name)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


def shorten(text: str, width: int, *, ellipsis: str = "…", middle: bool = False) -> str:
    """Cut to ``width`` terminal columns; ``middle`` keeps both ends, as an id needs them."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(ellipsis)
    if room <= 0:
        return set_cell_size(text, max(width, 0)).rstrip()
    if not middle:
        return set_cell_size(text, room).rstrip() + ellipsis
    tail = room // 2
    head = set_cell_size(text, room - tail).rstrip()
    rest = text[-tail:] if tail else ""
    while cell_len(rest) > tail:
        rest = rest[1:]
    return head + ellipsis + rest


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill to ``width`` terminal columns; ``right`` moves the text to the right edge."""
    space = " " * max(0, width - cell_len(text))
    return space + text if right else text + space


def wrap(text: str, width: int) -> tuple[str, ...]:
    """Break at spaces into lines of at most ``width`` columns; a longer word is cut, nothing is lost."""
    width = max(width, 1)
    lines: list[str] = []
    line = ""
    for word in text.split():
        rest = word
        if line and cell_len(line) + 1 + cell_len(rest) <= width:
            line = f"{line} {rest}"
            continue
        if line:
            lines.append(line)
        while cell_len(rest) > width and len(rest) > 1:
            head = max(1, len(set_cell_size(rest, width).rstrip(" ")))
            lines.append(rest[:head])
            rest = rest[head:]
        line = rest
    return (*lines, line) if line or not lines else tuple(lines)


def size_text(size: int | None) -> str:
    """Give ``24.9 MB``, in the decimal units matrix.yaml and GitHub use; nothing for None."""
    if size is None:
        return ""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if abs(value) < _KILO - 0.05:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KILO
    return f"{value:.2f} GB"


def seconds_text(seconds: float | None) -> str:
    """Give ``0.4s``, ``53s``, ``8m53s`` or ``1h02m``; nothing for None."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)
    if seconds < _TENTHS_BELOW - 0.05:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02d}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}m"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Give ``1 cell`` or ``2,000 cells``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
