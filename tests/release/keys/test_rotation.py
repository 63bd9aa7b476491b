"""From one key to the next, and every way in which that must not work."""

from __future__ import annotations

import json
from datetime import date

import pytest

from release.errors import KeyFileError, SignatureError
from release.keys.keyfile import PublicKey, SecretKey
from release.keys.minisign import sign_bytes
from release.keys.rotation import SignedRotation, follow, make_rotation, read_rotation, verify_rotation
from tests.release.keys.builders import KEY, OTHER, other, public_text

DAY = date(2031, 12, 24)
REASON = "the yearly rotation"
ROTATION = make_rotation(KEY, OTHER.public, repo="o/r", reason=REASON, day=DAY)
GOLDEN = """\
{
  "format": "llamatrix-rotation-1",
  "repo": "o/r",
  "date": "2031-12-24",
  "reason": "the yearly rotation",
  "old_id": "0706050403020100",
  "new_id": "0F0E0D0C0B0A0908",
  "new_public": "RWQICQoLDA0OD4qI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
}
"""
COMMENT = "rotation repo=o/r old=0706050403020100 new=0F0E0D0C0B0A0908 date=2031-12-24"


def _signed(text: str, *, key: SecretKey = KEY, comment: str = COMMENT) -> SignedRotation:
    """Sign any statement, as a thief of the old key could."""
    return SignedRotation(text.encode(), sign_bytes(text.encode(), key, trusted=comment))


def _refused(rotation: SignedRotation, says: str, *, old: PublicKey = KEY.public, repo: str | None = "o/r") -> None:
    with pytest.raises(SignatureError, match=says) as caught:
        verify_rotation(*rotation, old, repo=repo, where="rotation.json")
    assert caught.value.where == "rotation.json"


def test_the_statements_bytes_are_known() -> None:
    assert ROTATION.statement.decode() == GOLDEN
    assert make_rotation(KEY, OTHER.public, repo="o/r", reason=REASON, day=DAY) == ROTATION
    statement, signature = ROTATION
    assert verify_rotation(statement, signature, KEY.public) == OTHER.public
    assert verify_rotation(statement, signature, KEY.public, repo="o/r") == OTHER.public
    assert f"trusted comment: {COMMENT}\n" in signature


def test_only_the_old_key_can_sign() -> None:
    _refused(_signed(GOLDEN, key=OTHER), "signed by key 0F0E0D0C0B0A0908, not by 0706050403020100")
    _refused(ROTATION, "signed by key 0706050403020100", old=OTHER.public)
    _refused(ROTATION._replace(statement=GOLDEN.replace("yearly", "weekly").encode()), "does not fit")
    _refused(ROTATION._replace(signature=ROTATION.signature.replace("2031", "2032")), "changed after signing")
    _refused(ROTATION._replace(signature=""), "not a minisign signature")


def test_another_repositorys_rotation() -> None:
    _refused(ROTATION, "does not hold: it is for o/r, not o/other$", repo="o/other")


def test_another_files_signature_is_no_rotation() -> None:
    _refused(_signed(GOLDEN, comment="repo=o/r tag=v1"), "the trusted comment is another one's")


def test_numbers_that_do_not_fit() -> None:
    wrong = GOLDEN.replace("0F0E0D0C0B0A0908", "F" * 16).replace("0706050403020100", "A" * 16)

    _refused(
        _signed(wrong),
        "does not hold: the trusted comment is another one's; it is about old key AAAAAAAAAAAAAAAA, "
        "not 0706050403020100; it calls the new key FFFFFFFFFFFFFFFF, which is 0F0E0D0C0B0A0908",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "[" * 10_000,
        '{"a":' * 3_000,
        GOLDEN.replace("rotation-1", "rotation-2"),
        GOLDEN.replace('"o/r"', '"o"'),
        GOLDEN.replace('"o/r"', '"o/r\\n"'),
        GOLDEN.replace('"o/r"', "1"),
        GOLDEN.replace("0706050403020100", "0706050403020100a"),
        GOLDEN.replace("0706050403020100", "070605040302010a"),
        GOLDEN.replace("2031-12-24", "2031-02-30"),
        GOLDEN.replace(REASON, ""),
        GOLDEN.replace(REASON, "x" * 501),
        GOLDEN.replace('"reason"', '"Reason"'),
        GOLDEN.replace("{", '{"more": 1,', 1),
        GOLDEN.replace("{", '{"deep": ' + "[" * 4_000 + "]" * 4_000 + ",", 1),
        GOLDEN[:-4],
    ],
)
def test_what_is_no_rotation(text: str) -> None:
    with pytest.raises(SignatureError, match=r"rotation\.json: this is not a key rotation"):
        read_rotation(text.encode(), where="rotation.json")
    _refused(_signed(text), "this is not a key rotation")


