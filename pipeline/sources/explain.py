"""Network failures in words: which server, and what it did or did not do."""

from __future__ import annotations

__all__ = ["explain", "is_transient"]

import socket
from typing import TYPE_CHECKING

import requests
import urllib3.exceptions as u3

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = 200
_TRY_LATER = 429
_SERVER_ERRORS = 500
_SENTENCES: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((u3.NameResolutionError, socket.gaierror), "cannot resolve {host}: no network, or no such server"),
    ((ConnectionRefusedError,), "{host} refuses connections"),
    ((u3.SSLError, requests.exceptions.SSLError), "the certificate of {host} is not accepted: {words}"),
    ((u3.ProxyError, requests.exceptions.ProxyError), "the proxy does not reach {host}"),
    ((u3.TimeoutError, requests.Timeout, TimeoutError), "{host} did not answer in time"),
)


def explain(error: BaseException, host: str) -> str:
    """Say in one sentence why ``host`` gave nothing."""
    chain = list(_chain(error))
    # In this order, because a refused connection is a timeout as well to urllib3.
    for kinds, sentence in _SENTENCES:
        for link in chain:
            if isinstance(link, kinds):
                return sentence.format(host=host, words=_words(link))
    for link in chain:
        if isinstance(link, requests.HTTPError) and link.response is not None:
            return f"{host} answers {link.response.status_code} {link.response.reason}"
    return f"{host}: {type(error).__name__}: {_words(error)}"


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again soon may help: a cut or slow connection, or a server in trouble."""
    for link in _chain(error):
        match link:
            case u3.NameResolutionError() | socket.gaierror() | u3.SSLError() | requests.exceptions.SSLError():
                return False
            case requests.HTTPError() if link.response is not None:
                return link.response.status_code == _TRY_LATER or link.response.status_code >= _SERVER_ERRORS
            case _:
                continue
    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything it was made from; libraries hide the cause in args and ``reason`` as well."""
    todo: list[BaseException] = [error]
    seen: set[int] = set()
    while todo:
        link = todo.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        hidden = [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]
        todo.extend(other for other in hidden if isinstance(other, BaseException))


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONG else text[:_LONG] + "…"
