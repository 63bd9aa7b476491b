"""The public key in the forms other tools take: PEM for cosign and openssl, the hint of a Sigstore bundle."""

from __future__ import annotations

__all__ = ["hint", "spki_der", "spki_pem"]

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from release.keys.keyfile import PublicKey


def spki_der(key: PublicKey) -> bytes:
    """Give the SubjectPublicKeyInfo in DER."""
    return _load(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_pem(key: PublicKey) -> bytes:
    """Give the SubjectPublicKeyInfo in PEM: what ``cosign --key`` and ``openssl -pubin`` read."""
    return _load(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def hint(key: PublicKey) -> str:
    """Give ``verificationMaterial.publicKey.hint`` of a Sigstore bundle: base64 of SHA-256 of the DER form."""
    return base64.b64encode(hashlib.sha256(spki_der(key)).digest()).decode("ascii")


def _load(key: PublicKey) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key.raw)
