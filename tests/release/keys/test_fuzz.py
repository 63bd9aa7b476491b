"""Whatever bytes a key or a signature is made of: one of our two errors comes out, or a key, or a good signature."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from release.errors import KeyFileError, SignatureError
from release.keys import scrypt
from release.keys.keyfile import PublicKey, load_secret, parse_secret
from release.keys.minisign import Signature, sign_bytes, verify_bytes
from release.keys.rotation import SignedRotation, follow, read_rotation, verify_rotation
from release.keys.sources import KEY_VARIABLE, open_secret
from release.keys.trusted import parse
from tests.release.keys.builders import COMMENT, DATA, KEY, OTHER, b64, secret_bytes, secret_text
from tests.release.keys.tampering import ACCEPTED, GOOD

SIGNATURE = sign_bytes(DATA, KEY, trusted=COMMENT)
# Any text, lone surrogates included, and text out of the pieces the formats are made of.
PIECES = st.sampled_from(
    [
        "untrusted comment: ",
        "trusted comment: ",
        "\n",
        "\r\n",
        "\r",
        "RW",
        "RU",
        "RUQ",
        "=",
        "A" * 54,
        "A" * 100,
        "\0",
        " ",
    ]
)
TEXT = st.text(st.characters(), max_size=400) | st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)


@st.composite
def mutated(draw: st.DrawFn, source: str) -> str:
    """Change a sound text in a few places."""
    text = source
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + draw(PIECES | st.text(max_size=3)) + text[end:]
    return text


@given(TEXT | mutated(SIGNATURE))
@example("")
@example("\n\n\n\n")
@example(SIGNATURE.replace("\n", "\x0b"))
@example(SIGNATURE.replace("\n", "\x85"))
def test_signatures(text: str) -> None:
    try:
        comment = verify_bytes(DATA, text, KEY.public)
    except SignatureError:
        return
    # What is taken says what was signed; only unsigned parts can differ.
    assert comment == COMMENT
    assert [line.rstrip("\r") for line in text.split("\n")[1:4]] == SIGNATURE.split("\n")[1:4]


@given(st.binary(max_size=300))
def test_signatures_of_any_bytes(data: bytes) -> None:
    with pytest.raises(SignatureError):
        Signature.parse(data.decode("utf-8", "surrogateescape"))


@given(TEXT | mutated(KEY.public.file_text()) | mutated(KEY.public.text))
def test_public_keys(text: str) -> None:
    try:
        key = PublicKey.parse(text)
    except KeyFileError:
        return
    assert PublicKey.parse(key.text) == key
    assert PublicKey.parse(key.file_text()) == key


@given(st.binary(min_size=42, max_size=42).map(lambda data: b64(b"Ed" + data[2:]).decode()))
def test_public_keys_of_any_bytes(text: str) -> None:
    try:
        key = PublicKey.parse(text)
    except KeyFileError:
        return
    with pytest.raises(SignatureError):
        key.verify(DATA, KEY.sign(DATA))


@given(TEXT | mutated(KEY.file_text()))
def test_secret_keys(text: str) -> None:
    try:
        key = load_secret(text, None)
    except KeyFileError:
        return
    # A few changes can touch the comment, and nothing else.
    assert key.public == KEY.public


@given(mutated(KEY.file_text()), TEXT)
def test_secret_keys_in_the_environment(text: str, password: str) -> None:
    try:
        open_secret(file=None, environ={KEY_VARIABLE: text}, ask=lambda prompt: password)
    except KeyFileError:
        return


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
    st.text(st.characters(), max_size=20),
)
def test_encrypted_keys_of_any_cost(opslimit: int, memlimit: int, salt: bytes, password: str) -> None:
    data = secret_bytes(derivation=b"Sc", opslimit=opslimit, memlimit=memlimit, salt=salt)
    try:
        stored = parse_secret(secret_text(data))
    except KeyFileError:
        return
    assert stored.cost is not None
    assert stored.cost.memory <= scrypt.MEMORY_LIMIT
    if stored.cost.work > 2**15:
        return  # the rest is scrypt's own affair
    with pytest.raises(KeyFileError):
        stored.unlock(password)


@settings(max_examples=30)
@given(st.integers(0, 32_768), st.integers(0, 2**15), st.text(st.characters(), max_size=20))
def test_cheap_encrypted_keys(opslimit: int, memlimit: int, password: str) -> None:
    data = secret_bytes(derivation=b"Sc", opslimit=opslimit, memlimit=memlimit)

    with pytest.raises(KeyFileError):
        load_secret(secret_text(data), password)


@given(TEXT)
def test_trusted_comments(text: str) -> None:
    with pytest.raises(SignatureError):
        parse(text)


@given(st.binary(max_size=300) | TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")), TEXT)
def test_rotations(statement: bytes, signature: str) -> None:
    with pytest.raises(SignatureError):
        read_rotation(statement)
    with pytest.raises(SignatureError):
        verify_rotation(statement, signature, OTHER.public)
    with pytest.raises(SignatureError):
        follow(KEY.public, [SignedRotation(statement, signature)], repo="o/r")


@pytest.mark.parametrize("piece", ["A", "\n", "\r\n", "untrusted comment: ", "\0", "\u00fc"])
def test_memory_follows_the_input(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    size = len(text.encode())
    tracemalloc.start()
    try:
        for broken in (text, SIGNATURE[:30] + text, GOOD.decode() + text):
            try:
                verify_bytes(DATA, broken, KEY.public)
            except SignatureError:
                continue
            assert broken.startswith(GOOD.decode())
        for read in (PublicKey.parse, parse_secret):
            with pytest.raises(KeyFileError):
                read(text)
        with pytest.raises(SignatureError):
            parse(text.replace(" ", "x"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 12 * size + 1_000_000


def test_the_fuzzers_start_from_sound_texts() -> None:
    assert verify_bytes(DATA, SIGNATURE, KEY.public) == COMMENT
    assert load_secret(KEY.file_text(), None).public == KEY.public
    assert any(case.name == "plain" for case in ACCEPTED)
