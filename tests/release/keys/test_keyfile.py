"""Key files as minisign writes them, and as nobody should."""

from __future__ import annotations

import copy
import hashlib
import pickle

import pytest
from nacl.bindings import crypto_core_ed25519_is_valid_point

from release.errors import KeyFileError, SignatureError
from release.keys import encoding, scrypt
from release.keys.keyfile import PublicKey, SecretKey, load_secret, parse_secret
from tests.release.keys.builders import (
    DATA,
    HIDDEN,
    KEY,
    OTHER,
    PASSWORD,
    assert_says_nothing,
    b64,
    public_text,
    secret_bytes,
    secret_text,
)

PUBLIC = "RWQAAQIDBAUGBztqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
# Written by "minisign -G -W" of Debian (0.11): no checksum, and the comment claims an encryption there is not.
MINISIGNS_PLAIN = """\
untrusted comment: minisign encrypted secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2IRBEZcf1a2rb6fXRrdKiwP3hfi0hHeRl3Q7mXsukX9v\
mBD4D7/gb9fyj81BWQZE5ntQUXlldVSc5lfNflJHVijhX3Y4JhEdAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
"""
MINISIGNS_PUBLIC = "RWTYhEERlx/Vrdfyj81BWQZE5ntQUXlldVSc5lfNflJHVijhX3Y4JhEd"
SEED = hashlib.sha256(b"a seed to look for").digest()


def _checksum(key: SecretKey) -> bytes:
    return hashlib.blake2b(b"Ed" + key.key_id + SEED + key.public.raw, digest_size=32).digest()


def _plain(**changes: object) -> bytes:
    given: dict[str, object] = {"key_id": HIDDEN.key_id, "seed": SEED, "public": HIDDEN.public.raw, **changes}
    return secret_bytes(**given)  # type: ignore[arg-type]


# --- the public key


def test_the_public_keys_bytes_are_known() -> None:
    assert KEY.public.text == PUBLIC
    assert KEY.public.id_text == "0706050403020100"
    assert KEY.public.file_text() == f"untrusted comment: minisign public key 0706050403020100\n{PUBLIC}\n"


@pytest.mark.parametrize(
    "text",
    [
        PUBLIC,
        f"{PUBLIC}\n",
        f"{PUBLIC}\r\n",
        f"untrusted comment: x\n{PUBLIC}\n",
        f"untrusted comment: x\r\n{PUBLIC}\r\n",
        f"untrusted comment: \n{PUBLIC}",
    ],
)
def test_a_public_key_is_read(text: str) -> None:
    assert PublicKey.parse(text) == KEY.public


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a minisign public key"),
        ("\n", "not a minisign public key"),
        (PUBLIC[:-1], "not a minisign public key"),
        (PUBLIC + "A", "not a minisign public key"),
        (" " + PUBLIC, "not a minisign public key"),
        (PUBLIC.replace("z", "-"), "not a minisign public key"),
        (PUBLIC + "\n" + PUBLIC, "not a minisign public key"),
        (f"comment: x\n{PUBLIC}", "not a minisign public key"),
        (f"untrusted comment: x\n{PUBLIC}\nmore", "not a minisign public key"),
        (f"untrusted comment: x\n\n{PUBLIC}", "not a minisign public key"),
        ("\ud800" * 56, "not a minisign public key"),
        (public_text(KEY.public.raw, algorithm=b"ED"), "another algorithm than Ed25519"),
        (public_text(KEY.public.raw, algorithm=b"RW"), "another algorithm than Ed25519"),
    ],
)
def test_what_is_no_public_key(text: str, says: str) -> None:
    with pytest.raises(KeyFileError, match=says) as caught:
        PublicKey.parse(text, where="minisign.pub")

    assert caught.value.where == "minisign.pub"
    assert caught.value.hint


def test_a_secret_key_in_the_public_ones_place_is_named_and_not_shown() -> None:
    with pytest.raises(KeyFileError, match="not a minisign public key") as caught:
        PublicKey.parse(MINISIGNS_PLAIN)

    assert "SECRET key" in str(caught.value.hint)
    assert_says_nothing(caught.value, MINISIGNS_PLAIN)


def _small_order_points() -> list[bytes]:
    prime = 2**255 - 19
    low = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
    numbers = (0, 1, low, prime - low, prime - 1, prime, prime + 1)
    return [(number | sign << 255).to_bytes(32, "little") for number in numbers for sign in (0, 1)]


@pytest.mark.parametrize("raw", _small_order_points(), ids=bytes.hex)
def test_keys_that_fit_every_signature_are_refused(raw: bytes) -> None:
    assert not crypto_core_ed25519_is_valid_point(raw)  # libsodium's own opinion
    with pytest.raises(KeyFileError, match="this public key is a trap"):
        PublicKey.parse(public_text(raw))


