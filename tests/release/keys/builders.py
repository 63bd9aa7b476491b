"""Keys and signatures for the tests: fixed, so that every byte made with them is known."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator

from release.errors import KeyFileError
from release.keys.keyfile import SecretKey

KEY = SecretKey(key_id=bytes(range(8)), seed=bytes(32))
# One whose secret half is worth looking for in messages.
HIDDEN = SecretKey(key_id=b"12345678", seed=hashlib.sha256(b"a seed to look for").digest())
OTHER = SecretKey(key_id=bytes(range(8, 16)), seed=bytes([1]) * 32)
DATA = b"hello\n"
COMMENT = "repo=o/r tag=v1"
PASSWORD = "correct horse"


def other(number: int) -> SecretKey:
    """Give one of many more keys."""
    bits = random.Random(number)
    return SecretKey(key_id=bits.randbytes(8), seed=bits.randbytes(32))


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


def lines(
    data: bytes = DATA,
    *,
    key: SecretKey = KEY,
    trusted: bytes = b"T",
    untrusted: bytes = b"u",
    algorithm: bytes = b"ED",
) -> list[bytes]:
    """Make a signature's four lines by hand, sound or not, without the code under test."""
    signed = hashlib.blake2b(data).digest() if algorithm == b"ED" else data
    signature = key.sign(signed)
    return [
        b"untrusted comment: " + untrusted,
        b64(algorithm + key.key_id + signature),
        b"trusted comment: " + trusted,
        b64(key.sign(signature + trusted)),
    ]


def joined(parts: list[bytes], end: bytes = b"\n") -> bytes:
    return b"".join(part + end for part in parts)


def secret_bytes(  # noqa: PLR0913  the parts of the format
    *,
    algorithm: bytes = b"Ed",
    derivation: bytes = b"\0\0",
    check: bytes = b"B2",
    salt: bytes = bytes(32),
    opslimit: int = 0,
    memlimit: int = 0,
    key_id: bytes = bytes(range(8)),
    seed: bytes = bytes(32),
    public: bytes = KEY.public.raw,
    checksum: bytes = bytes(32),
) -> bytes:
    limits = opslimit.to_bytes(8, "little") + memlimit.to_bytes(8, "little")
    return algorithm + derivation + check + salt + limits + key_id + seed + public + checksum


def secret_text(data: bytes) -> str:
    return f"untrusted comment: minisign encrypted secret key\n{b64(data).decode()}\n"


def public_text(raw: bytes, *, algorithm: bytes = b"Ed") -> str:
    return b64(algorithm + bytes(8) + raw).decode()


def everything_said(error: BaseException) -> Iterator[str]:
    """Give all the text an exception and those behind it carry, shown or not."""
    seen: BaseException | None = error
    while seen is not None:
        yield repr(seen)
        yield repr(seen.args)
        yield repr(vars(seen))
        if isinstance(seen, UnicodeError):
            yield repr(getattr(seen, "object", ""))
        if isinstance(seen, OSError):
            yield repr(seen.filename)
        seen = seen.__cause__ or seen.__context__


def assert_says_nothing(error: KeyFileError, *secrets: str) -> None:
    """Hold an error to saying none of the secrets, nor a piece of one."""
    said = " ".join(everything_said(error))
    for secret in secrets:
        for start in range(max(len(secret) - 16, 1)):
            assert secret[start : start + 16] not in said
