"""Base64 that has one spelling, key numbers as minisign prints them, and comments fit for a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.keys.encoding import decode, encode, id_text, is_printable_ascii, printable


@given(st.binary(max_size=200))
def test_what_is_encoded_is_decoded(data: bytes) -> None:
    assert decode(encode(data), len(data)) == data
    assert decode(encode(data), len(data) + 1) is None


@given(st.text(max_size=60), st.integers(min_value=0, max_value=50))
def test_nothing_else_is_decoded(text: str, size: int) -> None:
    data = decode(text, size)

    assert data is None or (len(data) == size and encode(data) == text)


@pytest.mark.parametrize("text", ["QR==", "Q===", "QQ= ", "Q\u00fc==", "QQ\n=", "-_==", "====", "Q=Q="])
def test_other_spellings_of_one_byte_are_refused(text: str) -> None:
    assert decode("QQ==", 1) == b"A"
    assert decode(text, 1) is None


def test_key_numbers_are_little_endian() -> None:
    assert id_text(bytes(range(8))) == "0706050403020100"
    assert id_text(bytes(8)) == "0" * 16


def test_comments() -> None:
    assert is_printable_ascii("a b=~")
    assert not is_printable_ascii("a\tb")
    assert not is_printable_ascii("\u00fc")
    assert printable("\u00fc\t\u4e2d")
    assert not any(printable(char) for char in "\0\n\r\x1b\x7f\x85\u202e\u2028\ud800")
