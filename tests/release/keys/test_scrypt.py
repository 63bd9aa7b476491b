"""libsodium's way from limits to scrypt's parameters, held against PyNaCl's own port of it and against known values."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from nacl.bindings.crypto_pwhash import nacl_bindings_pick_scrypt_params

from release.keys.scrypt import MEMLIMIT, MEMORY_LIMIT, OPSLIMIT, WORK_LIMIT, Cost, cost, stream

U64 = st.integers(min_value=0, max_value=2**64 - 1)


@pytest.mark.parametrize(
    ("opslimit", "memlimit", "expected"),
    [
        (OPSLIMIT, MEMLIMIT, (2**14, 1)),  # libsodium's interactive, and what keygen writes
        (33_554_432, 2**30, (2**20, 1)),  # libsodium's sensitive: minisign's own default
        (1_048_576, 33_554_432, (2**15, 1)),  # rsign2 and py-minisign
        (32_768, 16 * 2**20, (2**10, 1)),  # bound by operations
        (0, 16 * 2**20, (2**10, 1)),  # raised to 32768
        (524_288, 2**20, (2**10, 16)),  # bound by memory: the rest of the operations is p
        (0, 0, (2, 512)),
    ],
)
def test_known_limits(opslimit: int, memlimit: int, expected: tuple[int, int]) -> None:
    picked = cost(opslimit, memlimit)

    assert (picked.n, picked.p) == expected
    assert picked.r == 8


@given(U64, U64)
@example(2**64 - 1, 2**64 - 1)
@example(2**64 - 1, 0)
@example(0, 2**64 - 1)
def test_parameters_are_libsodiums(opslimit: int, memlimit: int) -> None:
    log2_n, r, p = nacl_bindings_pick_scrypt_params(opslimit, memlimit)

    assert cost(opslimit, memlimit) == Cost(n=1 << log2_n, r=r, p=p)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(-1, 1), st.integers(-1, 1))
def test_parameters_are_libsodiums_around_powers_of_two(ops: int, memory: int, off: int, other: int) -> None:
    opslimit, memlimit = (1 << ops) + off, (1 << memory) + other
    assume(opslimit >= 0)
    log2_n, r, p = nacl_bindings_pick_scrypt_params(opslimit, memlimit)

    assert cost(opslimit, memlimit) == Cost(n=1 << log2_n, r=r, p=p)


@given(U64, U64)
def test_what_is_affordable_is_bounded(opslimit: int, memlimit: int) -> None:
    picked = cost(opslimit, memlimit)

    if picked.affordable:
        assert 128 * picked.r * picked.n <= MEMORY_LIMIT
        assert picked.n * picked.r * picked.p <= WORK_LIMIT


def test_minisigns_default_is_affordable_and_the_next_step_is_not() -> None:
    assert cost(33_554_432, 2**30).affordable
    assert not cost(2 * 33_554_432, 2**31).affordable  # memory
    assert not cost(2**40, 2**20).affordable  # little memory, years of work
    assert not Cost(n=2, r=8, p=0).affordable


def test_the_stream_is_scrypt() -> None:
    small = Cost(n=16, r=8, p=1)

    assert stream(b"pw", bytes(32), small, 104) == hashlib.scrypt(b"pw", salt=bytes(32), n=16, r=8, p=1, dklen=104)