def test_such_a_key_would_really_fit_everything() -> None:
    # The reason for the check above: with the neutral point as key, R = 1 and S = 0 sign any text, says OpenSSL.
    trap = PublicKey(key_id=bytes(8), raw=b"\x01" + bytes(31))

    trap.verify(b"any text", b"\x01" + bytes(31) + bytes(32))


def test_verifying() -> None:
    signature = KEY.sign(DATA)

    KEY.public.verify(DATA, signature)
    for data, wrong in (
        (DATA + b"!", signature),
        (DATA, OTHER.sign(DATA)),
        (DATA, signature[:-1]),
        (DATA, signature + b"\0"),
        (DATA, b""),
    ):
        with pytest.raises(SignatureError, match="not made over these bytes by key 0706050403020100"):
            KEY.public.verify(data, wrong)


# --- the secret key


def test_the_signatures_bytes_are_known() -> None:
    assert KEY.sign(DATA).hex() == (
        "bd23a997de3b9d69e783541cd801d208f715c11d0016fe8b4c7b590d8a30c2b4d9bec96dabac6c3f051061ff66518a4fca8971ff747ab6c535e4253d30088a09"
    )
    assert KEY.sign(DATA) == KEY.sign(DATA)


def test_a_plain_files_bytes_are_known() -> None:
    text = KEY.file_text()

    core = bytes(range(8)) + bytes(32) + KEY.public.raw
    checksum = hashlib.blake2b(b"Ed" + core, digest_size=32).digest()
    expected = b64(b"Ed\0\0B2" + bytes(48) + core + checksum).decode()
    assert text == f"untrusted comment: minisign secret key\n{expected}\n"
    assert load_secret(text, None).public == KEY.public


def test_an_encrypted_files_bytes_are_known() -> None:
    text = KEY.file_text(PASSWORD, salt=bytes(range(32)))

    assert (
        hashlib.sha256(text.encode()).hexdigest() == "d63d76113c2c6fed57c752ae825ea6d054435db4cfee6ac930e06b3fdf7b3fc4"
    )
    assert text.startswith("untrusted comment: minisign encrypted secret key\nRWRTY0Iy")
    assert load_secret(text, PASSWORD).sign(DATA) == KEY.sign(DATA)


def test_every_encrypted_file_has_its_own_salt() -> None:
    assert KEY.file_text(PASSWORD) != KEY.file_text(PASSWORD)


def test_a_file_of_minisigns_own_is_read() -> None:
    key = load_secret(MINISIGNS_PLAIN, None)

    assert key.public.text == MINISIGNS_PUBLIC
    assert load_secret(MINISIGNS_PLAIN.splitlines()[1], None).public == key.public
    assert load_secret(MINISIGNS_PLAIN.replace("\n", "\r\n"), "not looked at").public == key.public


def test_a_plain_file_may_have_a_checksum_and_then_it_must_fit() -> None:
    assert load_secret(secret_text(_plain(checksum=_checksum(HIDDEN))), None).public == HIDDEN.public
    with pytest.raises(KeyFileError, match="damaged: its checksum does not fit"):
        load_secret(secret_text(_plain(checksum=b"\1" * 32)), None)


@pytest.mark.parametrize(
    "changes",
    [
        {"public": KEY.public.raw},
        {"public": bytes(32)},
        {"seed": bytes(32)},
        {"public": HIDDEN.public.raw[:-1] + bytes([HIDDEN.public.raw[-1] ^ 1])},
    ],
)
def test_halves_that_do_not_belong_together_are_refused(changes: dict[str, bytes]) -> None:
    data = _plain(**changes)

    with pytest.raises(KeyFileError, match="its public half does not belong to its secret half"):
        load_secret(secret_text(data), None)


@pytest.mark.parametrize("at", [54, 61, 62, 93, 94, 125, 126, 157])
def test_every_part_of_a_plain_file_of_ours_is_checked(at: int) -> None:
    data = bytearray(encoding.decode(HIDDEN.file_text().splitlines()[1], 158) or b"")
    data[at] ^= 1

    with pytest.raises(KeyFileError, match="damaged: its checksum does not fit"):
        load_secret(secret_text(bytes(data)), None)


