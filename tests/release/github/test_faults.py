from __future__ import annotations

import json
import math
import socket
import ssl

import pytest
import requests
import urllib3
from github import GithubException
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from release.github import faults
from release.github.remote import Fault, RemoteError
from release.github.wire import Answer, Exchange

NOW = 1_800_000_000.0
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"  # NOW
REQUEST = "POST /repos/o/r/releases"


def reply(status: int, body: object = None, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(status=status, headers=CaseInsensitiveDict(named), body=data)


def judge(answer: Answer, *, creates: bool = False) -> RemoteError:
    return faults.judge(answer, REQUEST, creates=creates, now=NOW)


def message(text: str, *errors: object) -> dict[str, object]:
    return {"message": text, "errors": list(errors), "documentation_url": "https://docs.github.com/rest"}


SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
TABLE = [
    ("a bad token", reply(401, message("Bad credentials")), Fault.UNAUTHORISED),
    ("no token", reply(401, message("Requires authentication")), Fault.UNAUTHORISED),
    ("a permission", reply(403, message("Resource not accessible by integration")), Fault.FORBIDDEN),
    ("a permission without a body", reply(403), Fault.FORBIDDEN),
    ("a page instead of JSON", reply(403, b"<html>blocked</html>"), Fault.FORBIDDEN),
    (
        "a permission refused with the hour's last request",
        reply(403, message("Resource not accessible by integration"), x_ratelimit_remaining="0"),
        Fault.FORBIDDEN,
    ),
    ("the hour's limit", reply(403, message("API rate limit exceeded for user ID 1.")), Fault.RATE_LIMITED),
    ("the hour's limit by header", reply(403, message("Sorry"), x_ratelimit_remaining="0"), Fault.RATE_LIMITED),
    ("the secondary limit", reply(403, message(SECONDARY)), Fault.RATE_LIMITED),
    ("the secondary limit as 429", reply(429, message(SECONDARY)), Fault.RATE_LIMITED),
    ("any 429", reply(429, b""), Fault.RATE_LIMITED),
    ("a 403 that asks to wait", reply(403, message("Forbidden"), retry_after="5"), Fault.RATE_LIMITED),
    (
        "the old name of the limit",
        reply(403, message("You have triggered an abuse detection mechanism.")),
        Fault.RATE_LIMITED,
    ),
    ("too much content", reply(422, message("Validation Failed", "was submitted too quickly")), Fault.RATE_LIMITED),
    (
        "blocked from content",
        reply(403, message("You have been temporarily blocked from content creation.")),
        Fault.RATE_LIMITED,
    ),
    ("not there", reply(404, message("Not Found")), Fault.NOT_FOUND),
    ("gone", reply(410, message("Gone")), Fault.NOT_FOUND),
    (
        "a clash",
        reply(422, message("Validation Failed", {"code": "already_exists", "field": "name"})),
        Fault.ALREADY_EXISTS,
    ),
    (
        "an upload to an immutable release",
        reply(422, message("Cannot upload asset a to an immutable release")),
        Fault.IMMUTABLE,
    ),
    ("the same as 403", reply(403, message("Cannot upload asset a to an immutable release")), Fault.IMMUTABLE),
    (
        "a burned tag",
        reply(
            422,
            message(
                "Validation Failed",
                {"code": "custom", "field": "tag_name", "message": "tag_name was used by an immutable release"},
            ),
        ),
        Fault.IMMUTABLE,
    ),
    ("another 422", reply(422, message("Validation Failed", {"code": "invalid", "field": "body"})), Fault.INVALID),
    ("no JSON was sent", reply(400, message("Problems parsing JSON")), Fault.INVALID),
    ("a conflict", reply(409, message("Conflict")), Fault.INVALID),
    ("no length", reply(411), Fault.INVALID),
    ("too large", reply(413), Fault.INVALID),
    ("moved", reply(301, message("Moved Permanently")), Fault.INVALID),
    ("temporarily moved", reply(307, message("Temporary Redirect")), Fault.INVALID),
    ("too slow for it", reply(408), Fault.TIMEOUT),
    ("come again", reply(202, {}), Fault.GARBLED),
    ("500", reply(500, message("Server Error")), Fault.SERVER),
    ("502 with a page", reply(502, b"<html>Unicorn!</html>"), Fault.SERVER),
    ("503 with broken JSON", reply(503, b'{"message": "Serv'), Fault.SERVER),
    ("a broken 422", reply(422, b'{"message": "Validation Fai'), Fault.GARBLED),
    ("a broken 403", reply(403, b'{"message": "You have exc'), Fault.GARBLED),
    ("a broken 401", reply(401, b'{"message": "Bad cred'), Fault.UNAUTHORISED),
    ("a broken 404", reply(404, b'{"message": "Not'), Fault.NOT_FOUND),
]


@pytest.mark.parametrize(("answer", "fault"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table(answer: Answer, fault: Fault) -> None:
    error = judge(answer)

    assert error.fault is fault
    assert error.status == answer.status
    assert error.request == REQUEST
    assert str(error).startswith(f"{REQUEST}: {fault.value}")


WAITS = [
    ("seconds", {"retry_after": "7"}, 7.0),
    ("no time at all", {}, None),
    ("none", {"retry_after": "0"}, 0.0),
    ("with a fraction", {"retry_after": "1.5"}, 1.5),
    ("a date", {"retry_after": "Fri, 15 Jan 2027 08:01:30 GMT"}, 90.0),
    (
        "a date and the server's own clock",
        {"retry_after": "Fri, 15 Jan 2027 08:01:30 GMT", "date": "Fri, 15 Jan 2027 08:01:00 GMT"},
        30.0,
    ),
    ("a date that is over", {"retry_after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
    ("below nothing", {"retry_after": "-5"}, None),
    ("for ever", {"retry_after": "inf"}, None),
    ("no number", {"retry_after": "nan"}, None),
    ("words", {"retry_after": "soon"}, None),
    ("the hour's end", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1800000120"}, 121.0),
    (
        "the hour's end by its own clock",
        {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1800000120", "date": "Fri, 15 Jan 2027 08:01:00 GMT"},
        61.0,
    ),
    ("an hour that is over", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1"}, 1.0),
    ("an hour that never ends", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1e300"}, 366 * 24 * 3600 + 1.0),
    ("an hour with requests left", {"x_ratelimit_remaining": "7", "x_ratelimit_reset": "1800000120"}, None),
    (
        "the nearer of the two",
        {"retry_after": "3", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "1800000120"},
        3.0,
    ),
]


@pytest.mark.parametrize(("headers", "wait"), [row[1:] for row in WAITS], ids=[row[0] for row in WAITS])
def test_how_long_to_wait(headers: dict[str, str], wait: float | None) -> None:
    error = judge(reply(429, message("slow down"), **headers))

    assert error.retry_after == wait


def test_a_server_error_may_ask_to_wait() -> None:
    assert judge(reply(503, retry_after="11")).retry_after == 11


def test_what_is_not_tried_again_needs_no_time() -> None:
    assert judge(reply(401, retry_after="11")).retry_after is None


def test_a_404_for_a_new_release_explains_the_workflow_permission() -> None:
    made = judge(reply(404, message("Not Found")), creates=True)
    seen = judge(reply(404, message("Not Found")))

    assert made.hint is not None
    assert "'workflows' permission" in made.hint
    assert "GITHUB_TOKEN of Actions can never have it" in made.hint
    assert "tag a commit of the default branch" in made.hint
    assert seen.hint is None


def test_a_403_of_an_integration_explains_what_to_give_it() -> None:
    hint = judge(reply(403, message("Resource not accessible by integration"))).hint

    assert hint is not None
    assert "permissions: contents: write" in hint
    assert "can never have" in hint


def test_a_burned_tag_is_explained() -> None:
    hint = judge(reply(422, message("tag_name was used by an immutable release"))).hint

    assert hint is not None
    assert "take a new version" in hint


def test_a_move_is_explained() -> None:
    hint = judge(reply(301, message("Moved Permanently"))).hint

    assert hint is not None
    assert "another name" in hint


def test_what_github_says_is_one_clean_line() -> None:
    error = judge(reply(422, message("Bad\x1b[31m\r\nthing \u202e", {"field": "name", "code": "custom"}, "third")))

    assert error.what == "refused as invalid (HTTP 422: Bad [31m thing ; name custom; third)"


def test_what_github_says_is_cut() -> None:
    assert len(judge(reply(422, message("x" * 100_000))).what) < 400


@given(
    st.integers(100, 599),
    st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from(["retry-after", "date", "x-ratelimit-remaining", "x-ratelimit-reset"]), st.text(max_size=30)
    ),
)
def test_no_answer_is_too_odd(status: int, body: bytes, headers: dict[str, str]) -> None:
    error = judge(Answer(status=status, headers=headers, body=body))

    assert error.retry_after is None or (error.retry_after >= 0 and math.isfinite(error.retry_after))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["message", "errors", "code", "field"]), inner)
        ),
    )
)
def test_no_json_is_too_odd(body: object) -> None:
    for status in (401, 403, 404, 422, 500):
        assert "\n" not in judge(reply(status, body)).what


def test_json_that_is_too_deep_is_no_json() -> None:
    assert judge(reply(422, b"[" * 100_000)).fault is Fault.INVALID
    assert judge(reply(422, b'{"a":' * 100_000)).fault is Fault.GARBLED


def _aborted(error: Exception) -> Exception:
    return requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", error))


def _named(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except type(error) as raised:
        return raised


_SILENCE = urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("x"), "/", "Read timed out.")
BROKEN = [
    (
        "reset",
        _aborted(ConnectionResetError(104, "Connection reset by peer")),
        Fault.NETWORK,
        "Connection reset by peer",
    ),
    ("a full socket", _aborted(TimeoutError("timed out")), Fault.TIMEOUT, "the connection stood still"),
    ("no answer", requests.ReadTimeout(), Fault.TIMEOUT, "the connection stood still"),
    ("no connection in time", requests.ConnectTimeout(), Fault.TIMEOUT, "the connection stood still"),
    ("silence in the body", requests.ConnectionError(_SILENCE), Fault.TIMEOUT, "the connection stood still"),
    (
        "no such name",
        _named(OSError("x"), socket.gaierror(-2, "Name or service not known")),
        Fault.NETWORK,
        "the server's name is not known",
    ),
    (
        "closed",
        _aborted(urllib3.exceptions.HTTPError("closed")),
        Fault.NETWORK,
        "the connection ended without an answer",
    ),
    (
        "cut short",
        requests.exceptions.ChunkedEncodingError(urllib3.exceptions.IncompleteRead(3, 4)),
        Fault.NETWORK,
        "the answer ended too early",
    ),
    ("badly packed", requests.exceptions.ContentDecodingError(), Fault.GARBLED, "not packed as it says"),
    (
        "no request",
        requests.exceptions.InvalidHeader("Bearer SECRET"),
        Fault.INVALID,
        "the request cannot be sent (InvalidHeader)",
    ),
    (
        "no such scheme",
        requests.exceptions.InvalidSchema("http"),
        Fault.INVALID,
        "the request cannot be sent (InvalidSchema)",
    ),
    ("a slip", AssertionError("SECRET"), Fault.INVALID, "the request cannot be sent (AssertionError)"),
    ("PyGithub alone", GithubException(400, "SECRET"), Fault.INVALID, "the request cannot be sent (GithubException)"),
]


@pytest.mark.parametrize(("error", "fault", "what"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_without_an_answer(error: Exception, fault: Fault, what: str) -> None:
    assert isinstance(error, faults.UNFIT)
    found = faults.broken(error, Exchange(5), REQUEST)

    assert found.fault is fault
    assert what in found.what
    assert "SECRET" not in f"{found} {found!r} {found.what}"


def test_a_certificate_that_is_not_accepted_is_not_tried_again() -> None:
    inner = ssl.SSLCertVerificationError(1, "verify failed")
    inner.verify_message = "self-signed certificate"
    error = faults.broken(requests.exceptions.SSLError(urllib3.exceptions.SSLError(inner)), Exchange(5), REQUEST)

    assert error.fault is Fault.INVALID
    assert error.what == "the server's certificate is not accepted: self-signed certificate"
    assert error.hint is not None


def test_whatever_is_raised_by_a_cut_it_was_the_time() -> None:
    exchange = Exchange(5)
    exchange.over = True

    error = faults.broken(_aborted(BrokenPipeError(32, "Broken pipe")), exchange, REQUEST)

    assert error.fault is Fault.TIMEOUT
    assert error.what == "no answer in time: cut after 5 s"


def test_the_failure_of_an_earlier_request_is_not_mistaken_for_this_one_s() -> None:
    error = _aborted(ConnectionResetError(104, "Connection reset by peer"))
    error.__context__ = requests.ReadTimeout()  # as when this one was made while that one was being handled

    assert faults.broken(error, Exchange(5), REQUEST).fault is Fault.NETWORK


def test_an_exception_that_leads_back_to_itself_is_no_trap() -> None:
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first

    assert faults.broken(first, Exchange(5), REQUEST).fault is Fault.NETWORK


def test_the_server_s_clock() -> None:
    assert faults.server_clock({"date": DATE}) == NOW
    assert faults.server_clock({"date": "yesterday"}) is None
    assert faults.server_clock({"date": "Fri, 15 Jan 99999 08:00:00 GMT"}) is None
    assert faults.server_clock({}) is None
