"""Passing from one key to the next: a statement that names the new key, signed by the old one.

It helps only where the old key is still ours alone. A stolen key can sign such a statement as well as we can, so after
a theft users have to learn the new key by another way; see the threat model.
"""

from __future__ import annotations

__all__ = ["Rotation", "SignedRotation", "follow", "make_rotation", "read_rotation", "verify_rotation"]

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from release.errors import SignatureError
from release.keys.encoding import id_text
from release.keys.keyfile import PublicKey, SecretKey
from release.keys.minisign import sign_bytes, verify_bytes

_LIMIT = 16 * 1024
_LONGEST_CHAIN = 100
_REPO = r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}\Z"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HINT = "trust neither key before you have asked the project by another way"


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The statement, as it is written: indented JSON in this order of keys, and a line break."""

    format: Literal["llamatrix-rotation-1"] = "llamatrix-rotation-1"
    repo: Annotated[str, Meta(pattern=_REPO)]
    date: Annotated[str, Meta(max_length=10)]
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    old_id: Annotated[str, Meta(pattern=r"^[0-9A-F]{16}\Z")]
    new_id: Annotated[str, Meta(pattern=r"^[0-9A-F]{16}\Z")]
    new_public: Annotated[str, Meta(max_length=56)]

    @property
    def comment(self) -> str:
        """The trusted comment that goes with it, so that no other signed file can pass for a rotation."""
        return f"rotation repo={self.repo} old={self.old_id} new={self.new_id} date={self.date}"


class SignedRotation(NamedTuple):
    """A statement and its signature, as they were found."""

    statement: bytes
    signature: str


def make_rotation(old: SecretKey, new: PublicKey, *, repo: str, reason: str, day: date) -> SignedRotation:
    """Sign the passage from one key to another.

    Args:
        old: The key in use, which signs.
        new: The key that replaces it.
        repo: ``owner/name``.
        reason: For people: one line.
        day: The day from which the new key signs.

    Raises:
        SignatureError: The two keys are not two, or a field does not have its form.
    """
    rotation = Rotation(
        repo=repo,
        date=day.isoformat(),
        reason=reason,
        old_id=old.public.id_text,
        new_id=new.id_text,
        new_public=new.text,
    )
    statement = _encode(rotation)
    read_rotation(statement)  # what we would not take from others we do not write
    _check_distinct(old.public, new, where=None)
    signature = sign_bytes(statement, old, trusted=rotation.comment, untrusted="rotation of a llamatrix release key")
    return SignedRotation(statement=statement, signature=signature)


def read_rotation(statement: bytes, *, where: str | None = None) -> Rotation:
    """Read a statement without checking who signed it.

    Raises:
        SignatureError: It is not one, or is written in another way than ours.
    """
    if len(statement) > _LIMIT:
        msg = f"this is not a key rotation: it is larger than {_LIMIT} bytes"
        raise SignatureError(msg, where=where, hint=_HINT)
    try:
        rotation = msgspec.json.decode(statement, type=Rotation)
        day = date.fromisoformat(rotation.date) if _DATE.fullmatch(rotation.date) else None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        msg = f"this is not a key rotation: {error}"
        raise SignatureError(msg, where=where, hint=_HINT) from error
    if day is None or not rotation.reason.isprintable() or rotation.reason != rotation.reason.strip():
        msg = "this is not a key rotation: its date or its reason does not have its form"
        raise SignatureError(msg, where=where, hint="a date is written 2031-12-24, a reason on one line")
    # One spelling: no key twice, no other order, nothing that two readers could read in two ways.
    if _encode(rotation) != statement:
        msg = "this key rotation is not written the way llamatrix writes it"
        raise SignatureError(msg, where=where, hint=_HINT)
    return rotation


def verify_rotation(
    statement: bytes, signature: str, old: PublicKey, *, repo: str | None = None, where: str | None = None
) -> PublicKey:
    """Give the new key that the old one vouches for.

    Args:
        statement: The statement's bytes.
        signature: The text of its signature.
        old: The key that is trusted.
        repo: The repository it must be for; None takes any.
        where: What to name in errors.

    Raises:
        SignatureError: The signature is not the old key's, or the statement is not about this passage.
        KeyFileError: The new key is no usable key.
    """
    comment = verify_bytes(statement, signature, old, where=where)
    rotation = read_rotation(statement, where=where)
    new = PublicKey.parse(rotation.new_public, where=where)
    differences = [
        text
        for text, differs in (
            ("the trusted comment is another one's", comment != rotation.comment),
            (f"it is about old key {rotation.old_id}, not {old.id_text}", rotation.old_id != old.id_text),
            (f"it calls the new key {rotation.new_id}, which is {new.id_text}", rotation.new_id != new.id_text),
            (f"it is for {rotation.repo}, not {repo}", repo is not None and rotation.repo != repo),
        )
        if differs
    ]
    if differences:
        msg = f"this key rotation does not hold: {'; '.join(differences)}"
        raise SignatureError(msg, where=where, hint=_HINT)
    _check_distinct(old, new, where=where)
    return new


def follow(trusted: PublicKey, rotations: Sequence[SignedRotation], *, repo: str) -> PublicKey:
    """Follow a project's rotations, oldest first, from a trusted key to the current one.

    Rotations before the trusted key are passed over: nobody can check them who does not know those keys. From then on
    each must continue the one before. No key comes back, no key has two successors, and no date goes backwards, in the
    whole list.

    Raises:
        SignatureError: The list does not lead from the trusted key to one current key.
        KeyFileError: A key in it is no usable key.
    """
    if len(rotations) > _LONGEST_CHAIN:
        msg = f"{len(rotations)} key rotations are more than {_LONGEST_CHAIN}"
        raise SignatureError(msg, hint=_HINT)
    names = [f"rotation {number}" for number in range(1, len(rotations) + 1)]
    read = [read_rotation(one.statement, where=name) for one, name in zip(rotations, names, strict=True)]
    _check_chain(read, trusted)
    ids = [rotation.old_id for rotation in read]
    if trusted.id_text not in ids:
        if read and read[-1].new_public != trusted.text:
            msg = f"the rotations do not mention the trusted key {trusted.id_text}"
            raise SignatureError(msg, hint=_HINT)
        return trusted
    current = trusted
    start = ids.index(trusted.id_text)
    for one, name in list(zip(rotations, names, strict=True))[start:]:
        current = verify_rotation(one.statement, one.signature, current, repo=repo, where=name)
    return current


def _check_chain(read: Sequence[Rotation], trusted: PublicKey) -> None:
    seen_ids: set[str] = set()
    seen_keys: set[bytes] = set()
    for number, rotation in enumerate(read, start=1):
        where = f"rotation {number}"
        new = PublicKey.parse(rotation.new_public, where=where)
        before = read[number - 2] if number > 1 else None
        if before is not None and (rotation.old_id != before.new_id or rotation.date < before.date):
            msg = f"it does not continue rotation {number - 1}"
            raise SignatureError(msg, where=where, hint="give all rotations of the project, oldest first")
        seen_ids.add(rotation.old_id)
        if rotation.old_id == trusted.id_text:
            seen_keys.add(trusted.raw)
        if rotation.new_id in seen_ids or new.raw in seen_keys:
            msg = f"key {rotation.new_id} was used before: a key that was given up never comes back"
            raise SignatureError(msg, where=where, hint=_HINT)
        seen_keys.add(new.raw)


def _check_distinct(old: PublicKey, new: PublicKey, *, where: str | None) -> None:
    """Refuse a passage from a key to itself, be it only by number or only by content."""
    if old.key_id == new.key_id or old.raw == new.raw:
        msg = f"the new key {id_text(new.key_id)} is not another key than {old.id_text}"
        raise SignatureError(msg, where=where, hint="make a new one with: python -m release keygen")


def _encode(rotation: Rotation) -> bytes:
    return msgspec.json.format(msgspec.json.encode(rotation), indent=2) + b"\n"
