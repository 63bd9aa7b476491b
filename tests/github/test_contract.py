"""The contract check itself: it finds what is wrong, on both sides, and every gap it lets pass is really there."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.github import contract as module
from tests.github.api import Api
from tests.github.contract import DESCRIPTION, Contract, check, data_file, description
from tests.github.exchanges import Exchange
from tests.github.fake import FakeGitHub
from tests.github.faults import Point, Reset, status
from tests.github.fixtures import COMMIT
from tests.github.gaps import GAPS, Gap
from tests.github.intruders import add_asset, add_release
from tests.github.routes import Call
from tests.github.state import READ_TOKEN

pytestmark = [pytest.mark.loopback, pytest.mark.contract]


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    """What needs every one of the gaps."""
    with FakeGitHub(tags={"v1": COMMIT, "team/v2": COMMIT}) as fake, Api(fake) as ours, Api(fake, READ_TOKEN) as reader:
        fake.state.add_tag("v3", COMMIT, annotated=True)
        number = ours.draft()
        add_asset(fake.state, fake.state.releases[number], "half", complete=False)
        ours.get(f"releases/{number}/assets")
        ours.get("git/ref/tags/team/v2")
        ours.get(f"git/tags/{next(iter(fake.state.tag_objects))}")
        ours.upload(number, "a.bin", label="")
        _post(ours, number, b"text", **{"Content-Type": "text/plain", "User-Agent": "GitHub CLI 2.23.0"})
        ours.get("/o/r/releases/download/v1/a.bin")
        with Api(fake, "unknown") as nobody:
            nobody.get("releases")
        reader.create()
        ours.get("releases/1")
        ours.ask("PATCH", "releases/assets/1", json={})
        _post(ours, number, iter([b"x"]))
        fake.state.limits.asset_size = 3
        ours.upload(number, "c.bin", b"abc")
        add_asset(fake.state, fake.state.releases[number], "d.bin", b"d")
        fake.faults.add(Call.LIST_RELEASES, status(422))
        ours.get("releases")
        fake.state.immutable_releases = True
        asset = fake.state.releases[number].asset("a.bin").id
        ours.publish(number)
        ours.ask("DELETE", f"releases/assets/{asset}")
        ours.publish(add_release(fake.state, "v1").id)
    return fake.requests


def _post(ours: Api, number: int, data: bytes | Iterator[bytes], **headers: str) -> None:
    ours.session.post(
        f"{ours.fake.url}/repos/o/r/releases/{number}/assets?name=a.txt",
        data=data,
        headers={"Content-Type": "application/octet-stream", **headers},
        timeout=30,
    )


def test_all_of_it_is_as_described_or_a_known_gap(exchanges: list[Exchange]) -> None:
    check(exchanges)


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: gap.id)
def test_every_gap_is_needed(gap: Gap, exchanges: list[Exchange]) -> None:
    """Without this entry something fails: the day it does not, the entry must go."""
    assert not without(list(GAPS)).findings(exchanges)
    others = [other for other in GAPS if other is not gap]
    assert without(others).findings(exchanges), f"{gap.id} is no gap any more: take it off the list"
    assert gap.reason


def without(gaps: list[Gap]) -> Contract:
    return Contract(description(), gaps)


def broken(exchanges: list[Exchange], call: Call, change: Callable[[Exchange], Exchange]) -> list[str]:
    """The first exchange of a call that went well, changed and checked."""
    found = next(e for e in exchanges if e.call is call and (e.status or 999) < 400)
    assert without(list(GAPS)).findings([found]) == []
    return [str(finding) for finding in without(list(GAPS)).findings([change(found)])]


def reply(exchange: Exchange, **fields: object) -> Exchange:
    assert isinstance(exchange.reply, dict)
    return dataclasses.replace(exchange, reply={**exchange.reply, **fields})


@pytest.mark.parametrize(
    ("call", "change", "said"),
    [
        (Call.CREATE, lambda e: dataclasses.replace(e, json={"draft": True}), "request .* 'tag_name' is a required"),
        (Call.CREATE, lambda e: dataclasses.replace(e, json={"tag_name": "v1", "draft": "yes"}), "draft: 'yes' is not"),
        (Call.CREATE, lambda e: dataclasses.replace(e, path="/repos/o/r/release"), "Path not found"),
        (Call.CREATE, lambda e: dataclasses.replace(e, status=200), "Unknown response http status: 200"),
        (Call.CREATE, lambda e: dataclasses.replace(e, status=422, reply={}), "'message' is a required property"),
        (Call.CREATE, lambda e: dataclasses.replace(e, status=429, reply=None), "Unknown response http status: 429"),
        (Call.CREATE, lambda e: reply(e, created_at="yesterday"), "created_at: 'yesterday' is not a 'date-time'"),
        (Call.CREATE, lambda e: reply(e, author=None), "reply .* author"),
        (Call.UPLOAD, lambda e: reply(e, state="lost"), "state: 'lost' is not one of"),
        (Call.UPLOAD, lambda e: reply(e, digest=5), "digest: 5 is not of type"),
        (Call.UPLOAD, lambda e: dataclasses.replace(e, query={}), "Missing required query parameter: name"),
        (
            Call.UPLOAD,
            lambda e: dataclasses.replace(e, headers={**e.headers, "Content-Type": "application/gzip"}),
            "mimetype not found: application/gzip",
        ),
    ],
)
def test_what_is_not_as_described_is_found(
    exchanges: list[Exchange], call: Call, change: Callable[[Exchange], Exchange], said: str
) -> None:
    found = broken(exchanges, call, change)
    assert found
    assert re.search(said, "\n".join(found)), found


@pytest.mark.off_contract
def test_the_fixture_fails_a_test_that_breaks_the_contract() -> None:
    with FakeGitHub() as fake, Api(fake) as ours:
        ours.get("/user")
    with pytest.raises(
        AssertionError, match="#1 GET /user -> 404: request is not as GitHub describes it: Path not found"
    ):
        check(fake.requests)


def test_a_fake_of_any_test_is_held_to_the_contract_when_it_stops() -> None:
    with (
        pytest.raises(AssertionError, match="#1 GET /user -> 404: request is not as GitHub describes it"),
        FakeGitHub() as fake,
        Api(fake) as ours,
    ):
        ours.get("/user")


@pytest.mark.off_contract
def test_what_was_never_answered_has_only_a_request() -> None:
    with FakeGitHub(tags={"v1": COMMIT}) as fake, Api(fake) as ours:
        fake.faults.add(Call.CREATE, Reset(), point=Point.AFTER)
        with pytest.raises(requests.ConnectionError):
            ours.create()
        check(fake.requests)
        fake.requests[0].json = {}
        assert "request is not" in str(without([]).findings(fake.requests)[0])


def test_equal_exchanges_are_checked_once(exchanges: list[Exchange]) -> None:
    one = Contract(description())
    one.findings(exchanges)
    known = len(one._good)
    one.findings([dataclasses.replace(exchange, number=exchange.number + 1000) for exchange in exchanges])
    assert len(one._good) == known


def test_the_reference_data_is_what_it_says() -> None:
    digest = hashlib.sha256(data_file(DESCRIPTION).read_bytes()).hexdigest()
    assert digest == "26d5854fd773149cc1f2c0f7350d509b19feabd1e7242263b0af71fb51d833cf"
    assert digest in data_file("README.md").read_text()


def test_missing_reference_data_fails_and_never_skips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "DATA", tmp_path)
    with pytest.raises(AssertionError, match=r"the reference data is missing: .*; it lies beside the repository"):
        data_file(DESCRIPTION)
