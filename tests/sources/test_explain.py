from __future__ import annotations

import socket

import pytest
import requests
import urllib3.exceptions as u3

from pipeline.sources.explain import explain, is_transient


def answer(status: int, reason: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response.reason = status, reason
    return requests.HTTPError("bad", response=response)


def caused(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot resolve host: no network, or no such server"),
        (caused(RuntimeError("x"), socket.gaierror()), "cannot resolve host: no network, or no such server"),
        (OSError(socket.gaierror()), "cannot resolve host: no network, or no such server"),
        (caused(OSError("x"), ConnectionRefusedError()), "host refuses connections"),
        (requests.ReadTimeout(), "host did not answer in time"),
        (TimeoutError(), "host did not answer in time"),
        (u3.SSLError("self-signed"), "the certificate of host is not accepted: self-signed"),
        (requests.exceptions.ProxyError(), "the proxy does not reach host"),
        (answer(503, "Busy"), "host answers 503 Busy"),
        (ValueError("a\nb"), "host: ValueError: a b"),
    ],
)
def test_every_failure_has_its_sentence(error: Exception, sentence: str) -> None:
    assert explain(error, "host") == sentence


def test_long_messages_are_cut_and_loops_end() -> None:
    error = ValueError("x" * 1000)
    error.__context__ = error

    assert len(explain(error, "host")) < 250


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (requests.ConnectionError("reset"), True),
        (requests.ReadTimeout(), True),
        (answer(503, "Busy"), True),
        (answer(429, "Slow"), True),
        (answer(404, "Gone"), False),
        (requests.ConnectionError(socket.gaierror()), False),
        (requests.exceptions.SSLError("bad"), False),
        (ValueError("x"), False),
    ],
)
def test_only_passing_trouble_is_tried_again(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient
