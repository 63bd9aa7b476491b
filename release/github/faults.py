"""What a failure means: statuses, bodies and headers, or an exception of the connection, become a RemoteError.

Nothing of an exception's own text gets into an error: requests quotes whole headers in some of its messages, the token
included. What GitHub says is shown in one line, without control characters.
"""

from __future__ import annotations

__all__ = ["UNFIT", "broken", "garbled", "judge", "one_line", "server_clock", "wait_asked"]

import email.utils
import json
import math
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import requests
import urllib3
from github import GithubException

from release.github.remote import Fault, RemoteError
from release.github.wire import Answer, Exchange, UnfollowedError

UNFIT = (
    UnfollowedError,
    # Everything PyGithub, requests and urllib3 raise on a bad day, PyGithub's own asserts and slips included.
    GithubException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
    AssertionError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
)

_LONGEST = 300  # characters of what GitHub says
_YEAR = 366 * 24 * 3600.0

_LIMITS = (
    "rate limit",
    "abuse detection",
    "submitted too quickly",
    "temporarily blocked from content creation",
)
_REFUSALS = ("resource not accessible", "must have admin", "permission", "protected by organization saml", "forbids")

_PLAIN = {
    2: Fault.GARBLED,  # 202 and the like: a success without what was asked for
    5: Fault.SERVER,
    401: Fault.UNAUTHORISED,
    404: Fault.NOT_FOUND,
    408: Fault.TIMEOUT,
    410: Fault.NOT_FOUND,
    429: Fault.RATE_LIMITED,
}

_EXPLAINED = {403, 409, 422}

_WORKFLOWS = (
    "the repository's name may be wrong or the token may not write there. If the tag's commit changes "
    ".github/workflows/ compared with the default branch, GitHub wants the 'workflows' permission, hides the lack of "
    "it behind this answer, and the GITHUB_TOKEN of Actions can never have it: tag a commit of the default branch, or "
    "use the token of a GitHub App"
)
_INTEGRATION = (
    "give the job 'permissions: contents: write'. If the tag's commit changes .github/workflows/ compared with the "
    "default branch, that is not enough, and the GITHUB_TOKEN of Actions can never have what is missing: tag a commit "
    "of the default branch, or use the token of a GitHub App"
)
_BURNED = "GitHub never lets a tag be used again after its immutable release was deleted: take a new version"
_MOVED = "the repository has another name now, or --api is not the address of an API: give the new one"


def judge(answer: Answer, request: str, *, creates: bool = False, now: float | None = None) -> RemoteError:
    """Say what an answer that is no success means.

    Args:
        answer: What came back.
        request: The request, for people.
        creates: It was to make a release: 404 then has one more reason.
        now: Seconds since 1970, for the times in headers.
    """
    said, codes = _said(answer.body)
    status = answer.status
    if status in _EXPLAINED and codes is None:
        # A limit, a permission or a clash of names: only the text that was cut off would tell.
        return garbled(request, f"HTTP {status} without its reason", status=status)
    fault = _fault(answer, said.lower(), codes)
    reason = f"{fault.value} (HTTP {status}{': ' + said if said else ''})"
    wait = wait_asked(answer.headers, now=time.time() if now is None else now) if fault.temporary else None
    hint = None
    if fault is Fault.NOT_FOUND and creates:
        hint = _WORKFLOWS
    elif fault is Fault.FORBIDDEN and "resource not accessible" in said.lower():
        hint = _INTEGRATION
    elif fault is Fault.IMMUTABLE and "was used by" in said.lower():
        hint = _BURNED
    elif status in range(300, 400):
        hint = _MOVED
    return RemoteError(fault, request, reason, status=status, retry_after=wait, hint=hint)


def _fault(answer: Answer, said: str, codes: frozenset[str] | None) -> Fault:
    plain = _PLAIN.get(answer.status) or _PLAIN.get(answer.status // 100)
    if plain is not None:
        return plain
    if answer.status in {403, 422} and any(words in said for words in _LIMITS):
        return Fault.RATE_LIMITED
    if answer.status in {403, 409, 422} and "immutable release" in said:
        return Fault.IMMUTABLE
    if answer.status != requests.codes.forbidden:
        return Fault.ALREADY_EXISTS if codes and "already_exists" in codes else Fault.INVALID
    limited = _limited(answer.headers) and not any(words in said for words in _REFUSALS)
    return Fault.RATE_LIMITED if limited else Fault.FORBIDDEN


def _limited(headers: Mapping[str, str]) -> bool:
    """Tell whether the headers speak of a limit; a permission can be refused with the hour's last request, too."""
    return "retry-after" in headers or headers.get("x-ratelimit-remaining", "").strip() == "0"


def wait_asked(headers: Mapping[str, str], *, now: float) -> float | None:
    """Give the seconds a server asks us to wait: Retry-After as seconds or as a date, or the end of the hour's limit.

    Times of the server are compared with the server's own clock where it says what time it is.
    """
    here = _date(headers.get("date")) or now
    asked = headers.get("retry-after")
    if asked is not None:
        number = _number(asked)
        if number is not None:
            return number
        until = _date(asked)
        if until is not None:
            return max(0.0, until - here)
    if headers.get("x-ratelimit-remaining", "").strip() == "0":
        reset = _number(headers.get("x-ratelimit-reset", ""))
        # A second more: it is reset during that second.
        if reset is not None:
            return min(max(0.0, reset - here), _YEAR) + 1.0
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text.strip())
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _date(text: str | None) -> float | None:
    """Read an HTTP date; None for anything else."""
    if text is None:
        return None
    try:
        date = email.utils.parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return (date - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def server_clock(headers: Mapping[str, str]) -> float | None:
    """Give the server's time, seconds since 1970; None if it does not say."""
    return _date(headers.get("date"))


def garbled(request: str, what: str, *, status: int | None = None) -> RemoteError:
    """Say that an answer is not what was asked for."""
    return RemoteError(Fault.GARBLED, request, f"{Fault.GARBLED.value}: {what}", status=status)


def broken(error: BaseException, exchange: Exchange, request: str) -> RemoteError:
    """Say what it means that no answer came, or not the whole of it."""
    chain = tuple(_chain(error))
    if exchange.over:
        return RemoteError(Fault.TIMEOUT, request, f"{Fault.TIMEOUT.value}: cut after {exchange.seconds:.0f} s")
    if any(_of_the_clock(each) for each in chain):
        return RemoteError(Fault.TIMEOUT, request, f"{Fault.TIMEOUT.value}: the connection stood still")
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            # Before the request was sent, and the same tomorrow.
            what = f"the server's certificate is not accepted: {one_line(each.verify_message)}"
            return RemoteError(Fault.INVALID, request, what, hint="check the address, this machine's clock and its CAs")
    if any(isinstance(each, requests.exceptions.ContentDecodingError) for each in chain):
        return garbled(request, "it is too long, or not packed as it says")
    if any(_of_the_connection(each) for each in chain):
        return RemoteError(Fault.NETWORK, request, f"{Fault.NETWORK.value}: {_cause(chain)}")
    # No connection was at fault and no answer was kept: PyGithub or requests would not even send it.
    what = f"the request cannot be sent ({type(error).__name__})"
    return RemoteError(Fault.INVALID, request, what, hint="this is a bug in llamatrix, or --api is no usable address")


def _of_the_clock(error: BaseException) -> bool:
    timeouts = TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError
    # Nobody answering at that address is one of urllib3's timeouts.
    return isinstance(error, timeouts) and not isinstance(error, urllib3.exceptions.NewConnectionError)


def _of_the_connection(error: BaseException) -> bool:
    if isinstance(error, requests.RequestException):  # an OSError, every one of them
        return isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError)
    return isinstance(error, OSError | urllib3.exceptions.HTTPError)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an exception and all that led to it; urllib3 and requests hand most of it on as arguments.

    Not ``__context__``: that may be another request's failure, if this one was made while it was being handled.
    """
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        reason = getattr(each, "reason", None)
        todo += [argument for argument in (*each.args, reason) if isinstance(argument, BaseException)]
        todo.append(each.__cause__)


def _cause(chain: tuple[BaseException, ...]) -> str:
    for each in chain:
        if isinstance(each, socket.gaierror):
            return "the server's name is not known"
    for each in chain:
        if isinstance(each, OSError) and each.strerror and not isinstance(each, requests.RequestException):
            return one_line(each.strerror)
    for each in chain:
        if isinstance(each, urllib3.exceptions.IncompleteRead):
            return "the answer ended too early"
    return "the connection ended without an answer"


def _said(body: bytes) -> tuple[str, frozenset[str] | None]:
    """Give the message in an answer, with those of its errors, and the errors' codes; no codes if it is broken JSON."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return "", None if body.lstrip().startswith(b"{") else frozenset()
    if not isinstance(data, dict):
        return "", frozenset()
    texts = [data.get("message")]
    codes = set()
    errors = data.get("errors")
    for each in errors if isinstance(errors, list) else [errors]:
        if isinstance(each, dict):
            code, field, message = each.get("code"), each.get("field"), each.get("message")
            codes.add(str(code))
            texts.append(message if isinstance(message, str) else " ".join(str(part) for part in (field, code) if part))
        else:
            texts.append(each)
    return one_line("; ".join(text for text in texts if isinstance(text, str) and text)), frozenset(codes)


def one_line(text: str) -> str:
    """Make foreign text safe to show: one line, no control characters, not endless."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST]).split())
    return clean if len(clean) <= _LONGEST else f"{clean[:_LONGEST]}..."
