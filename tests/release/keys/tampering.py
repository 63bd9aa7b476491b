"""What signatures look like that are wrong, odd or merely unusual; each reader is held to the same tables."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from release.keys.keyfile import PublicKey
from tests.release.keys.builders import DATA, KEY, OTHER, b64, joined, lines

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file, its signature and the key to check with. ``says`` is a part of our message."""

    name: str
    signature: bytes
    says: str = ""
    data: bytes = DATA
    key: PublicKey = KEY.public


def _changed(line: int, at: int, change: Callable[[bytearray], None] | None = None) -> bytes:
    """Flip one bit of a decoded line, or change it as told."""
    parts = lines()
    raw = bytearray(base64.b64decode(parts[line]))
    if change is None:
        raw[at] ^= 1
    else:
        change(raw)
    parts[line] = b64(bytes(raw))
    return joined(parts)


def _with_line(number: int, content: bytes) -> bytes:
    parts = lines()
    parts[number] = content
    return joined(parts)


def _unused_bits(line: int) -> bytes:
    """Set a bit that base64 has before its padding and that no decoder looks at."""
    parts = lines()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = parts[line].rstrip(b"=")
    swapped = alphabet[alphabet.index(body[-1]) + 1]
    parts[line] = body[:-1] + bytes([swapped]) + parts[line][len(body) :]
    return joined(parts)


def _raise_s(raw: bytearray) -> None:
    """Add the group's order to S: the same signature to a verifier that does not look."""
    s = int.from_bytes(raw[-32:], "little") + GROUP_ORDER
    raw[-32:] = s.to_bytes(32, "little")


def _mixed(first: list[bytes], second: list[bytes], *from_second: int) -> bytes:
    return joined([(second if number in from_second else first)[number] for number in range(4)])


def _alike(raw: bytes) -> PublicKey:
    return PublicKey(key_id=KEY.key_id, raw=raw)


GOOD = joined(lines())
_FIT = "does not fit"
_CHANGED = "changed after signing"
_NOT = "not a minisign signature"

REFUSED: tuple[Case, ...] = (
    # the file
    Case(name="a byte of the file changed", data=b"hallo\n", signature=GOOD, says=_FIT),
    Case(name="the file emptied", data=b"", signature=GOOD, says=_FIT),
    Case(name="the file cut", data=DATA[:-1], signature=GOOD, says=_FIT),
    Case(name="the file grown", data=DATA + b"\n", signature=GOOD, says=_FIT),
    Case(name="another file's signature", signature=joined(lines(b"other")), says=_FIT),
    # the comments
    Case(name="trusted comment changed", signature=_with_line(2, b"trusted comment: t"), says=_CHANGED),
    Case(name="trusted comment with a blank more", signature=_with_line(2, b"trusted comment: T "), says=_CHANGED),
    Case(name="trusted comment emptied", signature=_with_line(2, b"trusted comment: "), says=_CHANGED),
    Case(
        name="trusted comment and its signature of another file",
        signature=_mixed(lines(), lines(b"other", trusted=b"T2"), 2, 3),
        says=_CHANGED,
    ),
    # the key
    Case(name="key number in the signature changed", signature=_changed(1, 2), says="not by 0706050403020100"),
    Case(name="another key", signature=GOOD, key=OTHER.public, says="signed by key 0706050403020100"),
    Case(name="another key with the same number", signature=GOOD, key=_alike(OTHER.public.raw), says=_FIT),
    Case(name="a key that is no point", signature=GOOD, key=_alike(b"\x02" + bytes(31)), says=_FIT),
    # the signatures
    Case(name="first half of the signature changed", signature=_changed(1, 10), says=_FIT),
    Case(name="second half of the signature changed", signature=_changed(1, 73), says=_FIT),
    Case(name="comment's signature changed", signature=_changed(3, 0), says=_CHANGED),
    Case(name="S raised by the group's order", signature=_changed(1, 0, _raise_s), says=_FIT),
    Case(name="comment's S raised by the group's order", signature=_changed(3, 0, _raise_s), says=_CHANGED),
    Case(name="all zero", signature=_with_line(1, b64(b"ED" + KEY.key_id + bytes(64))), says=_FIT),
    Case(
        name="signed without the prehash", signature=_changed(1, 0, lambda raw: raw.__setitem__(1, 0x64)), says="legacy"
    ),
    Case(name="unknown algorithm", signature=_with_line(1, b64(b"XX" + bytes(72))), says="another algorithm"),
    # the form
    Case(name="empty", signature=b"", says="1 of 4 lines"),
    Case(name="one line", signature=joined(lines()[:1]), says=_NOT),
    Case(name="two lines", signature=joined(lines()[:2]), says=_NOT),
    Case(name="three lines", signature=joined(lines()[:3]), says=_NOT),
    Case(
        name="lines swapped", signature=joined([lines()[number] for number in (2, 3, 0, 1)]), says="untrusted comment"
    ),
    Case(name="a blank line first", signature=b"\n" + GOOD, says="untrusted comment"),
    Case(name="a byte order mark", signature=b"\xef\xbb\xbf" + GOOD, says="untrusted comment"),
    Case(name="no untrusted comment", signature=_with_line(0, b"comment: u"), says="untrusted comment"),
    Case(name="untrusted comment misspelt", signature=_with_line(0, b"Untrusted comment: u"), says="untrusted comment"),
    Case(name="untrusted comment without its blank", signature=_with_line(0, b"untrusted comment:"), says="untrusted"),
    Case(
        name="trusted comment without its blank", signature=_with_line(2, b"trusted comment:T"), says="trusted comment"
    ),
    Case(name="lines end in CR", signature=joined(lines(), b"\r"), says=_NOT),
    Case(name="lines end in CR CR LF", signature=joined(lines(), b"\r\r\n"), says=_NOT),
    Case(name="CR inside the trusted comment", signature=joined(lines(trusted=b"a\rb")), says="control characters"),
    Case(name="untrusted comment of 1004", signature=joined(lines(untrusted=b"u" * 1004)), says="too long"),
    Case(name="the same with CRLF", signature=joined(lines(untrusted=b"u" * 1003), b"\r\n"), says="too long"),
    Case(name="trusted comment of 8174", signature=joined(lines(trusted=b"u" * 8174)), says="too long"),
    Case(name="the same with CRLF, trusted", signature=joined(lines(trusted=b"u" * 8173), b"\r\n"), says="too long"),
    Case(name="NUL in the untrusted comment", signature=joined(lines(untrusted=b"a\0b")), says="control characters"),
    Case(name="NUL in the trusted comment", signature=GOOD.replace(b": T", b": T\0x"), says="control characters"),
    Case(name="base64 without padding, line 2", signature=_with_line(1, lines()[1].rstrip(b"=")), says="line 2"),
    Case(name="base64 without padding, line 4", signature=_with_line(3, lines()[3].rstrip(b"=")), says="line 4"),
    Case(name="base64 after a blank, line 2", signature=_with_line(1, b" " + lines()[1]), says="line 2"),
    Case(name="base64 before a blank, line 4", signature=_with_line(3, lines()[3] + b" "), says="line 4"),
    Case(
        name="base64 for URLs",
        signature=_with_line(1, lines()[1].translate(bytes.maketrans(b"+/", b"-_"))),
        says="line 2",
    ),
    Case(name="signature cut", signature=_with_line(1, b64(b"ED" + KEY.key_id + bytes(63))), says="line 2"),
    Case(name="signature too long", signature=_with_line(1, b64(b"ED" + KEY.key_id + bytes(65))), says="line 2"),
    Case(name="no base64", signature=_with_line(1, b"?" * 100), says="line 2"),
    Case(name="the public key in its place", signature=KEY.public.file_text().encode(), says=_NOT),
)

