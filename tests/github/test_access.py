"""Who may do what, tags and what they lead to, the clock, the limits; and what is written down of it all."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.github.api import Api
from tests.github.fake import FakeGitHub
from tests.github.faults import Act
from tests.github.fixtures import COMMIT, github
from tests.github.routes import Call, find
from tests.github.state import NO_TOKEN, PUSH_TOKEN, READ_TOKEN, Access, Token

__all__ = ["github"]
pytestmark = pytest.mark.loopback


def test_the_repository_says_what_the_token_may(github: FakeGitHub) -> None:
    for token, push in ((PUSH_TOKEN, True), (READ_TOKEN, False)):
        with Api(github, token) as api:
            shown = api.get("").json()
            assert shown["permissions"]["push"] is push
            assert (shown["full_name"], shown["private"], shown["default_branch"]) == ("o/r", False, "main")
    with Api(github, None) as anonymous:
        assert "permissions" not in anonymous.get("").json()
        assert anonymous.get("/repos/O/R").status_code == 200  # names do not heed case
        assert anonymous.get("/repos/o/other").status_code == 404


def test_an_unknown_token_is_refused_everywhere(github: FakeGitHub) -> None:
    with Api(github, "made-up") as nobody:
        for reply in (nobody.get(""), nobody.get("releases"), nobody.create(), nobody.get("/rate_limit")):
            assert (reply.status_code, reply.json()["message"]) == (401, "Bad credentials")
    assert github.state.releases == {}


def test_writes_need_more_than_reading(github: FakeGitHub) -> None:
    scoped = {"classic": (), "full": ("repo",)}
    for name, scopes in scoped.items():
        github.state.tokens[name] = Token(login=name, access=Access.PUSH, scopes=scopes)
    seen = {}
    for token in (None, READ_TOKEN, "classic", "full", PUSH_TOKEN):
        with Api(github, token) as api:
            seen[token] = api.create().status_code
    # A fine-grained token hears 403, a classic one 404, nobody 401.
    assert seen == {None: 401, READ_TOKEN: 403, "classic": 404, "full": 201, PUSH_TOKEN: 201}
    with Api(github, "full") as api:
        assert api.get("").headers["X-OAuth-Scopes"] == "repo"
    with Api(github, "classic") as api:
        shown = api.get("")
        assert shown.json()["permissions"]["push"] is True  # the user's; what the token lacks only the header shows
        assert shown.headers["X-OAuth-Scopes"] == ""


def test_a_private_repository_is_not_there_for_others(github: FakeGitHub) -> None:
    github.state.private = True
    with Api(github) as ours:
        number = ours.draft()
        ours.upload(number, "a.bin")
        ours.publish(number)
    for token, status in ((PUSH_TOKEN, 200), (READ_TOKEN, 200), (NO_TOKEN, 404), (None, 404)):
        with Api(github, token) as api:
            assert api.get("").status_code == status
            assert api.get("releases/tags/v1").status_code == status
            assert api.get("/o/r/releases/download/v1/a.bin").status_code == status


def test_tags_light_and_annotated(github: FakeGitHub) -> None:
    github.state.add_tag("v2", COMMIT, annotated=True)
    github.state.add_tag("team/v3", COMMIT)
    with Api(github, None) as api:
        light = api.get("git/ref/tags/v1").json()
        assert (light["ref"], light["object"]["type"], light["object"]["sha"]) == ("refs/tags/v1", "commit", COMMIT)
        annotated = api.get("git/ref/tags/v2").json()["object"]
        assert annotated["type"] == "tag"
        peeled = api.ask("GET", annotated["url"].removeprefix(github.url)).json()
        assert (peeled["tag"], peeled["object"]["type"], peeled["object"]["sha"]) == ("v2", "commit", COMMIT)
        assert api.get("git/ref/tags/team/v3").json()["object"]["sha"] == COMMIT
        assert api.get("git/ref/tags/team%2Fv3").json()["object"]["sha"] == COMMIT
        assert api.get("git/ref/tags/v").status_code == 404
        assert api.get("git/ref/heads/main").status_code == 404
        assert api.get(f"git/tags/{'0' * 40}").status_code == 404
    assert github.state.peeled("v2") == COMMIT
    assert github.state.peeled("v9") is None


def test_whether_releases_are_immutable(github: FakeGitHub) -> None:
    github.state.tokens["no-admin"] = Token(login="bot", access=Access.PUSH, administration=False)
    with Api(github) as ours, Api(github, "no-admin") as bot, Api(github, None) as anonymous:
        assert ours.get("immutable-releases").status_code == 404
        github.state.immutable_releases = True
        assert ours.get("immutable-releases").json() == {"enabled": True, "enforced_by_owner": False}
        assert bot.get("immutable-releases").status_code == 403
        assert anonymous.get("immutable-releases").status_code == 404


def test_the_clock_can_be_wrong(github: FakeGitHub) -> None:
    github.state.clock = lambda: 1_700_000_000.0
    github.state.skew = -3600
    with Api(github) as ours:
        reply = ours.create()
        assert parsedate_to_datetime(reply.headers["Date"]).timestamp() == 1_700_000_000 - 3600
        assert reply.json()["created_at"] == "2023-11-14T21:13:20Z"


def test_the_secondary_limit_where_it_is_asked_for(github: FakeGitHub) -> None:
    clock = [1_700_000_000.0]
    github.state.clock = lambda: clock[0]
    github.state.limits.writes_per_minute = 2
    with Api(github) as ours:
        assert [ours.create().status_code for _ in range(2)] == [201, 201]
        limited = ours.create()
        assert (limited.status_code, limited.headers["Retry-After"]) == (403, "61")
        assert limited.json()["message"].startswith("You have exceeded a secondary rate limit")
        assert ours.get("releases").status_code == 200  # reads are not counted
        clock[0] += 61
        assert ours.create().status_code == 201


def test_limits_are_told(github: FakeGitHub) -> None:
    with Api(github, None) as api:
        reply = api.get("/rate_limit")
    assert reply.json()["rate"]["limit"] == 5000
    assert reply.headers["X-RateLimit-Remaining"] == "4999"


@pytest.mark.off_contract
def test_what_is_not_there_is_404_and_breaks_the_contract() -> None:
    with FakeGitHub() as fake, Api(fake) as ours:
        assert ours.ask("PUT", "releases/1").status_code == 404
        assert ours.get("/elsewhere").status_code == 404
        assert ours.ask("POST", "/graphql", json={"query": "{viewer{login}}"}).json()["errors"]
        with Api(fake, None) as anonymous:
            assert anonymous.ask("POST", "/graphql", json={}).status_code == 401
        assert [e.call for e in fake.requests] == [Call.UNKNOWN, Call.UNKNOWN, Call.GRAPHQL, Call.GRAPHQL]


def test_no_token_is_written_down(github: FakeGitHub) -> None:
    with Api(github) as ours:
        ours.upload(ours.draft(body="notes"), "a.bin")
    written = json.dumps([[dict(e.headers), e.json, dict(e.reply_headers), e.reply] for e in github.requests])
    assert PUSH_TOKEN not in written
    assert [str(e) for e in github.requests] == [
        "#1 POST /repos/o/r/releases -> 201",
        "#2 POST /repos/o/r/releases/1001/assets -> 201",
    ]
    assert github.requests[0].json == {"tag_name": "v1", "draft": True, "body": "notes"}
    assert github.requests[0].token == github.state.tokens[PUSH_TOKEN]


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("GET", "/repos/o/r/releases/tags/a/b", Call.BY_TAG),
        ("GET", "/repos/o/r/releases/7", Call.GET),
        ("GET", "/repos/o/r/releases/x", Call.UNKNOWN),
        ("HEAD", "/repos/o/r/releases/assets/7", Call.GET_ASSET),
        ("POST", "/repos/o/r/releases/7/assets", Call.UPLOAD),
        ("POST", "/repos/o/r/releases/7", Call.UNKNOWN),
        ("GET", "/o/r/releases/download/team/v1/a.bin", Call.WEB_DOWNLOAD),
    ],
)
def test_addresses(method: str, path: str, call: Call) -> None:
    assert find(method, path, "*/*").call is call


def test_the_state_outlives_the_server() -> None:
    fake = FakeGitHub(tags={"v1": COMMIT})
    with pytest.raises(RuntimeError, match="not running"):
        _ = fake.url
    with fake, Api(fake) as ours:
        number = ours.draft()
    with fake, Api(fake) as ours:
        assert ours.get(f"releases/{number}").status_code == 200
    assert [e.number for e in fake.requests] == [1, 2]
    fake.stop()  # a second time does nothing


def test_a_bug_of_the_fake_is_no_fault_of_github() -> None:
    def wrong() -> None:
        msg = "a bug"
        raise KeyError(msg)

    fake = FakeGitHub().start()
    fake.faults.add(Call.REPOSITORY, Act("wrong", wrong))
    with Api(fake) as ours, pytest.raises(requests.ConnectionError):
        ours.get("")
    with pytest.raises(RuntimeError, match="the fake GitHub itself failed") as caught:
        fake.stop()
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_same_port_again() -> None:
    with FakeGitHub() as first, Api(first) as api:
        api.get("")
        port = int(first.url.rpartition(":")[2])
    with FakeGitHub(port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"
