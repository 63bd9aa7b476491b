"""Octokit's recording of the real GitHub, replayed against the fake: same statuses, same bodies.

get the release by tag, upload over an existing name (422), list, delete (204), upload again (201).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.github import actions
from tests.github.actions import Actor
from tests.github.api import Api
from tests.github.bodies import Bodies
from tests.github.contract import check, data_file
from tests.github.exchanges import Exchange
from tests.github.fake import FakeGitHub
from tests.github.state import Access, Token

pytestmark = [pytest.mark.loopback, pytest.mark.contract]

FIXTURE = "release-assets-conflict/normalized-fixture.json"
TOKEN = "0" * 39 + "1"
REPO = "octokit-fixture-org/release-assets-conflict"
COMMIT = TOKEN
# 2017-10-10T16:00:00Z, the moment of every date in the normalised recording.
MOMENT = 1507651200.0
# Fields GitHub has added since the recording (2022), and nothing else may be new.
SINCE = {"digest", "immutable", "updated_at"}
# The normaliser wrote one constant for every opaque identifier and for the counter.
OPAQUE = {"node_id", "download_count", "request_id"}


def recorded() -> list[dict[str, Any]]:
    return list(json.loads(data_file(FIXTURE).read_bytes()))


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    """The scene of the recording: one published release that holds one asset."""
    owner = Token(login="octokit-fixture-user-a", access=Access.PUSH, scopes=("repo",))
    fake = FakeGitHub(REPO, tags={"v1.0.0": COMMIT}, tokens={TOKEN: owner}, clock=lambda: MOMENT)
    state, actor = fake.state, Actor(token=owner)
    state.next_release = state.next_asset = 1000
    state.user_ids["octokit-fixture-user-a"] = 1000
    fields: actions.Fields = {
        "tag_name": "v1.0.0",
        "target_commitish": COMMIT,
        "name": "Version 1.0.0",
        "body": "Initial release",
    }
    release = actions.create(state, actor, fields)
    with fake:
        yield fake
    check(fake.requests)
    assert release.names == {"test-upload.txt"}


def add_asset(fake: FakeGitHub) -> None:
    owner = Actor(token=fake.state.tokens[TOKEN])
    data = b"Hello, world!\n"
    actions.begin_upload(
        fake.state,
        owner,
        fake.state.releases[1000],
        name="test-upload.txt",
        label="test",
        content_type="text/plain",
        size=len(data),
    ).finish(Bodies.of(data))


def same(seen: Any, golden: Any, where: str = "") -> None:  # noqa: ANN401 - JSON
    """Compare field by field: none missing, none new but the listed ones, all equal but the opaque ones."""
    if isinstance(golden, dict):
        assert isinstance(seen, dict), where
        since = SINCE & seen.keys() - golden.keys()
        assert seen.keys() - since == golden.keys(), where
        for key in golden:
            if key in OPAQUE:
                assert type(seen[key]) is type(golden[key]), f"{where}/{key}"
            else:
                same(seen[key], golden[key], f"{where}/{key}")
    elif isinstance(golden, list):
        assert isinstance(seen, list), where
        assert len(seen) == len(golden), where
        for index, (one, other) in enumerate(zip(seen, golden, strict=True)):
            same(one, other, f"{where}/{index}")
    else:
        assert seen == golden, where


def test_the_recording_is_what_it_says() -> None:
    digest = hashlib.sha256(data_file(FIXTURE).read_bytes()).hexdigest()
    assert digest == "46e52c506cc2346f0c432d1c352867f74a5d7a655df47230f040fe41a2fbdb28"
    assert [(one["method"], one["status"]) for one in recorded()] == [
        ("get", 200),
        ("post", 422),
        ("get", 200),
        ("delete", 204),
        ("post", 201),
    ]


def test_the_recording_replays(fake: FakeGitHub) -> None:
    with Api(fake, TOKEN) as api:
        for index, one in enumerate(recorded()):
            if index == 1:
                add_asset(fake)  # between the first and the second exchange the recording's scratch upload happened
            headers = {key: str(value) for key, value in one["reqheaders"].items() if key in {"accept", "content-type"}}
            reply = api.session.request(
                one["method"].upper(),
                fake.url + one["path"],
                data=one["body"].encode() or None,
                headers={**headers, "User-Agent": "octokit-fixtures"},
                timeout=30,
            )
            assert reply.status_code == one["status"], reply.text
            assert reply.headers.get("Content-Type") == one["headers"].get("content-type")
            text = json.dumps(one["response"])
            for host in ("https://api.github.com", "https://uploads.github.com", "https://github.com"):
                text = text.replace(host, fake.url)
            golden = json.loads(text)
            same(reply.json() if reply.content else "", golden, f"exchange {index}")


def test_the_comparison_can_fail(fake: FakeGitHub) -> None:
    add_asset(fake)
    with Api(fake, TOKEN) as api:
        seen = api.get("releases/tags/v1.0.0").json()
    same(seen, dict(seen))
    for wrong in ({**seen, "id": 7}, {**seen, "more": 1}, {k: v for k, v in seen.items() if k != "assets"}):
        with pytest.raises(AssertionError):
            same(wrong, seen)
    assert isinstance(fake.requests[0], Exchange)
