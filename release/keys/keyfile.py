"""minisign's two key files: the public key, and the secret key, plain or behind a password.

The secret key's layout is 158 bytes: ``Ed``, key derivation (``Sc`` or zeros), ``B2``, salt 32, two limits of eight
bytes little-endian, then key number 8, seed 32, public key 32 and checksum 32, xor scrypt's stream if there is one.
"""

from __future__ import annotations

__all__ = ["PublicKey", "SecretKey", "StoredKey", "load_secret", "parse_secret"]

import contextlib
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import NoReturn, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from release.errors import KeyFileError, SignatureError
from release.keys import scrypt
from release.keys.encoding import UNTRUSTED, decode, encode, id_text

_ALGORITHM = b"Ed"
_SCRYPT = b"Sc"
_PLAIN = b"\0\0"
_CHECKSUM = b"B2"

_PUBLIC_SIZE = 42
_SECRET_SIZE = 158
_SALT = 32
_CORE = 104
_PASSWORD_LIMIT = 1023
"""minisign reads a password into 1024 bytes, one of which is the end."""

_PRIME = 2**255 - 19
# Points of order 1, 2, 4 and 8, by their y: a "public key" that is one of them has signatures that fit every text.
# OpenSSL takes them, libsodium (and so minisign) refuses them.
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _PRIME - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """A public key: eight bytes of number, 32 bytes of Ed25519."""

    key_id: bytes
    raw: bytes

    @classmethod
    def parse(cls, text: str, *, where: str | None = None) -> Self:
        """Read the one-line form that ``minisign -P`` takes, or the text of a ``minisign.pub``.

        Raises:
            KeyFileError: It is neither, or a key that no signature may be checked with.
        """
        data = decode(_payload(text, where=where, what="public"), _PUBLIC_SIZE)
        if data is None:
            msg = "this is not a minisign public key"
            hint = "a public key is one line of 56 characters that starts with RW; an untrusted comment may precede it"
            if decode(_payload(text, where=where, what="public"), _SECRET_SIZE) is not None:
                hint = (
                    "this is a SECRET key: if it was shown to anyone, make a new one; the public key is in another file"
                )
            raise KeyFileError(msg, where=where, hint=hint)
        if data[:2] != _ALGORITHM:
            msg = "this public key is for another algorithm than Ed25519"
            raise KeyFileError(msg, where=where, hint="make one with: python -m release keygen")
        key = cls(key_id=data[2:10], raw=data[10:])
        y = int.from_bytes(key.raw, "little") & ~(1 << 255)
        if y >= _PRIME or y in _SMALL_ORDER:
            msg = "this public key is a trap: signatures that fit everything can be made for it"
            raise KeyFileError(msg, where=where, hint="take the public key from the project's own repository")
        return key

    @property
    def text(self) -> str:
        """The one-line form."""
        return encode(_ALGORITHM + self.key_id + self.raw)

    @property
    def id_text(self) -> str:
        """The key's number as minisign prints it: 16 hex digits."""
        return id_text(self.key_id)

    def file_text(self) -> str:
        """Give the content of a ``minisign.pub``."""
        return f"{UNTRUSTED}minisign public key {self.id_text}\n{self.text}\n"

    def verify(self, data: bytes, signature: bytes) -> None:
        """Check a raw Ed25519 signature; coming back means that it is good.

        Raises:
            SignatureError: It is not.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except InvalidSignature:
            msg = f"the signature was not made over these bytes by key {self.id_text}"
            raise SignatureError(msg) from None


class SecretKey:
    """A secret key, unlocked. It is never printed, copied into a message, compared by content or pickled."""

    __slots__ = ("_key", "public")

    public: PublicKey

    def __init__(self, *, key_id: bytes, seed: bytes) -> None:
        """Take the parts; the public key is always derived, so that the two cannot disagree."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(key_id=key_id, raw=self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(key_id=secrets.token_bytes(8), seed=secrets.token_bytes(32))

    @property
    def key_id(self) -> bytes:
        """The key's number, eight bytes."""
        return self.public.key_id

    def sign(self, data: bytes) -> bytes:
        """Give the raw Ed25519 signature, 64 bytes; the same bytes give the same signature."""
        return self._key.sign(data)

    def file_text(self, password: str | None = None, *, salt: bytes | None = None) -> str:
        """Give the content of a minisign secret key file: encrypted with the password, plain without one.

        Args:
            password: None for a plain file, which whoever reads it can sign with.
            salt: 32 random bytes; only tests fix them.

        Raises:
            KeyFileError: The password is one that minisign could not be given.
        """
        core = self.key_id + self._key.private_bytes_raw() + self.public.raw
        core += _checksum(core)
        if password is None:
            # minisign itself leaves the checksum zero here. rsign2 then takes the file for an encrypted one, and
            # nothing would notice a damaged key number; both read it with its checksum.
            data = _ALGORITHM + _PLAIN + _CHECKSUM + bytes(_SALT + 16) + core
            return f"{UNTRUSTED}minisign secret key\n{encode(data)}\n"
        salt = secrets.token_bytes(_SALT) if salt is None else salt
        limits = scrypt.OPSLIMIT.to_bytes(8, "little") + scrypt.MEMLIMIT.to_bytes(8, "little")
        mask = _mask(_encoded(password, where=None), salt, scrypt.cost(scrypt.OPSLIMIT, scrypt.MEMLIMIT), where=None)
        data = _ALGORITHM + _SCRYPT + _CHECKSUM + salt + limits + _xor(core, mask)
        return f"{UNTRUSTED}minisign encrypted secret key\n{encode(data)}\n"

    def __repr__(self) -> str:
        return f"<SecretKey {self.public.id_text}>"

    def __reduce__(self) -> NoReturn:
        msg = "a secret key is not pickled or copied"
        raise TypeError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """A secret key file as read: possibly still behind its password."""

    where: str | None
    salt: bytes = field(repr=False)
    cost: scrypt.Cost | None
    core: bytes = field(repr=False)

    @property
    def encrypted(self) -> bool:
        """Whether a password is needed."""
        return self.cost is not None

    def unlock(self, password: str | None) -> SecretKey:
        """Give the key.

        Args:
            password: Not looked at if the file is not encrypted.

        Raises:
            KeyFileError: A password is missing or wrong, or the file is damaged.
        """
        core = self.core
        if self.cost is not None:
            if not password:
                msg = "the secret key is encrypted, and no password was given"
                hint = "put it into LLAMATRIX_SIGNING_PASSWORD, or run this on a terminal, which asks for it"
                raise KeyFileError(msg, where=self.where, hint=hint)
            core = _xor(core, _mask(_encoded(password, where=self.where), self.salt, self.cost, where=self.where))
        body, checksum = core[:72], core[72:]
        # Without encryption minisign writes no checksum at all.
        unchecked = self.cost is None and checksum == bytes(32)
        if not unchecked and not hmac.compare_digest(checksum, _checksum(body)):
            if self.encrypted:
                msg = "wrong password, or the secret key is damaged"
                raise KeyFileError(msg, where=self.where, hint="try the password again; then the file's backup")
            msg = "the secret key is damaged: its checksum does not fit"
            raise KeyFileError(msg, where=self.where, hint="restore the file from its backup")
        key = SecretKey(key_id=body[:8], seed=body[8:40])
        # The one check that also holds for a file without a checksum. Signing with a foreign public half would give
        # the secret away.
        if key.public.raw != body[40:72]:
            msg = "the secret key is damaged: its public half does not belong to its secret half"
            raise KeyFileError(msg, where=self.where, hint="restore the file from its backup")
        return key


