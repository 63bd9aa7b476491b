"""The wire: everything here talks to a server of its own; nothing depends on how long a test really takes."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from github.Requester import HTTPRequestsConnectionClass, HTTPSRequestsConnectionClass, Requester

from release.github.faults import UNFIT, broken
from release.github.remote import Fault
from release.github.wire import LARGEST, Exchange, PatientRequester, UnfollowedError, address, read_body
from tests.release.github.lab import Lab, answer, dribble, hold, reset

SHORT = 0.15  # seconds of a budget that is meant to be over; whatever waits for it waits for ever without it
HEAD = b"HTTP/1.1 200 OK\r\n"


def requester(url: str) -> PatientRequester:
    return PatientRequester(
        auth=None,
        base_url=url,
        timeout=5,
        user_agent="test",
        per_page=100,
        verify=True,
        retry=0,
        pool_size=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
    )


@pytest.mark.parametrize("url", ["https://[::1", "https://h:99999/", "https://h:x/", "", "nonsense"])
def test_what_is_no_address_has_no_host(url: str) -> None:
    assert address(url).hostname is None


def test_the_requester_of_everybody_else_is_left_alone() -> None:
    assert Requester._Requester__httpConnectionClass is HTTPRequestsConnectionClass  # type: ignore[attr-defined]
    assert Requester._Requester__httpsConnectionClass is HTTPSRequestsConnectionClass  # type: ignore[attr-defined]
    assert Requester._Requester__persist is True  # type: ignore[attr-defined]
    assert PatientRequester._Requester__httpConnectionClass is not HTTPRequestsConnectionClass  # type: ignore[attr-defined]


@pytest.mark.loopback
def test_an_answer_is_kept_whatever_becomes_of_it() -> None:
    with Lab(answer(418, b'{"a": 1}', X_Thing="yes")) as lab, Exchange(60) as exchange:
        with exchange.current():
            requester(lab.url).requestJson("GET", "/x")

        assert exchange.answer is not None
        assert (exchange.answer.status, exchange.answer.body) == (418, b'{"a": 1}')
        assert exchange.answer.headers["x-thing"] == "yes"


@pytest.mark.loopback
def test_outside_of_an_exchange_nothing_is_sent() -> None:
    with Lab(answer(200)) as lab, pytest.raises(AssertionError, match="would have no end"):
        requester(lab.url).requestJson("GET", "/x")

    assert lab.seen == []


@pytest.mark.loopback
@pytest.mark.parametrize("status", [202, 301, 302, 307, 308])
def test_pygithub_neither_follows_nor_asks_again(status: int) -> None:
    with Lab(answer(status, Location="{url}/elsewhere")) as lab:
        with Exchange(60) as exchange, exchange.current(), pytest.raises(UnfollowedError):
            requester(lab.url).requestJson("GET", "/x", follow_302_redirect=True)

        assert [seen.line for seen in lab.seen] == ["GET /x"]
        assert exchange.requests == 1


STUCK = {
    "no answer": hold(read=True),
    "a head that trickles": dribble(HEAD + b"X: "),
    "a body that trickles": dribble(HEAD + b"Content-Length: 1000000\r\n\r\n"),
    "a body without a length that trickles": dribble(HEAD + b"\r\n"),
    "chunks that trickle": dribble(HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n"),
}


@pytest.mark.loopback
@pytest.mark.parametrize("name", STUCK)
def test_whatever_never_ends_is_cut(name: str) -> None:
    with Lab(STUCK[name]) as lab, Exchange(SHORT) as exchange:
        with exchange.current(), pytest.raises(UNFIT) as caught:
            requester(lab.url).requestJson("GET", "/x")

        assert exchange.answer is None
        assert broken(caught.value, exchange, "GET /x").fault is Fault.TIMEOUT


@pytest.mark.loopback
def test_a_reset_is_told_from_a_cut() -> None:
    with Lab(reset) as lab, Exchange(60) as exchange:
        with exchange.current(), pytest.raises(UNFIT) as caught:
            requester(lab.url).requestJson("GET", "/x")

        assert broken(caught.value, exchange, "GET /x").fault is Fault.NETWORK


@pytest.mark.loopback
def test_an_answer_without_an_end_does_not_fill_the_memory() -> None:
    with Lab(answer(200, b"[" * (LARGEST + 1))) as lab, Exchange(60) as exchange:
        with exchange.current(), pytest.raises(UNFIT) as caught:
            requester(lab.url).requestJson("GET", "/x")

        assert broken(caught.value, exchange, "GET /x").fault is Fault.GARBLED


@pytest.mark.loopback
def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    with Exchange(60) as exchange:
        pass

    assert threading.active_count() == before
    assert not exchange.over


@pytest.mark.loopback
def test_every_request_has_a_connection_of_its_own() -> None:
    with Lab(answer(200, b"{}"), answer(200, b"{}")) as lab:
        asker = requester(lab.url)
        for _ in range(2):
            with Exchange(60) as exchange, exchange.current():
                asker.requestJson("GET", "/x")

        assert len(lab.seen) == 2


@pytest.mark.loopback
def test_no_netrc_and_no_proxy_is_asked_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password SECRET\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with Lab(answer(200, b"{}")) as lab, Exchange(60) as exchange:
        with exchange.current():
            requester(lab.url).requestJson("GET", "/x")

        assert "authorization" not in lab.seen[0].headers


@pytest.mark.loopback
def test_a_proxy_of_the_environment_is_watched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with Lab(hold(read=True)) as lab, Exchange(SHORT) as exchange:
        monkeypatch.setenv("https_proxy", lab.url)
        monkeypatch.setenv("no_proxy", "")
        with (
            pytest.raises(UNFIT) as caught,
            exchange.send("GET", "https://api.example.test/x", headers={}, own=False),
        ):
            pass

        assert broken(caught.value, exchange, "GET /x").fault is Fault.TIMEOUT


def test_plain_http_is_not_spoken_with_other_machines() -> None:
    with (
        Exchange(60) as exchange,
        pytest.raises(requests.exceptions.InvalidSchema),
        exchange.send("GET", "http://api.example.test/x", headers={"Authorization": "token SECRET"}, own=False),
    ):
        pass


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a server's TLS with a certificate of its own for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "lab.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path


@pytest.mark.loopback
@pytest.mark.parametrize("name", STUCK)
def test_under_tls_it_is_cut_as_well(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, path = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with Lab(STUCK[name], context=context) as lab, Exchange(0.5) as exchange:
        with (
            pytest.raises(UNFIT) as caught,
            exchange.send("GET", f"https://127.0.0.1:{lab.port}/x", headers={}, own=False) as response,
        ):
            read_body(exchange, response)

        assert broken(caught.value, exchange, "GET /x").fault is Fault.TIMEOUT
        exchange._timer.join()  # the socket's own limit may come a moment earlier
        assert exchange.over


@pytest.mark.loopback
def test_a_certificate_that_nobody_signed_is_refused_for_good(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    with Lab(answer(200), context=context) as lab, Exchange(60) as exchange:
        with (
            pytest.raises(UNFIT) as caught,
            exchange.send("GET", f"https://127.0.0.1:{lab.port}/x", headers={}, own=False),
        ):
            pass

        error = broken(caught.value, exchange, "GET /x")
        assert error.fault is Fault.INVALID
        assert "the server's certificate is not accepted: " in error.what
        assert lab.seen == []
