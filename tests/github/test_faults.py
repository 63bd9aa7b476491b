"""Planned misbehaviour: each effect at each point does what it says, and nothing else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest
import requests

from tests.github import intruders
from tests.github.api import Api
from tests.github.fake import FakeGitHub
from tests.github.faults import (
    Act,
    Effect,
    Fired,
    Hang,
    Point,
    Reset,
    Stale,
    Tamper,
    Truncate,
    for_asset,
    leave_starter,
    never_listed,
    null_digest,
    primary,
    renamed,
    secondary,
    status,
    stuck,
    wrong_bytes,
    wrong_digest,
    wrong_size,
)
from tests.github.fixtures import COMMIT, github
from tests.github.routes import Call
from tests.github.state import Change

__all__ = ["github"]
pytestmark = pytest.mark.loopback
BIG = b"x" * 5_000_000


def test_before_commit_nothing_is_done(github: FakeGitHub) -> None:
    github.faults.add(Call.CREATE, status(502), point=Point.BEFORE)
    with Api(github) as ours:
        assert ours.create().status_code == 502
        assert github.state.releases == {}
        assert ours.create().status_code == 201  # once means once
    assert github.requests[0].faults == ("502 before commit",)
    assert github.faults.fired == [Fired(request=1, call=Call.CREATE, point=Point.BEFORE, effects=("502",))]
    assert (github.requests[0].carried_out, github.requests[1].carried_out) == (False, True)


def test_after_commit_only_the_answer_is_wrong(github: FakeGitHub) -> None:
    github.faults.add(Call.CREATE, status(502), point=Point.AFTER)
    github.faults.add(Call.UPLOAD, status(503), point=Point.AFTER)
    with Api(github) as ours:
        assert ours.create().status_code == 502
        [release] = github.state.drafts("v1")
        assert ours.upload(release.id, "a.bin", BIG).status_code == 503
        assert release.asset("a.bin").complete
    assert github.requests[0].carried_out is True


@pytest.mark.parametrize("point", Point)
def test_a_reset_is_a_reset(github: FakeGitHub, point: Point) -> None:
    with Api(github) as ours:
        number = ours.draft()
        github.faults.add(Call.UPLOAD, Reset(), point=point)
        with pytest.raises(requests.ConnectionError):
            ours.upload(number, "a.bin", BIG)
        states = {asset.name: asset.state for asset in github.state.releases[number].assets}
        assert (
            states == {Point.BEFORE: {}, Point.MIDDLE: {"a.bin": "starter"}, Point.AFTER: {"a.bin": "uploaded"}}[point]
        )
        assert ours.get(f"releases/{number}").status_code == 200


def test_half_an_upload_and_then_an_answer(github: FakeGitHub) -> None:
    github.faults.add(Call.UPLOAD, status(502), point=Point.MIDDLE)
    github.state.starter_on_interruption = False
    with Api(github) as ours:
        number = ours.draft()
        assert ours.upload(number, "a.bin", BIG).status_code == 502
        assert github.state.releases[number].assets == []
        assert ours.upload(number, "a.bin", BIG).status_code == 201


@pytest.mark.parametrize("effect", [Reset(), status(502), Truncate(), Hang(0)], ids=str)
def test_half_an_answer(github: FakeGitHub, effect: Effect) -> None:
    with Api(github) as ours:
        number = ours.draft(body="x" * 50_000)
        github.faults.add(Call.GET, effect, point=Point.MIDDLE)
        with pytest.raises(requests.RequestException):
            ours.get(f"releases/{number}").json()
        github.faults.add(Call.DELETE_RELEASE, effect, point=Point.MIDDLE)
        with pytest.raises(requests.RequestException):
            ours.ask("DELETE", f"releases/{number}")
        assert github.state.releases == {}


def test_half_a_download(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        ours.upload(number, "a.bin", BIG)
        ours.publish(number)
        github.faults.add(Call.STORAGE, Reset(), point=Point.MIDDLE)
        with pytest.raises(requests.RequestException):
            ours.get("/o/r/releases/download/v1/a.bin")
        assert ours.get("/o/r/releases/download/v1/a.bin").content == BIG


def test_a_hang_lasts_until_it_is_released() -> None:
    with FakeGitHub(tags={"v1": COMMIT}) as fake, Api(fake) as ours:
        fake.faults.add(Call.CREATE, Hang())
        outcome: list[str] = []

        def create() -> None:
            try:
                ours.create()
            except requests.ConnectionError:
                outcome.append("cut")

        waiting = threading.Thread(target=create)
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        fake.faults.release()
        waiting.join(10)
        assert outcome == ["cut"]
        assert fake.state.releases == {}


def test_the_end_of_the_fake_ends_every_hang() -> None:
    with FakeGitHub(tags={"v1": COMMIT}) as fake:
        fake.faults.add(Call.REPOSITORY, Hang())
        api = Api(fake)

        def ask() -> None:
            with contextlib.suppress(requests.ConnectionError):
                api.get("")

        waiting = threading.Thread(target=ask)
        waiting.start()
        while not fake.requests:
            waiting.join(0.01)
    waiting.join(10)
    assert not waiting.is_alive()
    api.session.close()


def test_a_slow_server_answers_in_the_end(github: FakeGitHub) -> None:
    github.faults.add(Call.CREATE, Hang(0.01, answer=True))
    github.faults.add(Call.UPLOAD, Hang(0.01, answer=True), point=Point.MIDDLE)
    with Api(github) as ours:
        assert ours.upload(ours.draft(), "a.bin", BIG).status_code == 201


def test_truncated_json(github: FakeGitHub) -> None:
    github.faults.add(Call.CREATE, Truncate(), point=Point.AFTER)
    github.faults.add(Call.CREATE, Truncate(), nth=2)
    github.faults.add(Call.CREATE, Truncate(framed=False), nth=3, point=Point.AFTER)
    with Api(github) as ours:
        for _ in range(2):
            reply = ours.create()
            with pytest.raises(requests.JSONDecodeError):
                reply.json()
        with pytest.raises(requests.RequestException):
            ours.create()
    assert len(github.state.releases) == 2  # the second was cut off before it was carried out


@pytest.mark.parametrize(
    ("effect", "code", "header"),
    [
        (secondary(), 403, None),
        (secondary(403, 7), 403, "7"),
        (secondary(429), 429, None),
        (secondary(429, 7), 429, "7"),
        (primary(reset=99), 403, None),
    ],
)
def test_limits(github: FakeGitHub, effect: Effect, code: int, header: str | None) -> None:
    github.faults.add(Call.CREATE, effect)
    with Api(github) as ours:
        reply = ours.create()
    assert (reply.status_code, reply.headers.get("Retry-After")) == (code, header)
    assert "rate limit" in reply.json()["message"]
    assert reply.headers["X-RateLimit-Remaining"] == ("0" if "API rate limit" in reply.json()["message"] else "4999")


@pytest.mark.parametrize("code", [401, 403, 404, 422, 500])
def test_statuses(github: FakeGitHub, code: int) -> None:
    github.faults.add(Call.LIST_ASSETS, status(code))
    with Api(github) as ours:
        assert ours.get(f"releases/{ours.draft()}/assets").status_code == code


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (wrong_digest, {"digest": "sha256:" + "0" * 64}),
        (null_digest, {"digest": None}),
        (wrong_size, {"size": 5}),
        (wrong_bytes, {"size": 4}),
        (renamed("b.bin"), {"name": "b.bin"}),
        (stuck, {"state": "new"}),
        (leave_starter, {"state": "starter", "size": 0}),
    ],
    ids=str,
)
def test_what_is_stored_may_be_something_else(github: FakeGitHub, tamper: Tamper, said: dict[str, object]) -> None:
    github.faults.add(Call.UPLOAD, tamper, where=for_asset("a.bin"))
    with Api(github) as ours:
        number = ours.draft()
        ours.upload(number, "other.bin")
        shown = ours.upload(number, "a.bin").json()
        assert {key: shown[key] for key in said} == said
        assert ours.get(f"releases/{number}/assets").json()[1] == shown
        seen = len(ours.get(f"releases/{number}").json()["assets"])
        assert seen == (1 if shown["state"] != "uploaded" else 2)
        if tamper is wrong_bytes:
            stored = github.state.releases[number].asset("a.bin")
            assert stored.body is not None
            assert stored.body.data != b"data"
            assert shown["digest"] == f"sha256:{stored.body.sha256}"


def test_201_and_never_seen_again(github: FakeGitHub) -> None:
    github.faults.add(Call.UPLOAD, never_listed)
    with Api(github) as ours:
        number = ours.draft()
        asset = ours.upload(number, "a.bin")
        assert asset.status_code == 201
        assert ours.get(f"releases/{number}/assets").json() == []
        assert ours.get(f"releases/assets/{asset.json()['id']}").status_code == 404
        assert ours.upload(number, "a.bin").status_code == 201


def test_a_starter_left_by_a_502(github: FakeGitHub) -> None:
    github.faults.add(Call.UPLOAD, leave_starter, status(502), point=Point.AFTER)
    github.faults.add(Call.DELETE_ASSET, status(404), point=Point.AFTER)
    with Api(github) as ours:
        number = ours.draft()
        assert ours.upload(number, "a.bin").status_code == 502
        [starter] = ours.get(f"releases/{number}/assets").json()
        assert starter["state"] == "starter"
        assert ours.ask("DELETE", f"releases/assets/{starter['id']}").status_code == 404
    assert github.state.releases[number].assets == []


def test_what_is_not_carried_out_cannot_be_tampered_with() -> None:
    with pytest.raises(ValueError, match=r"use point=Point\.AFTER"):
        FakeGitHub().faults.add(Call.UPLOAD, leave_starter, status(502))


def test_reads_that_lag_behind(github: FakeGitHub) -> None:
    github.faults.add(Call.LIST_RELEASES, Stale(), nth=2, times=2)
    github.faults.add(Call.LIST_ASSETS, Stale(behind=2))
    with Api(github) as ours:
        ours.draft()
        assert len(ours.get("releases").json()) == 1
        number = ours.draft()
        assert [len(ours.get("releases").json()) for _ in range(3)] == [1, 1, 2]
        ours.upload(number, "a.bin")
        assert ours.get(f"releases/{number}/assets").json() == []
        assert len(ours.get(f"releases/{number}/assets").json()) == 1


def test_others_act_meanwhile(github: FakeGitHub) -> None:
    state = github.state
    acts: dict[Call, Callable[[], object]] = {
        Call.CREATE: lambda: intruders.add_release(state, "v1"),
        Call.UPLOAD: lambda: intruders.replace_asset(state, "v1", "a.bin", b"other"),
        Call.LIST_ASSETS: lambda: intruders.delete_asset(state, "v1", "a.bin"),
        Call.PATCH: lambda: intruders.publish(state, "v1"),
        Call.GET: lambda: intruders.delete_release(state, "v1"),
    }
    for call, act in acts.items():
        github.faults.add(call, Act("somebody", act), point=Point.BEFORE if call is Call.GET else Point.AFTER)
    with Api(github) as ours:
        first = ours.draft()
        assert len(state.drafts("v1")) == 2
        assert ours.upload(first, "a.bin").status_code == 201
        assert state.releases[first].asset("a.bin").size == 5
        assert len(ours.get(f"releases/{first}/assets").json()) == 1
        assert state.releases[first].assets == []
        assert ours.ask("PATCH", f"releases/{first}", json={"body": "x"}).json()["draft"] is True
        assert state.releases[first].draft is False
        assert ours.get(f"releases/{first}").status_code == 404
    assert [m.change for m in state.writes("intruder")] == [
        Change.CREATE,
        Change.DELETE_ASSET,
        Change.UPLOAD,
        Change.DELETE_ASSET,
        Change.PUBLISH,
        Change.DELETE_RELEASE,
    ]


def test_the_nth_request_of_any_kind(github: FakeGitHub) -> None:
    at: list[int] = []
    github.faults.add(None, Act("kill", lambda: at.append(len(github.requests))), nth=3)
    github.faults.add(Call.UPLOAD, Act("kill", lambda: at.append(-1)), point=Point.MIDDLE)
    with Api(github) as ours:
        number = ours.draft()
        ours.get("releases")
        ours.get("releases")
        assert ours.upload(number, "a.bin").status_code == 201
        assert ours.upload(number, "empty", b"").status_code == 201
    assert at == [3, -1]


def test_the_release_may_go_while_a_file_arrives(github: FakeGitHub) -> None:
    github.faults.add(
        Call.UPLOAD, Act("deletes", lambda: intruders.delete_release(github.state, "v1")), point=Point.MIDDLE
    )
    with Api(github) as ours:
        assert ours.upload(ours.draft(), "a.bin", BIG).status_code == 404


def test_rules_for_ever_and_none_at_all(github: FakeGitHub) -> None:
    github.faults.add(Call.LIST_RELEASES, status(500), times=None, nth=2)
    with Api(github) as ours:
        assert [ours.get("releases").status_code for _ in range(4)] == [200, 500, 500, 500]
        github.faults.clear()
        assert ours.get("releases").status_code == 200
