"""DSSE: a payload with its type, signed as one. What is signed is exactly what is stored, without canonicalisation."""

from __future__ import annotations

__all__ = ["PAYLOAD_TYPE", "Envelope", "Signature", "pae"]

from typing import Annotated

from msgspec import Meta, Struct

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Signature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One signature over the envelope's PAE."""

    sig: str
    keyid: str = ""


class Envelope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payload, what it is, and who signed it; both texts are base64."""

    payload: str
    payloadType: str  # noqa: N815  DSSE's name
    signatures: Annotated[tuple[Signature, ...], Meta(max_length=8)]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Give what is really signed: both parts with their lengths, so that neither can pass for part of the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
