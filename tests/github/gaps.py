"""Where GitHub's description and GitHub differ: every exception the contract check makes, and why.

An entry that no exchange needs any more fails ``test_contract.py``, so the list can only hold what is true.
"""

from __future__ import annotations

__all__ = ["GAPS", "Gap", "Side"]

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from tests.github.exchanges import Exchange
from tests.github.routes import Call


class Side(StrEnum):
    """Which half of an exchange."""

    REQUEST = "request"
    REPLY = "reply"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """One difference. ``adapt`` makes an exchange fit (None: not concerned); ``excuses`` accepts it as it is."""

    id: str
    reason: str
    side: Side
    adapt: Callable[[Exchange], Exchange | None] | None = None
    excuses: Callable[[Exchange], bool] | None = None


def _encoded_ref(exchange: Exchange) -> Exchange | None:
    folder, name = ("/git/ref/", "ref") if exchange.call is Call.REF else ("/releases/tags/", "tag")
    value = exchange.route.params.get(name, "")
    if exchange.call not in {Call.REF, Call.BY_TAG} or "/" not in value:
        return None
    return dataclasses.replace(exchange, path=exchange.path.partition(folder)[0] + folder + quote(value, safe=""))


def _without_empty_label(exchange: Exchange) -> Exchange | None:
    if exchange.call is not Call.UPLOAD or exchange.query.get("label") != "":
        return None
    return dataclasses.replace(exchange, query={k: v for k, v in exchange.query.items() if k != "label"})


def _known_states(exchange: Exchange) -> Exchange | None:
    reply = _open(exchange.reply)
    return None if reply == exchange.reply else dataclasses.replace(exchange, reply=reply)


def _open(value: object) -> object:
    if isinstance(value, list):
        return [_open(item) for item in value]
    if isinstance(value, Mapping):
        unfinished = "browser_download_url" in value and value.get("state") in {"starter", "new"}
        return {key: "open" if unfinished and key == "state" else _open(item) for key, item in value.items()}
    return value


def _statuses(*pairs: tuple[Call, int]) -> Callable[[Exchange], bool]:
    """Accept these statuses of these calls, as long as the body is an error's."""
    return lambda exchange: (exchange.call, exchange.status) in pairs and _is_error(exchange)


def _is_error(exchange: Exchange) -> bool:
    return isinstance(exchange.reply, Mapping) and isinstance(exchange.reply.get("message"), str)


_OUTSIDE = {Call.WEB_DOWNLOAD, Call.STORAGE, Call.GRAPHQL}
_TYPED_BY_EXTENSION = ("GitHub CLI", "octokit")

GAPS = (
    Gap(
        id="annotated-tags",
        reason="git/tags/{sha} is not in the slice of the description",
        side=Side.REQUEST,
        excuses=lambda e: e.call is Call.TAG_OBJECT,
    ),
    Gap(
        id="not-rest",
        reason="web downloads, the storage they lead to and GraphQL are no part of the REST description",
        side=Side.REQUEST,
        excuses=lambda e: e.call in _OUTSIDE,
    ),
    Gap(
        id="slash-in-path",
        reason="{ref} is marked x-multi-segment, which OpenAPI 3.0 paths cannot say; a tag may hold slashes too",
        side=Side.REQUEST,
        adapt=_encoded_ref,
    ),
    Gap(
        id="empty-label",
        reason="PyGithub always sends a label, an empty one if none was given; OpenAPI takes no empty parameter",
        side=Side.REQUEST,
        adapt=_without_empty_label,
    ),
    Gap(
        id="upload-types",
        reason="the upload body is described as application/octet-stream only; gh and Octokit send the file's own type",
        side=Side.REQUEST,
        excuses=lambda e: e.call is Call.UPLOAD and e.headers.get("User-Agent", "").startswith(_TYPED_BY_EXTENSION),
    ),
    Gap(
        id="unfinished-states",
        reason="asset.state is described as uploaded or open; the real starter and new are absent",
        side=Side.REPLY,
        adapt=_known_states,
    ),
    Gap(
        id="bad-credentials",
        reason="401 is described for one call only, and every call gives it for a token that is not known",
        side=Side.REPLY,
        excuses=lambda e: e.status == 401 and _is_error(e),
    ),
    Gap(
        id="limits-and-permissions",
        reason="403 and 429 are not described on release calls: limits, and tokens without the permission",
        side=Side.REPLY,
        excuses=lambda e: e.status in {403, 429} and _is_error(e),
    ),
    Gap(
        id="outages",
        reason="5xx is described nowhere",
        side=Side.REPLY,
        excuses=lambda e: (e.status or 0) >= 500,
    ),
    Gap(
        id="bad-requests",
        reason="400 (not JSON) and 411 (no length) are not described",
        side=Side.REPLY,
        excuses=lambda e: e.status in {400, 411} and _is_error(e),
    ),
    Gap(
        id="missing-release",
        reason="GET by number, its asset list and its uploads describe no 404 for a release that is not there",
        side=Side.REPLY,
        excuses=_statuses((Call.GET, 404), (Call.LIST_ASSETS, 404), (Call.UPLOAD, 404)),
    ),
    Gap(
        id="missing-asset",
        reason="PATCH of an asset describes nothing but 200",
        side=Side.REPLY,
        excuses=_statuses((Call.PATCH_ASSET, 404), (Call.PATCH_ASSET, 422)),
    ),
    Gap(
        id="refused-edit",
        reason="PATCH of a release describes no 422: a second publication of a tag, an immutable release",
        side=Side.REPLY,
        excuses=_statuses((Call.PATCH, 422)),
    ),
    Gap(
        id="immutable-assets",
        reason="DELETE of an asset describes no 422, which an immutable release gives",
        side=Side.REPLY,
        excuses=_statuses((Call.DELETE_ASSET, 422)),
    ),
    Gap(
        id="planned",
        reason="a test planned this answer as a fault, to see the client meet what is described nowhere",
        side=Side.REPLY,
        excuses=lambda e: bool(e.faults) and e.status in {404, 422} and _is_error(e),
    ),
)