@pytest.mark.parametrize("day", ["20311224", "2031-W52-3", "2031-12-4", "24.12.2031", "\u0662031-12-24"])
def test_dates_have_one_spelling(day: str) -> None:
    with pytest.raises(SignatureError, match="not a key rotation"):
        read_rotation(GOLDEN.replace("2031-12-24", day).encode())


@pytest.mark.parametrize("reason", ["a\\nb", "a\\u001b[31m", " a", "a ", "\\u202e"])
def test_reasons_are_one_line_for_a_terminal(reason: str) -> None:
    with pytest.raises(SignatureError, match="its date or its reason does not have its form"):
        read_rotation(GOLDEN.replace(REASON, reason).encode())


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(json.loads(GOLDEN)),
        GOLDEN + "\n",
        GOLDEN[:-1],
        " " + GOLDEN,
        GOLDEN.replace("\n", "\r\n"),
        GOLDEN.replace("yearly", "ye\\u0061rly"),
        GOLDEN.replace("{", '{\n  "repo": "o/evil",', 1),
        GOLDEN.replace('  "format": "llamatrix-rotation-1",\n', ""),
    ],
)
def test_a_statement_has_one_spelling(text: str) -> None:
    with pytest.raises(SignatureError, match="not written the way llamatrix writes it"):
        read_rotation(text.encode())


def test_statements_are_text() -> None:
    with pytest.raises(SignatureError, match="not a key rotation"):
        read_rotation(GOLDEN.replace("yearly", "y\u00e4rly").encode("latin-1"))


def test_statements_are_small() -> None:
    with pytest.raises(SignatureError, match="larger than 16384 bytes"):
        read_rotation(GOLDEN.encode() + b" " * 20_000)


def test_the_new_key_must_be_one() -> None:
    trap = public_text(b"\x01" + bytes(31))
    for text, says in ((trap, "a trap"), ("RW", "not a minisign public key")):
        rotation = _signed(GOLDEN.replace(OTHER.public.text, text))
        with pytest.raises(KeyFileError, match=says):
            verify_rotation(*rotation, KEY.public)


def test_a_key_is_not_its_own_successor() -> None:
    renumbered = SecretKey(key_id=bytes(8), seed=bytes(32))
    same_number = SecretKey(key_id=KEY.key_id, seed=bytes([9]) * 32)

    for new in (KEY, renumbered, same_number):
        with pytest.raises(SignatureError, match="is not another key than 0706050403020100"):
            make_rotation(KEY, new.public, repo="o/r", reason=REASON, day=DAY)
    text = GOLDEN.replace("0F0E0D0C0B0A0908", "0" * 16).replace(OTHER.public.text, renumbered.public.text)
    _refused(_signed(text, comment=COMMENT.replace("0F0E0D0C0B0A0908", "0" * 16)), "is not another key than")


@pytest.mark.parametrize(("repo", "reason"), [("o", REASON), ("o/r", ""), ("o/r", "a\nb"), ("o/r", "x" * 501)])
def test_what_would_not_be_read_is_not_made(repo: str, reason: str) -> None:
    with pytest.raises(SignatureError, match="not a key rotation"):
        make_rotation(KEY, OTHER.public, repo=repo, reason=reason, day=DAY)


# --- chains

KEYS = [other(number) for number in range(5)]


