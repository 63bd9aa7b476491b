"""Downloads: streamed, counted, in bounded time, and the token stays with the host it is for.

PyGithub's own way reads the whole file into memory, and takes the token along to another port of the same host.
"""

from __future__ import annotations

__all__ = ["stream"]

from collections.abc import Iterator, Mapping
from urllib.parse import urljoin

import requests
import urllib3

from release.github.faults import UNFIT, broken, garbled, judge, one_line
from release.github.hosts import is_loopback
from release.github.remote import Fault, RemoteAsset, RemoteError
from release.github.wire import Answer, Exchange, address, read_body

CHUNK = 1024 * 1024
_JUMPS = 5


def stream(url: str, asset: RemoteAsset, *, headers: Mapping[str, str], seconds: float, own: bool) -> Iterator[bytes]:
    """Give an asset's bytes, exactly as many as it has; nothing is sent before the first is asked for.

    Args:
        url: Where to begin.
        asset: What is asked for.
        headers: Those of the first request; Authorization goes no further than that.
        seconds: The time for all of it, that of whoever takes the bytes included.
        own: Addresses of this machine itself are allowed, since the API is one.

    Raises:
        RemoteError: From the iterator, whatever it is that failed.
    """
    request = f"GET {_shown(url)}"
    with Exchange(seconds) as exchange:
        try:
            for _ in range(_JUMPS + 1):
                local = _check(url, request, own=own)
                sent = {**headers, "Accept-Encoding": "identity"}
                with exchange.send("GET", url, headers=sent, own=local) as response:
                    if not response.is_redirect:
                        yield from _content(exchange, response, asset, request)
                        return
                    url = urljoin(url, response.headers["location"])
                    # Storage is signed for in the address; it refuses a request that brings a token as well.
                    headers = {key: value for key, value in headers.items() if key != "Authorization"}
        except UNFIT as error:
            raise broken(error, exchange, request) from error
    raise garbled(request, f"it sends us on more than {_JUMPS} times")


def _content(exchange: Exchange, response: requests.Response, asset: RemoteAsset, request: str) -> Iterator[bytes]:
    if response.status_code != requests.codes.ok:
        answer = Answer(status=response.status_code, headers=response.headers, body=read_body(exchange, response))
        raise judge(answer, request)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise garbled(request, "it is packed, which nobody asked for")
    length = response.headers.get("Content-Length", str(asset.size))
    if length != str(asset.size):
        raise garbled(request, f"it has {length} bytes, and the list of assets says {asset.size}")
    count = 0
    raw: urllib3.HTTPResponse = response.raw
    while piece := raw.read(CHUNK, decode_content=False):
        count += len(piece)
        if count > asset.size:
            raise garbled(request, f"it goes on after the {asset.size} bytes that the list of assets says")
        yield piece
    if exchange.over:
        # Without a length the cut looks like the regular end.
        raise requests.exceptions.ReadTimeout
    if count != asset.size:
        raise garbled(request, f"it ends after {count} of {asset.size} bytes")


def _check(url: str, request: str, *, own: bool) -> bool:
    """Refuse an address that is not https; tell whether it is this machine itself."""
    parts = address(url)
    local = own and is_loopback(parts.hostname or "")
    if not (parts.hostname and (parts.scheme == "https" or (local and parts.scheme == "http"))):
        what = f"it leads to an address that is not https: {one_line(_shown(url))}"
        raise RemoteError(Fault.INVALID, request, what)
    return local


def _shown(url: str) -> str:
    """Give an address without its query, which may be a signature."""
    parts = address(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