# minisign takes these and we do not; why is in the module's head.
STRICTER: tuple[Case, ...] = (
    Case(name="legacy", signature=joined(lines(algorithm=b"Ed")), says="legacy"),
    Case(
        name="escape in the trusted comment", signature=joined(lines(trusted=b"a\x1b[31mb")), says="control characters"
    ),
    Case(
        name="escape in the untrusted comment",
        signature=joined(lines(untrusted=b"\x1b[31m")),
        says="control characters",
    ),
    Case(name="C1 control", signature=joined(lines(trusted="a\x85b".encode())), says="control characters"),
    Case(name="line separator", signature=joined(lines(trusted="a\u2028b".encode())), says="control characters"),
    Case(name="trusted comment not UTF-8", signature=joined(lines(trusted=b"\xfc")), says="not text"),
    Case(name="unused bits of base64, line 2", signature=_unused_bits(1), says="line 2"),
    Case(name="unused bits of base64, line 4", signature=_unused_bits(3), says="line 4"),
    Case(name="fourth line ends in CR CR LF", signature=GOOD[:-1] + b"\r\r\n", says="line 4"),
    Case(name="binary junk at the end", signature=GOOD + b"\xff\0", says="not text"),
)

ACCEPTED: tuple[Case, ...] = (
    Case(name="plain", signature=GOOD),
    Case(name="CRLF", signature=joined(lines(), b"\r\n")),
    Case(name="no line end at the end", signature=GOOD[:-1]),
    Case(name="junk at the end", signature=GOOD + b"junk\n" * 3),
    Case(name="a tab, as in minisign's own comment", signature=joined(lines(trusted=b"timestamp:1\tfile:F\thashed"))),
    Case(name="UTF-8 trusted comment", signature=joined(lines(trusted="\u00fcn\u00ef".encode()))),
    Case(name="UTF-8 untrusted comment", signature=joined(lines(untrusted="\u00fc".encode()))),
    Case(name="a blank at the end", signature=joined(lines(trusted=b"ab "))),
    Case(name="empty trusted comment", signature=joined(lines(trusted=b""))),
    Case(name="empty untrusted comment", signature=joined(lines(untrusted=b""))),
    Case(name="untrusted comment of 1003", signature=joined(lines(untrusted=b"u" * 1003))),
    Case(name="untrusted comment of 1002 with CRLF", signature=joined(lines(untrusted=b"u" * 1002), b"\r\n")),
    Case(name="trusted comment of 8173", signature=joined(lines(trusted=b"u" * 8173))),
    Case(name="trusted comment of 8172 with CRLF", signature=joined(lines(trusted=b"u" * 8172), b"\r\n")),
    Case(name="an empty file", data=b"", signature=joined(lines(b""))),
    Case(name="untrusted comment changed", signature=_with_line(0, b"untrusted comment: anything")),
)


def name_of(case: Case) -> str:
    return case.name.replace(" ", "-")