def test_halves_are_compared_behind_a_password_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # A fitting checksum over halves that do not fit: only somebody with the password can make this.
    core = HIDDEN.key_id + SEED + KEY.public.raw
    core += hashlib.blake2b(b"Ed" + core, digest_size=32).digest()
    monkeypatch.setattr(scrypt, "stream", lambda *args: bytes(104))
    data = b"EdScB2" + bytes(32) + (524_288).to_bytes(8, "little") + (2**24).to_bytes(8, "little") + core

    with pytest.raises(KeyFileError, match="its public half does not belong to its secret half"):
        load_secret(secret_text(data), PASSWORD)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a minisign secret key"),
        ("untrusted comment: x\n", "not a minisign secret key"),
        (secret_text(_plain())[:-6], "not a minisign secret key"),
        (secret_text(_plain() + b"\0"), "not a minisign secret key"),
        (secret_text(_plain()[:-1]), "not a minisign secret key"),
        (secret_text(_plain()) + "more", "not a minisign secret key"),
        (secret_text(_plain()).replace("untrusted", "trusted"), "not a minisign secret key"),
        (secret_text(_plain(algorithm=b"ED")), "algorithms that are not minisign's"),
        (secret_text(_plain(derivation=b"Ar")), "algorithms that are not minisign's"),
        (secret_text(_plain(check=b"B3")), "algorithms that are not minisign's"),
    ],
)
def test_what_is_no_secret_key(text: str, says: str) -> None:
    with pytest.raises(KeyFileError, match=says) as caught:
        parse_secret(text, where="minisign.key")

    assert caught.value.where == "minisign.key"
    assert caught.value.hint
    assert_says_nothing(caught.value, b64(_plain()).decode())


def test_a_public_key_in_the_secret_ones_place_is_named() -> None:
    with pytest.raises(KeyFileError, match="not a minisign secret key") as caught:
        parse_secret(KEY.public.file_text())

    assert "this is a public key" in str(caught.value.hint)


def test_a_wrong_password() -> None:
    text = KEY.file_text(PASSWORD)

    with pytest.raises(KeyFileError, match="wrong password, or the secret key is damaged") as caught:
        load_secret(text, "correct h0rse battery staple")

    assert_says_nothing(caught.value, "correct h0rse battery staple", text, bytes(16).hex())


@pytest.mark.parametrize("password", [None, ""])
def test_a_missing_password(password: str | None) -> None:
    with pytest.raises(KeyFileError, match="encrypted, and no password was given") as caught:
        load_secret(KEY.file_text(PASSWORD), password)

    assert "LLAMATRIX_SIGNING_PASSWORD" in str(caught.value.hint)


@pytest.mark.parametrize("password", ["a\nb", "a\rb", "a\0b", "x" * 1024, "\u00fc" * 512, "\ud800", ""])
def test_passwords_that_minisign_could_not_be_given(password: str) -> None:
    with pytest.raises(KeyFileError, match="not 1 to 1023 bytes on one line"):
        KEY.file_text(password)


@pytest.mark.parametrize("password", ["x" * 1023, "\u00fcml\u00e4ut", " blanks count ", "\udcff"])
def test_odd_passwords(password: str) -> None:
    text = KEY.file_text(password)

    assert load_secret(text, password).public == KEY.public
    with pytest.raises(KeyFileError, match="wrong password"):
        load_secret(text, f"{password[1:]}y")


@pytest.mark.parametrize("at", [6, 37, 54, 61, 62, 93, 94, 125, 126, 157])
def test_every_part_behind_the_password_is_checked(at: int) -> None:
    text = KEY.file_text(PASSWORD, salt=bytes(32))
    data = bytearray(encoding.decode(text.splitlines()[1], 158) or b"")
    data[at] ^= 1

    with pytest.raises(KeyFileError, match="wrong password, or the secret key is damaged"):
        load_secret(secret_text(bytes(data)), PASSWORD)


@pytest.mark.parametrize(
    ("opslimit", "memlimit"),
    [(2**26, 2**31), (2**64 - 1, 2**64 - 1), (2**64 - 1, 0), (2**40, 2**20), (2**33, 2**33)],
)
def test_unreasonable_costs_are_refused_before_anything_is_allocated(
    monkeypatch: pytest.MonkeyPatch, opslimit: int, memlimit: int
) -> None:
    def never(*args: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(scrypt, "stream", never)
    data = _plain(derivation=b"Sc", opslimit=opslimit, memlimit=memlimit)

    with pytest.raises(KeyFileError, match=r"MiB of memory and .* times the work of minisign's default"):
        load_secret(secret_text(data), PASSWORD)


def test_a_machine_without_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(scrypt, "stream", full)
    data = _plain(derivation=b"Sc", opslimit=33_554_432, memlimit=2**30)

    with pytest.raises(KeyFileError, match="takes 1024 MiB of memory, and there is not as much"):
        load_secret(secret_text(data), PASSWORD)


def test_new_keys_differ() -> None:
    first, second = SecretKey.generate(), SecretKey.generate()

    assert first.key_id != second.key_id
    assert first.public.raw != second.public.raw


def test_a_secret_key_is_not_shown_copied_or_pickled() -> None:
    stored = parse_secret(secret_text(_plain()))

    for shown in (repr(HIDDEN), str(HIDDEN), f"{HIDDEN}", repr([HIDDEN]), repr(stored)):
        assert SEED.hex() not in shown
        assert repr(SEED)[2:-1] not in shown
        assert SEED[:6].hex() not in shown.encode().hex()
    assert repr(HIDDEN) == "<SecretKey 3837363534333231>"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            attempt(HIDDEN)
    assert not hasattr(HIDDEN, "__dict__")
