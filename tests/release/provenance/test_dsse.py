from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from release.provenance.dsse import pae


def test_the_published_example() -> None:
    # The test vector of DSSE's protocol document.
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"

    assert expected == pae("http://example.com/HelloWorld", b"hello world")


def test_lengths_are_of_bytes() -> None:
    assert pae("\u00e9", "\u00e9\n".encode()) == b"DSSEv1 2 \xc3\xa9 3 \xc3\xa9\n"


@given(st.tuples(st.text(), st.binary()), st.tuples(st.text(), st.binary()))
def test_two_contents_never_share_an_encoding(one: tuple[str, bytes], other: tuple[str, bytes]) -> None:
    assert (pae(*one) == pae(*other)) == (one == other)
