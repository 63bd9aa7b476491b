"""What each call answers. Uploads, whose bodies do not fit into an exchange, are in ``server.py``."""

from __future__ import annotations

__all__ = ["allow", "answer", "find_release", "may_write"]

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from tests.github import actions, refusals, render
from tests.github.actions import Actor
from tests.github.exchanges import Exchange, Reply
from tests.github.graphql import answer_graphql
from tests.github.refusals import Refused
from tests.github.routes import Call
from tests.github.state import Access, Asset, Release, State, Token

Releases = Mapping[int, Release]


def allow(state: State, exchange: Exchange) -> None:
    """Refuse who may not know of the repository, and writes of who may only read."""
    repo, token = exchange.route.params.get("repo"), exchange.token
    if repo is not None:
        if repo.casefold() != state.repo.casefold():
            raise refusals.not_found()
        if state.private and (token is None or token.access is Access.NONE):
            raise refusals.not_found()
    if exchange.call.writes or exchange.call is Call.NOTES:
        may_write(token)


def may_write(token: Token | None) -> Token:
    """Refuse a write the way GitHub does for this kind of token."""
    if token is None:
        raise refusals.unauthenticated()
    if not token.can_push:
        raise refusals.forbidden() if token.scopes is None else refusals.not_found()
    return token


def answer(state: State, exchange: Exchange, releases: Releases) -> Reply:
    """Carry out one request. ``releases`` is what reads see: the state's own, or an older view of it."""
    handler = _HANDLERS.get(exchange.call)
    if handler is None:
        raise refusals.not_found()
    allow(state, exchange)
    return handler(state, exchange, releases)


def find_release(exchange: Exchange, releases: Releases) -> Release:
    """The release a path names; drafts are there for nobody but who may push."""
    release = releases.get(int(exchange.route.params["release"]))
    if release is None or not _visible(release, exchange):
        raise refusals.not_found()
    return release


def _visible(release: Release, exchange: Exchange) -> bool:
    return not release.draft or (exchange.token is not None and exchange.token.can_push)


def _find_asset(exchange: Exchange, releases: Releases) -> tuple[Release, Asset]:
    number = int(exchange.route.params["asset"])
    for release in releases.values():
        for asset in release.assets:
            if asset.id == number and _visible(release, exchange):
                return release, asset
    raise refusals.not_found()


def actor(exchange: Exchange) -> Actor:
    """Who asks."""
    request_id = exchange.reply_headers["X-GitHub-Request-Id"]
    return Actor(token=may_write(exchange.token), request=exchange.number, request_id=request_id)


def _fields(exchange: Exchange) -> dict[str, object]:
    if not isinstance(exchange.json, dict):
        raise refusals.unparsable()
    return exchange.json


