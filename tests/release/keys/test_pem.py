"""The public key in other tools' forms."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from release.keys.pem import hint, spki_der, spki_pem
from tests.release.keys.builders import DATA, KEY

# RFC 8410: an Ed25519 key is this prefix and its 32 bytes.
PREFIX = bytes.fromhex("302a300506032b6570032100")


def test_the_forms_are_known() -> None:
    assert spki_der(KEY.public) == PREFIX + KEY.public.raw
    assert spki_pem(KEY.public).decode() == (
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAO2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=\n"
        "-----END PUBLIC KEY-----\n"
    )
    assert base64.b64decode(hint(KEY.public)) == hashlib.sha256(PREFIX + KEY.public.raw).digest()


def test_they_are_the_same_key() -> None:
    for loaded in (load_pem_public_key(spki_pem(KEY.public)), load_der_public_key(spki_der(KEY.public))):
        assert isinstance(loaded, Ed25519PublicKey)
        loaded.verify(KEY.sign(DATA), DATA)
