"""The two kinds of line minisign's files are made of, read strictly: comments and base64 of a known size."""

from __future__ import annotations

__all__ = ["UNTRUSTED", "decode", "encode", "id_text", "is_printable_ascii", "printable"]

import base64
import binascii

UNTRUSTED = "untrusted comment: "


def encode(data: bytes) -> str:
    """Give standard base64, padded, on one line."""
    return base64.b64encode(data).decode("ascii")


def decode(text: str, size: int) -> bytes | None:
    """Give the bytes of canonical base64 of exactly ``size`` bytes, None for anything else.

    Python ignores the unused bits before the padding, so that several texts mean the same bytes: only the text that
    we would have written ourselves is taken.
    """
    if len(text) != (size + 2) // 3 * 4:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters beyond ASCII
        return None
    return data if len(data) == size and encode(data) == text else None


def id_text(key_id: bytes) -> str:
    """Give a key's number the way minisign prints it: the eight bytes as a little-endian number, in hex."""
    return f"{int.from_bytes(key_id, 'little'):016X}"


def is_printable_ascii(text: str) -> bool:
    """Tell whether all characters are printable ASCII, which every implementation of minisign reads alike."""
    return text.isascii() and text.isprintable()


def printable(text: str) -> bool:
    """Tell whether a comment made by others can be shown on a terminal: no control characters but the tab.

    The tab has to stay: minisign's own default comment separates its fields with it.
    """
    return all(char == "\t" or char.isprintable() for char in text)