def parse_secret(source: str, *, where: str | None = None) -> StoredKey:
    """Read a secret key file's text (both lines, or only the second) without unlocking it.

    Raises:
        KeyFileError: It is no secret key, or asks for more memory or time than any honest one.
    """
    payload = _payload(source, where=where, what="secret")
    data = decode(payload, _SECRET_SIZE)
    if data is None:
        msg = "this is not a minisign secret key"
        hint = "a secret key is one line of 212 characters that starts with RW; an untrusted comment may precede it"
        if decode(payload, _PUBLIC_SIZE) is not None:
            hint = "this is a public key: the secret key is in another file"
        raise KeyFileError(msg, where=where, hint=hint)
    derivation = data[2:4]
    known = derivation in {_PLAIN, _SCRYPT}
    if data[:2] != _ALGORITHM or not known or data[4:6] != _CHECKSUM:
        msg = "this secret key uses algorithms that are not minisign's"
        raise KeyFileError(msg, where=where, hint="make one with: python -m release keygen")
    core = data[-_CORE:]
    if derivation == _PLAIN:
        return StoredKey(where=where, salt=b"", cost=None, core=core)
    salt = data[6:38]
    parameters = scrypt.cost(int.from_bytes(data[38:46], "little"), int.from_bytes(data[46:54], "little"))
    if not parameters.affordable:
        msg = (
            f"unlocking this secret key would take {parameters.memory / 2**20:.0f} MiB of memory and "
            f"{parameters.work / 2**23:.1f} times the work of minisign's default; that is more than any key needs"
        )
        raise KeyFileError(msg, where=where, hint="the file is damaged, or not minisign's")
    return StoredKey(where=where, salt=salt, cost=parameters, core=core)


def load_secret(source: str, password: str | None, *, where: str | None = None) -> SecretKey:
    """Read and unlock a secret key file's text.

    Raises:
        KeyFileError: It is no secret key, or the password is missing or wrong.
    """
    return parse_secret(source, where=where).unlock(password)


def _payload(text: str, *, where: str | None, what: str) -> str:
    """Give the line of base64 out of one or two lines."""
    lines = [line.rstrip("\r") for line in text.rstrip("\r\n").split("\n", 2)]
    if len(lines) == 1:
        return lines[0]
    if len(lines) > 2 or not lines[0].startswith(UNTRUSTED):  # noqa: PLR2004  the two lines of every key file
        msg = f"this is not a minisign {what} key"
        raise KeyFileError(msg, where=where, hint=f"the file has two lines: an '{UNTRUSTED.strip()}' and the key")
    return lines[1]


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(_ALGORITHM + body, digest_size=32).digest()


def _encoded(password: str, *, where: str | None) -> bytes:
    """Give the password's bytes, refusing what could not be typed into minisign."""
    try:
        # An environment variable that is not UTF-8 arrives in surrogates; this gives its own bytes back.
        data = password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = b""
    if not data or len(data) > _PASSWORD_LIMIT or any(byte in data for byte in (0, 10, 13)):
        msg = f"the password is not 1 to {_PASSWORD_LIMIT} bytes on one line"
        raise KeyFileError(msg, where=where, hint="minisign itself could not be given such a password")
    return data


def _mask(password: bytes, salt: bytes, parameters: scrypt.Cost, *, where: str | None) -> bytes:
    mask = None
    with contextlib.suppress(MemoryError):
        mask = scrypt.stream(password, salt, parameters, _CORE)
    if mask is None:
        msg = f"unlocking the secret key takes {parameters.memory / 2**20:.0f} MiB of memory, and there is not as much"
        raise KeyFileError(msg, where=where, hint="use a key made by python -m release keygen, which takes 16 MiB")
    return mask


def _xor(data: bytes, mask: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(data, mask, strict=True))
