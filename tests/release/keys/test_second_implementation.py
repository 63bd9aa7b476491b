"""PyPI's py-minisign, which shares no line with ours nor with minisign's C, reads and writes the same."""

from __future__ import annotations

import io

import minisign  # type: ignore[import-untyped]
import pytest

from release.errors import KeyFileError, SignatureError
from release.keys.keyfile import PublicKey, SecretKey, load_secret
from release.keys.minisign import sign_bytes, verify_bytes
from tests.release.keys.builders import COMMENT, DATA, KEY, PASSWORD
from tests.release.keys.tampering import ACCEPTED, GOOD, REFUSED, Case, name_of

# It takes what Python calls a line's end, and is lax about comments; minisign itself refuses these.
LAXER = {
    "lines end in CR",
    "NUL in the untrusted comment",
    "untrusted comment of 1004",
    "the same with CRLF",
    "trusted comment of 8174",
    "the same with CRLF, trusted",
}
# It wants exactly four lines.
STRICTER = {"junk at the end"}


def _agrees(case: Case) -> bool:
    public = minisign.PublicKey.from_base64(case.key.text)
    try:
        public.verify(io.BytesIO(case.data), minisign.Signature.from_bytes(case.signature))
    except minisign.Error:
        return False
    return True


@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
def test_it_takes_what_we_take(case: Case) -> None:
    assert _agrees(case) is (case.name not in STRICTER)


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_it_refuses_every_tampering(case: Case) -> None:
    assert _agrees(case) is (case.name in LAXER)


def test_it_verifies_what_we_sign() -> None:
    signature = minisign.Signature.from_bytes(sign_bytes(DATA, KEY, trusted=COMMENT).encode())

    minisign.PublicKey.from_bytes(KEY.public.file_text().encode()).verify(DATA, signature)
    assert signature.is_prehashed()
    assert signature.trusted_comment == COMMENT


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_it_signs_with_our_keys_byte_for_byte(password: str | None) -> None:
    key = minisign.SecretKey.from_bytes(KEY.file_text(password).encode())
    if password is not None:
        assert key.is_encrypted()
        key.decrypt(password)
    theirs = key.sign(DATA, trusted_comment=COMMENT, untrusted_comment="signature of a llamatrix release")

    assert bytes(theirs).decode() + "\n" == sign_bytes(DATA, KEY, trusted=COMMENT)
    assert verify_bytes(DATA, bytes(theirs).decode(), KEY.public) == COMMENT
    legacy = bytes(key.sign(DATA, prehash=False)).decode()
    with pytest.raises(SignatureError, match="legacy"):
        verify_bytes(DATA, legacy, KEY.public)


def test_we_read_its_keys() -> None:
    pair = minisign.KeyPair.generate()
    text = bytes(pair.secret_key).decode()
    public = PublicKey.parse(bytes(pair.public_key).decode())

    assert load_secret(text, None).public == public  # plain, with a checksum
    pair.secret_key.encrypt(PASSWORD, opslimit=32_768, memlimit=2**20)
    locked = bytes(pair.secret_key).decode()
    assert load_secret(locked, PASSWORD).public == public
    with pytest.raises(KeyFileError, match="wrong password"):
        load_secret(locked, PASSWORD + "!")


def test_it_would_notice_a_wrong_verifier() -> None:
    """The comparison above can fail: a signature by another key is not agreed to."""
    stranger = SecretKey(key_id=KEY.key_id, seed=bytes([5]) * 32)

    assert not _agrees(Case(name="stranger", signature=GOOD, key=stranger.public))