def _link(old: SecretKey, new: SecretKey, year: int) -> SignedRotation:
    return make_rotation(old, new.public, repo="o/r", reason=REASON, day=date(year, 1, 1))


CHAIN = [_link(KEYS[number], KEYS[number + 1], 2030 + number) for number in range(4)]


@pytest.mark.parametrize("start", range(5))
def test_every_key_of_a_chain_leads_to_the_last(start: int) -> None:
    assert follow(KEYS[start].public, CHAIN, repo="o/r") == KEYS[4].public


def test_no_rotations() -> None:
    assert follow(KEY.public, [], repo="o/r") == KEY.public


def test_a_shorter_list_leads_to_where_it_ends() -> None:
    assert follow(KEYS[1].public, CHAIN[:3], repo="o/r") == KEYS[3].public


def _not_followed(
    rotations: list[SignedRotation], says: str, *, trusted: PublicKey = KEYS[0].public, repo: str = "o/r"
) -> None:
    with pytest.raises(SignatureError, match=says):
        follow(trusted, rotations, repo=repo)


def test_chains_that_are_none() -> None:
    _not_followed(CHAIN, "do not mention the trusted key", trusted=KEY.public)
    _not_followed(CHAIN, "rotation 1: .*it is for o/r, not o/other", repo="o/other")
    _not_followed([CHAIN[0], CHAIN[2]], "rotation 2: it does not continue rotation 1")
    _not_followed([CHAIN[1], CHAIN[0]], "rotation 2: it does not continue rotation 1")
    _not_followed([CHAIN[0], CHAIN[0]], "rotation 2: it does not continue rotation 1")
    _not_followed([CHAIN[0], _link(KEYS[1], KEYS[2], 2029)], "rotation 2: it does not continue rotation 1")
    _not_followed([CHAIN[0], CHAIN[1]._replace(signature="")], "rotation 2: this is not a minisign signature")
    _not_followed([CHAIN[0], CHAIN[1]._replace(statement=b"{}")], "rotation 2: this is not a key rotation")
    _not_followed(CHAIN * 26, "104 key rotations are more than 100")


def test_no_key_comes_back() -> None:
    _not_followed([*CHAIN, _link(KEYS[4], KEYS[0], 2040)], "rotation 5: key .* was used before")
    _not_followed([CHAIN[0], _link(KEYS[1], KEYS[0], 2040)], "rotation 2: key .* was used before")
    # ... not with another number either, be it the key that was trusted or one in between.
    for number in (0, 1):
        seed = KEYS[number]._key.private_bytes_raw()
        again = SecretKey(key_id=b"another!", seed=seed)
        _not_followed([*CHAIN, _link(KEYS[4], again, 2040)], "rotation 5: key .* was used before")


def test_no_number_comes_back() -> None:
    for number in (0, 1, 3):
        alike = SecretKey(key_id=KEYS[number].key_id, seed=bytes([7]) * 32)
        _not_followed([*CHAIN, _link(KEYS[4], alike, 2040)], "rotation 5: key .* was used before")


def test_one_key_has_one_successor() -> None:
    thief = _link(KEYS[1], OTHER, 2031)

    _not_followed([*CHAIN, thief], "rotation 5: it does not continue rotation 4")
    _not_followed([CHAIN[0], thief, *CHAIN[1:]], "rotation 3: it does not continue rotation 2")


def test_a_key_with_a_trusted_number_is_not_the_trusted_key() -> None:
    alike = SecretKey(key_id=KEYS[4].key_id, seed=bytes([7]) * 32)
    first = SecretKey(key_id=KEYS[0].key_id, seed=bytes([7]) * 32)

    _not_followed(CHAIN, "do not mention the trusted key", trusted=alike.public)
    _not_followed(CHAIN, "rotation 1: the signature does not fit", trusted=first.public)


def test_what_precedes_the_trusted_key_is_not_checked_but_must_fit() -> None:
    forged = CHAIN[0]._replace(signature="")

    assert follow(KEYS[1].public, [forged, *CHAIN[1:]], repo="o/r") == KEYS[4].public
    _not_followed([forged, *CHAIN[1:]], "rotation 1: this is not a minisign signature")
