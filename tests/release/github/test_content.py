from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.github.content import arrive, fetch, sha256_of
from release.github.remote import Fault, RemoteAsset, RemoteError
from release.github.retry import Budget
from tests.release.publish.fake_remote import FakeHub, FakeRemote

LONG = Budget(3600, clock=lambda: 0.0)


class _Flood(FakeRemote):
    """Sends far too much, and notes whether anybody hung up."""

    closed = False
    seconds = 0.0

    def download(self, asset: RemoteAsset, *, seconds: float) -> Iterator[bytes]:
        self.seconds = seconds
        try:
            for _ in range(100):
                yield bytes(1000)
            pytest.fail("nobody hung up")
        finally:
            self.closed = True


class _Plain(FakeRemote):
    """Gives an iterator that has nothing to close."""

    def download(self, asset: RemoteAsset, *, seconds: float) -> Iterator[bytes]:
        return iter([b"ab", b"c"])


def _asset(size: int) -> RemoteAsset:
    return RemoteAsset(id=1, name="a", size=size, state="uploaded", digest=None, download_url="")


def test_what_is_too_long_is_cut_off_and_the_connection_closed() -> None:
    remote = _Flood(FakeHub())

    assert arrive(remote, _asset(2500), expected=2500, budget=LONG).size == 3000
    assert remote.closed
    assert remote.seconds == 120 + 2500 / 2_000_000


def test_a_download_has_no_more_time_than_the_phase_has_left() -> None:
    remote = _Flood(FakeHub())

    arrive(remote, _asset(2500), expected=2500, budget=Budget(7, clock=lambda: 0.0))
    assert remote.seconds == 7
    fetch(remote, _asset(5), limit=2500, budget=Budget(8, clock=lambda: 0.0))
    assert remote.seconds == 8


def test_an_unknown_length_is_cut_off_too() -> None:
    remote = _Flood(FakeHub())

    assert fetch(remote, _asset(5), limit=2500, budget=LONG) is None
    assert remote.closed


def test_what_arrives_is_hashed_and_written(tmp_path: Path) -> None:
    into = tmp_path / "a"

    arrived = arrive(_Plain(FakeHub()), _asset(3), expected=3, budget=LONG, into=into)

    assert arrived.sha256 == hashlib.sha256(b"abc").hexdigest() == sha256_of(into)
    assert fetch(_Plain(FakeHub()), _asset(3), limit=3, budget=LONG) == b"abc"


def test_what_is_too_short_is_a_broken_connection() -> None:
    with pytest.raises(RemoteError, match="only 3 of 4 bytes came") as caught:
        arrive(_Plain(FakeHub()), _asset(4), expected=4, budget=LONG)

    assert caught.value.fault is Fault.NETWORK
