"""minisign signatures: Ed25519 over the BLAKE2b-512 digest of a file, with a comment that is signed too.

Only the prehashed kind (``ED``) is written or taken: the legacy kind needs the whole file in memory, and rsign2 and
``minisign -H`` refuse it. Reading follows minisign 0.11 and 0.12 and is never laxer; it is stricter in three things:
control characters in comments (they reach a terminal), base64 that another text could stand for, and bytes that are no
text behind the fourth line.
"""

from __future__ import annotations

__all__ = ["Signature", "read_signature", "sign_bytes", "sign_file", "verify_bytes", "verify_file"]

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from release.errors import SignatureError
from release.keys.encoding import UNTRUSTED, decode, encode, id_text, is_printable_ascii, printable
from release.keys.files import open_regular, read_small
from release.keys.keyfile import PublicKey, SecretKey

_TRUSTED = "trusted comment: "
_PREHASHED = b"ED"
_LEGACY = b"Ed"

# minisign reads its lines into buffers of these sizes, line break and end included.
_UNTRUSTED_LIMIT = 1024
_TRUSTED_LIMIT = 8192
# The same for the two lines of base64: the text and room for CR and LF.
_HEAD_SIZE = 74
_SIGNATURE_SIZE = 64

_FILE_LIMIT = 64 * 1024
_FETCH = "download the .minisig file again"
_UNTRUSTED_DEFAULT = "signature of a llamatrix release"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The four lines of a signature, read and not yet checked."""

    key_id: bytes
    signature: bytes
    trusted: str
    global_signature: bytes
    where: str | None

    @classmethod
    def parse(cls, text: str, *, where: str | None = None) -> Self:
        """Read a signature file's text; what follows the fourth line is ignored, as minisign does.

        Raises:
            SignatureError: It is not a prehashed minisign signature.
        """
        lines = text.split("\n", 4)
        if len(lines) < 4:  # noqa: PLR2004  the format's lines
            msg = f"this is not a minisign signature: it has {len(lines)} of 4 lines"
            raise SignatureError(msg, where=where, hint=_FETCH)
        # Each of the first three lines ended in the LF that split took away.
        _comment(lines[0] + "\n", UNTRUSTED, _UNTRUSTED_LIMIT, where=where)
        head = _base64(lines[1] + "\n", _HEAD_SIZE, 2, where=where)
        trusted = _comment(lines[2] + "\n", _TRUSTED, _TRUSTED_LIMIT, where=where)
        ending = "\n" if len(lines) > 4 else ""  # noqa: PLR2004  the same
        global_signature = _base64(lines[3] + ending, _SIGNATURE_SIZE, 4, where=where)
        if head[:2] == _LEGACY:
            msg = "this is a signature of minisign's legacy kind, which is not accepted"
            raise SignatureError(msg, where=where, hint="releases carry the prehashed kind: minisign -S -H makes it")
        if head[:2] != _PREHASHED:
            msg = "this signature is for another algorithm than minisign's"
            raise SignatureError(msg, where=where, hint=_FETCH)
        return cls(
            key_id=head[2:10],
            signature=head[10:],
            trusted=trusted,
            global_signature=global_signature,
            where=where,
        )

    def check(self, digest: Callable[[], bytes], key: PublicKey) -> str:
        """Check the key's number, then the signature, then the trusted comment's; give the trusted comment.

        Args:
            digest: Gives the BLAKE2b-512 digest; not called when the number alone shows that the key is another one.
            key: The key that must have signed.

        Raises:
            SignatureError: One of the three does not fit.
        """
        if self.key_id != key.key_id:
            msg = f"signed by key {id_text(self.key_id)}, not by {key.id_text}"
            hint = "if the project's key was rotated, take the new one from its repository and check its statement"
            raise SignatureError(msg, where=self.where, hint=hint)
        if not _good(key, digest(), self.signature):
            msg = f"the signature does not fit: the file is not the one that key {key.id_text} signed"
            raise SignatureError(msg, where=self.where, hint="do not use the file; download it again")
        if not _good(key, self.signature + self.trusted.encode(), self.global_signature):
            msg = "the trusted comment was changed after signing"
            raise SignatureError(msg, where=self.where, hint=_FETCH)
        return self.trusted


def sign_file(path: Path, key: SecretKey, *, trusted: str, untrusted: str = _UNTRUSTED_DEFAULT) -> str:
    """Give the text of the file's ``.minisig``; the file is read once and never held in memory.

    Args:
        path: The file.
        key: The key.
        trusted: The comment that is signed: printable ASCII without blanks at its ends.
        untrusted: The comment that is not.

    Raises:
        SignatureError: The file cannot be read, or a comment could not be read back by every implementation.
    """
    return _sign(lambda: _file_digest(path), key, trusted=trusted, untrusted=untrusted)


def sign_bytes(data: bytes, key: SecretKey, *, trusted: str, untrusted: str = _UNTRUSTED_DEFAULT) -> str:
    """Do the same for bytes at hand.

    Raises:
        SignatureError: A comment could not be read back by every implementation.
    """
    return _sign(lambda: hashlib.blake2b(data).digest(), key, trusted=trusted, untrusted=untrusted)


def verify_file(path: Path, signature_text: str, public_key: PublicKey) -> str:
    """Give the trusted comment of a signature that is good; anything else is an error.

    Args:
        path: The signed file; it is read once and never held in memory.
        signature_text: The text of its signature, from ``read_signature``.
        public_key: The key that must have signed.

    Raises:
        SignatureError: The text is no signature, is another key's, or does not fit the file or its own comment.
    """
    signature = Signature.parse(signature_text, where=f"{path}.minisig")
    return signature.check(lambda: _file_digest(path), public_key)


def verify_bytes(data: bytes, signature_text: str, public_key: PublicKey, *, where: str | None = None) -> str:
    """Do the same for bytes at hand.

    Raises:
        SignatureError: See ``verify_file``.
    """
    return Signature.parse(signature_text, where=where).check(lambda: hashlib.blake2b(data).digest(), public_key)


def read_signature(path: Path) -> str:
    """Read a ``.minisig`` file: text as it is, without Python's translation of line ends.

    Translated, a file of lone CRs would become lines that minisign does not see.

    Raises:
        SignatureError: It cannot be read, is too large, or is not text.
    """
    try:
        with open_regular(path) as source:
            data = read_small(source, _FILE_LIMIT)
    except OSError as error:
        msg = f"the signature cannot be read: {error.strerror}"
        raise SignatureError(msg, where=str(path), hint=_FETCH) from error
    if data is None:
        msg = f"this is not a minisign signature: it is larger than {_FILE_LIMIT} bytes"
        raise SignatureError(msg, where=str(path), hint=_FETCH)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        msg = "this is not a minisign signature: it is not text"
        raise SignatureError(msg, where=str(path), hint=_FETCH) from error


def _sign(digest: Callable[[], bytes], key: SecretKey, *, trusted: str, untrusted: str) -> str:
    _check_written(trusted, _TRUSTED, _TRUSTED_LIMIT)
    _check_written(untrusted, UNTRUSTED, _UNTRUSTED_LIMIT)
    signature = key.sign(digest())
    return (
        f"{UNTRUSTED}{untrusted}\n{encode(_PREHASHED + key.key_id + signature)}\n"
        f"{_TRUSTED}{trusted}\n{encode(key.sign(signature + trusted.encode()))}\n"
    )


def _check_written(comment: str, prefix: str, limit: int) -> None:
    """Refuse what another implementation reads differently: rsign2 strips blanks at the end, so the signature fails."""
    what = prefix.removesuffix(": ")
    if not comment or not is_printable_ascii(comment) or comment != comment.strip():
        msg = f"the {what} is not printable ASCII without blanks at its ends"
        raise SignatureError(msg, hint="shorten it to plain characters")
    most = limit - 2 - len(prefix)
    if len(comment) > most:
        msg = f"the {what} has {len(comment)} characters, and minisign reads {most}"
        raise SignatureError(msg, hint="shorten it")


def _comment(line: str, prefix: str, limit: int, *, where: str | None) -> str:
    what = prefix.removesuffix(": ")
    try:
        size = len(line.encode())
    except UnicodeEncodeError:
        size = limit
    if size >= limit:
        msg = f"this is not a minisign signature: its {what} is too long or not text"
        raise SignatureError(msg, where=where, hint=_FETCH)
    if not line.startswith(prefix):
        msg = f"this is not a minisign signature: there is no '{what}' where it belongs"
        raise SignatureError(msg, where=where, hint=_FETCH)
    comment = line.removeprefix(prefix).rstrip("\r\n")
    if not printable(comment):
        msg = f"the {what} holds control characters"
        raise SignatureError(msg, where=where, hint="no release of ours has them: do not use the file")
    return comment


def _base64(line: str, size: int, number: int, *, where: str | None) -> bytes:
    # Two bytes more than the base64, CR and LF, are what minisign's buffer has room for.
    fits = len(line) <= (size + 2) // 3 * 4 + 2
    data = decode(line.rstrip("\r\n"), size) if fits else None
    if data is None:
        msg = f"this is not a minisign signature: line {number} is not {size} bytes in base64"
        raise SignatureError(msg, where=where, hint=_FETCH)
    return data


def _good(key: PublicKey, data: bytes, signature: bytes) -> bool:
    try:
        key.verify(data, signature)
    except SignatureError:
        return False
    return True


def _file_digest(path: Path) -> bytes:
    try:
        with open_regular(path) as source:
            return hashlib.file_digest(source, "blake2b").digest()
    except OSError as error:
        msg = f"the file cannot be read: {error.strerror}"
        raise SignatureError(msg, where=str(path)) from error
