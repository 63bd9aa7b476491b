"""The one GraphQL address: the two questions that Debian's gh asks about releases, and an error for any other."""

from __future__ import annotations

__all__ = ["answer_graphql"]

from tests.github.actions import latest
from tests.github.exchanges import Exchange
from tests.github.state import Release, State

_PAGE = {"hasNextPage": False, "endCursor": None}


def answer_graphql(state: State, exchange: Exchange) -> dict[str, object]:
    """Answer by what the query selects; drafts are there for who may push."""
    document = exchange.json if isinstance(exchange.json, dict) else {}
    query, variables = str(document.get("query")), document.get("variables")
    variables = variables if isinstance(variables, dict) else {}
    drafts = exchange.token is not None and exchange.token.can_push
    seen = sorted((r for r in state.releases.values() if drafts or not r.draft), key=lambda r: -r.id)
    if "release(tagName:" in query:
        found = [r for r in seen if r.tag == variables.get("tagName")]
        short = {"databaseId": found[0].id, "isDraft": found[0].draft} if found else None
        return {"data": {"repository": {"release": short}}}
    if "releases(first:" in query:
        nodes = [_node(state, release) for release in seen]
        return {"data": {"repository": {"releases": {"nodes": nodes, "pageInfo": _PAGE}}}}
    return {"errors": [{"message": "the fake GitHub does not know this query"}]}


def _node(state: State, release: Release) -> dict[str, object]:
    return {
        "name": release.name,
        "tagName": release.tag,
        "isDraft": release.draft,
        "isPrerelease": release.prerelease,
        "isLatest": release is latest(state),
        "createdAt": state.stamp(release.created_at),
        "publishedAt": state.stamp(release.published_at),
    }