def _page(exchange: Exchange, items: list[object]) -> Reply:
    """One page of a list, with the links to the others."""

    def number(name: str, default: int, most: int) -> int:
        text = exchange.query.get(name, "")
        return min(max(int(text), 1), most) if re.fullmatch(r"\d{1,9}", text) else default

    size = number("per_page", 30, 100)
    page = number("page", 1, 10**9)
    last = max(-(-len(items) // size), 1)
    wanted = {"prev": page - 1 if page > 1 else 0, "next": page + 1, "last": last, "first": 1}
    if page >= last:
        wanted.pop("next"), wanted.pop("last")
    if page == 1:
        wanted.pop("prev"), wanted.pop("first")
    links = []
    for rel, target in wanted.items():
        query = urlencode({**exchange.query, "per_page": size, "page": target})
        links.append(f'<{exchange.hosts.api}{exchange.path}?{query}>; rel="{rel}"')
    headers = {"Link": ", ".join(links)} if links else {}
    return Reply(status=200, json=items[(page - 1) * size : page * size], headers=headers)


def _rate_limit(state: State, exchange: Exchange, releases: Releases) -> Reply:
    limit = {"limit": 5000, "used": 1, "remaining": 4999, "reset": int(state.now()) + 3600}
    return Reply(status=200, json={"resources": {"core": limit, "search": limit}, "rate": limit})


def _repository(state: State, exchange: Exchange, releases: Releases) -> Reply:
    return Reply(status=200, json=render.repository_json(state, exchange.token, exchange.hosts))


def _ref(state: State, exchange: Exchange, releases: Releases) -> Reply:
    kind, _, name = exchange.route.params["ref"].partition("/")
    if kind != "tags" or name not in state.tags:
        raise refusals.not_found()
    return Reply(status=200, json=render.ref_json(state, name, exchange.hosts))


def _tag_object(state: State, exchange: Exchange, releases: Releases) -> Reply:
    sha = exchange.route.params["sha"]
    names = [name for name, target in state.tags.items() if target.sha == sha]
    if sha not in state.tag_objects:
        raise refusals.not_found()
    return Reply(status=200, json=render.tag_object_json(state, (names or [sha])[0], sha, exchange.hosts))


def _immutable(state: State, exchange: Exchange, releases: Releases) -> Reply:
    if exchange.token is None:
        raise refusals.not_found()
    if not exchange.token.administration:
        raise refusals.forbidden()
    if not state.immutable_releases:
        raise Refused(404, refusals.not_found().body)
    return Reply(status=200, json={"enabled": True, "enforced_by_owner": state.enforced_by_owner})


def _list_releases(state: State, exchange: Exchange, releases: Releases) -> Reply:
    newest = sorted(releases.values(), key=lambda r: -r.id)
    seen = [render.release_json(state, r, exchange.hosts) for r in newest if _visible(r, exchange)]
    return _page(exchange, list(seen))


def _get(state: State, exchange: Exchange, releases: Releases) -> Reply:
    return Reply(status=200, json=render.release_json(state, find_release(exchange, releases), exchange.hosts))


def _by_tag(state: State, exchange: Exchange, releases: Releases) -> Reply:
    for release in releases.values():
        if release.tag == exchange.route.params["tag"] and not release.draft:
            return Reply(status=200, json=render.release_json(state, release, exchange.hosts))
    raise refusals.not_found()


def _latest(state: State, exchange: Exchange, releases: Releases) -> Reply:
    release = actions.latest(state)
    if release is None:
        raise refusals.not_found()
    return Reply(status=200, json=render.release_json(state, release, exchange.hosts))


def _create(state: State, exchange: Exchange, releases: Releases) -> Reply:
    release = actions.create(state, actor(exchange), _fields(exchange))
    shown = render.release_json(state, release, exchange.hosts)
    return Reply(status=201, json=shown, headers={"Location": str(shown["url"])})


def _patch(state: State, exchange: Exchange, releases: Releases) -> Reply:
    release = actions.edit(state, actor(exchange), find_release(exchange, releases), _fields(exchange))
    return Reply(status=200, json=render.release_json(state, release, exchange.hosts))


def _delete_release(state: State, exchange: Exchange, releases: Releases) -> Reply:
    actions.delete_release(state, actor(exchange), find_release(exchange, releases))
    return Reply(status=204)


def _notes(state: State, exchange: Exchange, releases: Releases) -> Reply:
    tag = _fields(exchange).get("tag_name")
    if not isinstance(tag, str):
        raise refusals.not_found()
    changelog = f"**Full Changelog**: {exchange.hosts.web}/{state.repo}/commits/{tag}"
    return Reply(status=200, json={"name": tag, "body": changelog})


def _list_assets(state: State, exchange: Exchange, releases: Releases) -> Reply:
    release = find_release(exchange, releases)
    return _page(exchange, [render.asset_json(state, release, asset, exchange.hosts) for asset in release.assets])


def _get_asset(state: State, exchange: Exchange, releases: Releases) -> Reply:
    release, asset = _find_asset(exchange, releases)
    return Reply(status=200, json=render.asset_json(state, release, asset, exchange.hosts))


def _patch_asset(state: State, exchange: Exchange, releases: Releases) -> Reply:
    release, asset = _find_asset(exchange, releases)
    actions.edit_asset(state, actor(exchange), release, asset, _fields(exchange))
    return Reply(status=200, json=render.asset_json(state, release, asset, exchange.hosts))


def _delete_asset(state: State, exchange: Exchange, releases: Releases) -> Reply:
    release, asset = _find_asset(exchange, releases)
    actions.delete_asset(state, actor(exchange), release, asset)
    return Reply(status=204)


def _to_storage(asset: Asset, exchange: Exchange) -> Reply:
    if not asset.complete or asset.body is None:
        raise refusals.not_found()
    # Whoever has the address may read, token or not: the signature in it is what allows it.
    location = f"{exchange.hosts.web}/storage/{asset.id}?sig={asset.body.sha256[:16]}"
    return Reply(status=302, headers={"Location": location})


def _download(state: State, exchange: Exchange, releases: Releases) -> Reply:
    return _to_storage(_find_asset(exchange, releases)[1], exchange)


def _web_download(state: State, exchange: Exchange, releases: Releases) -> Reply:
    params = exchange.route.params
    newest = actions.latest(state)
    tag = params.get("tag") or (newest.tag if newest is not None else None)
    for release in releases.values():
        if release.tag == tag and not release.draft:
            for asset in release.assets:
                if asset.name == params["name"]:
                    return _to_storage(asset, exchange)
    raise refusals.not_found()


def _storage(state: State, exchange: Exchange, releases: Releases) -> Reply:
    found = state.find_asset(int(exchange.route.params["asset"]))
    if found is None or found[1].body is None:
        raise refusals.not_found()
    asset, body = found[1], found[1].body
    if exchange.query.get("sig") != body.sha256[:16]:
        raise refusals.forbidden()
    asset.downloads += 1
    headers = {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename={asset.name}",
    }
    wanted = re.fullmatch(r"bytes=(\d+)-", exchange.headers.get("Range", ""))
    start = int(wanted[1]) if wanted is not None else 0
    if start and start >= body.size:
        return Reply(status=416, headers={"Content-Range": f"bytes */{body.size}"})
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{body.size - 1}/{body.size}"
    length = body.size - start
    return Reply(status=206 if wanted else 200, headers=headers, stream=body.chunks(start), length=length)


def _graphql(state: State, exchange: Exchange, releases: Releases) -> Reply:
    if exchange.token is None:
        raise refusals.unauthenticated()
    return Reply(status=200, json=answer_graphql(state, exchange))


_HANDLERS: Mapping[Call, Callable[[State, Exchange, Releases], Reply]] = {
    Call.RATE_LIMIT: _rate_limit,
    Call.REPOSITORY: _repository,
    Call.REF: _ref,
    Call.TAG_OBJECT: _tag_object,
    Call.IMMUTABLE: _immutable,
    Call.LIST_RELEASES: _list_releases,
    Call.CREATE: _create,
    Call.LATEST: _latest,
    Call.BY_TAG: _by_tag,
    Call.NOTES: _notes,
    Call.GET: _get,
    Call.PATCH: _patch,
    Call.DELETE_RELEASE: _delete_release,
    Call.LIST_ASSETS: _list_assets,
    Call.GET_ASSET: _get_asset,
    Call.DOWNLOAD: _download,
    Call.PATCH_ASSET: _patch_asset,
    Call.DELETE_ASSET: _delete_asset,
    Call.WEB_DOWNLOAD: _web_download,
    Call.STORAGE: _storage,
    Call.GRAPHQL: _graphql,
}
