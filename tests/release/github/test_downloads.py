from __future__ import annotations

import gzip
import socket
from collections.abc import Callable

import pytest

from release.github.downloads import CHUNK, stream
from release.github.remote import Fault, RemoteAsset, RemoteError
from tests.release.github.lab import Lab, answer, dribble, hold, json_answer, reset

SHORT = 0.15


def asset(size: int) -> RemoteAsset:
    return RemoteAsset(id=9, name="a", size=size, state="uploaded", digest=None, download_url="")


def fetch(lab: Lab, size: int = 3, *, seconds: float = 60.0, path: str = "/a?sig=SECRET") -> bytes:
    return b"".join(
        stream(lab.url + path, asset(size), headers={"Authorization": "token T"}, seconds=seconds, own=True)
    )


def raw(data: bytes) -> Callable[[Lab, socket.socket], None]:
    def step(lab: Lab, sock: socket.socket) -> None:
        lab.read(sock)
        sock.sendall(data)

    return step


@pytest.mark.loopback
def test_it_comes_in_pieces_of_a_megabyte() -> None:
    data = bytes(range(256)) * 10_000
    with Lab(answer(200, data)) as lab:
        pieces = list(stream(lab.url, asset(len(data)), headers={}, seconds=60, own=True))

    assert b"".join(pieces) == data
    assert [len(each) for each in pieces] == [CHUNK, CHUNK, len(data) - 2 * CHUNK]


@pytest.mark.loopback
def test_an_empty_file_has_no_pieces() -> None:
    with Lab(answer(200)) as lab:
        assert fetch(lab, 0) == b""


WRONG = {
    "longer than listed": (answer(200, b"abcd"), Fault.GARBLED, "it has 4 bytes, and the list of assets says 3"),
    "shorter than listed": (answer(200, b"ab"), Fault.GARBLED, "it has 2 bytes, and the list of assets says 3"),
    "no length and too long": (raw(b"HTTP/1.1 200 X\r\n\r\nabcd"), Fault.GARBLED, "it goes on after the 3 bytes"),
    "no length and too short": (raw(b"HTTP/1.1 200 X\r\n\r\nab"), Fault.GARBLED, "it ends after 2 of 3 bytes"),
    "cut off": (answer(200, b"ab", length=3), Fault.NETWORK, "the answer ended too early"),
    "packed": (answer(200, gzip.compress(b"abc"), Content_Encoding="gzip"), Fault.GARBLED, "it is packed"),
    "a part": (answer(206, b"abc"), Fault.GARBLED, "HTTP 206"),
    "gone": (json_answer(404, {"message": "Not Found"}), Fault.NOT_FOUND, "HTTP 404: Not Found"),
    "an error of the storage": (answer(503, b"<xml/>"), Fault.SERVER, "HTTP 503"),
    "a limit": (json_answer(429, {"message": "slow"}, Retry_After="9"), Fault.RATE_LIMITED, "HTTP 429: slow"),
    "a redirect to nowhere": (answer(302), Fault.INVALID, "HTTP 302"),
    "round and round": (answer(302, Location="{url}/again"), Fault.GARBLED, "it sends us on more than 5 times"),
    "to plain http": (answer(302, Location="http://h.example/?sig=SECRET"), Fault.INVALID, "not https: http://h.example/"),
    "to a file": (answer(302, Location="file:///etc/passwd"), Fault.INVALID, "an address that is not https"),
    "to no address": (answer(302, Location="http://[::1/"), Fault.INVALID, "cannot be sent (ValueError)"),
    "reset": (reset, Fault.NETWORK, "Connection reset by peer"),
}  # fmt: skip


@pytest.mark.loopback
@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_the_file_is_an_error(name: str) -> None:
    step, fault, what = WRONG[name]
    with Lab(step) as lab, pytest.raises(RemoteError) as caught:
        fetch(lab)

    assert caught.value.fault is fault
    assert what in caught.value.what
    assert "SECRET" not in str(caught.value)


STUCK = {
    "no answer": hold(read=True),
    "a body that trickles": dribble(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n"),
    "without a length": dribble(b"HTTP/1.1 200 X\r\n\r\n"),
}


@pytest.mark.loopback
@pytest.mark.parametrize("name", STUCK)
def test_what_never_ends_is_cut(name: str) -> None:
    with Lab(STUCK[name]) as lab, pytest.raises(RemoteError) as caught:
        fetch(lab, 100_000, seconds=SHORT)

    assert caught.value.fault is Fault.TIMEOUT


@pytest.mark.loopback
def test_a_redirect_may_be_relative_and_leaves_the_token_behind() -> None:
    with Lab(answer(302, Location="/there"), answer(200, b"abc")) as lab:
        assert fetch(lab) == b"abc"

    assert [seen.line for seen in lab.seen] == ["GET /a?sig=SECRET", "GET /there"]
    assert ["authorization" in seen.headers for seen in lab.seen] == [True, False]
    assert all(seen.headers["accept-encoding"] == "identity" for seen in lab.seen)


@pytest.mark.loopback
def test_whoever_has_enough_may_stop() -> None:
    data = b"x" * (3 * CHUNK)
    with Lab(answer(200, data)) as lab:
        pieces = stream(lab.url, asset(len(data)), headers={}, seconds=60, own=True)
        assert len(next(pieces)) == CHUNK
        pieces.close()  # type: ignore[attr-defined]


@pytest.mark.loopback
def test_other_requests_may_be_made_between_two_pieces() -> None:
    data = b"x" * (2 * CHUNK)
    with Lab(answer(200, data), answer(200, b"abc"), answer(200, b"abc")) as lab:
        pieces = stream(lab.url, asset(len(data)), headers={}, seconds=60, own=True)
        first = next(pieces)
        assert fetch(lab) == b"abc"
        assert first + b"".join(pieces) == data


def test_from_elsewhere_only_https_is_taken_and_never_this_machine() -> None:
    for url in ("http://h.example/a", "http://127.0.0.1/a", "nonsense", ""):
        with pytest.raises(RemoteError, match="an address that is not https") as caught:
            next(stream(url, asset(3), headers={}, seconds=5, own=False))
        assert caught.value.fault is Fault.INVALID
