"""Which request is which call: the REST paths of GitHub's description, the web downloads, and one GraphQL address."""

from __future__ import annotations

__all__ = ["Call", "Route", "find"]

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote


class Call(StrEnum):
    """What a request asks for; faults are scheduled by it."""

    RATE_LIMIT = "rate limit"
    REPOSITORY = "repository"
    REF = "ref"
    TAG_OBJECT = "tag object"
    IMMUTABLE = "immutable releases"
    LIST_RELEASES = "list releases"
    CREATE = "create release"
    LATEST = "latest release"
    BY_TAG = "release by tag"
    NOTES = "generate notes"
    GET = "get release"
    PATCH = "patch release"
    DELETE_RELEASE = "delete release"
    LIST_ASSETS = "list assets"
    UPLOAD = "upload"
    GET_ASSET = "get asset"
    DOWNLOAD = "download asset"  # the API address of an asset, asked for its bytes
    PATCH_ASSET = "patch asset"
    DELETE_ASSET = "delete asset"
    WEB_DOWNLOAD = "web download"  # /o/r/releases/download/TAG/NAME, what a user's browser asks for
    STORAGE = "storage"  # where both kinds of download are redirected to
    GRAPHQL = "graphql"
    UNKNOWN = "unknown"

    @property
    def writes(self) -> bool:
        """Whether it is meant to change something."""
        return self in _WRITES


_WRITES = {Call.CREATE, Call.PATCH, Call.DELETE_RELEASE, Call.UPLOAD, Call.PATCH_ASSET, Call.DELETE_ASSET}


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A call with the parts of its path, percent-decoded."""

    call: Call
    params: Mapping[str, str]


_REPO = r"/repos/(?P<repo>[^/]+/[^/]+)"
_WEB = r"/(?P<repo>[^/]+/[^/]+)/releases"
_TABLE = [
    (method, re.compile(pattern), call)
    for method, pattern, call in (
        ("GET", r"/rate_limit", Call.RATE_LIMIT),
        ("GET", _REPO, Call.REPOSITORY),
        ("GET", _REPO + r"/git/ref/(?P<ref>.+)", Call.REF),
        ("GET", _REPO + r"/git/tags/(?P<sha>[0-9a-f]{40})", Call.TAG_OBJECT),
        ("GET", _REPO + r"/immutable-releases", Call.IMMUTABLE),
        ("GET", _REPO + r"/releases", Call.LIST_RELEASES),
        ("POST", _REPO + r"/releases", Call.CREATE),
        ("GET", _REPO + r"/releases/latest", Call.LATEST),
        ("POST", _REPO + r"/releases/generate-notes", Call.NOTES),
        ("GET", _REPO + r"/releases/tags/(?P<tag>.+)", Call.BY_TAG),
        ("GET", _REPO + r"/releases/assets/(?P<asset>\d+)", Call.GET_ASSET),
        ("PATCH", _REPO + r"/releases/assets/(?P<asset>\d+)", Call.PATCH_ASSET),
        ("DELETE", _REPO + r"/releases/assets/(?P<asset>\d+)", Call.DELETE_ASSET),
        ("GET", _REPO + r"/releases/(?P<release>\d+)", Call.GET),
        ("PATCH", _REPO + r"/releases/(?P<release>\d+)", Call.PATCH),
        ("DELETE", _REPO + r"/releases/(?P<release>\d+)", Call.DELETE_RELEASE),
        ("GET", _REPO + r"/releases/(?P<release>\d+)/assets", Call.LIST_ASSETS),
        ("POST", _REPO + r"/releases/(?P<release>\d+)/assets", Call.UPLOAD),
        ("GET", _WEB + r"/download/(?P<tag>.+)/(?P<name>[^/]+)", Call.WEB_DOWNLOAD),
        ("GET", _WEB + r"/latest/download/(?P<name>[^/]+)", Call.WEB_DOWNLOAD),
        ("GET", r"/storage/(?P<asset>\d+)", Call.STORAGE),
        ("POST", r"/graphql", Call.GRAPHQL),
    )
]


def find(method: str, path: str, accept: str) -> Route:
    """Find the call; HEAD asks what GET would. An asset asked for as octets is a download."""
    verb = "GET" if method == "HEAD" else method
    for wanted, pattern, call in _TABLE:
        match = pattern.fullmatch(path) if wanted == verb else None
        if match is None:
            continue
        if call is Call.GET_ASSET and "application/octet-stream" in accept:
            call = Call.DOWNLOAD  # noqa: PLW2901 - one address, two calls
        return Route(call=call, params={key: unquote(value) for key, value in match.groupdict().items()})
    return Route(call=Call.UNKNOWN, params={})
