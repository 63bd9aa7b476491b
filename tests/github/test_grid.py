"""The whole grid of faults: every call, every effect, every point has a meaning, and the fake survives it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import requests

from tests.github import intruders
from tests.github.api import Api
from tests.github.fake import FakeGitHub
from tests.github.faults import Effect, Hang, Point, Reset, Stale, Tamper, Truncate, null_digest, secondary, status
from tests.github.fixtures import COMMIT
from tests.github.routes import Call

pytestmark = pytest.mark.loopback
BIG = b"x" * 5_000_000

CALLS = [call for call in Call if call is not Call.UNKNOWN]
EFFECTS: list[Effect] = [
    *(status(code) for code in (401, 404, 422, 500, 502, 503)),
    secondary(),
    secondary(429, 1),
    Reset(),
    Hang(0),
    Truncate(),
    Truncate(framed=False),
    Stale(),
    null_digest,
]


def ask_everything(ours: Api, draft: int, public: int, asset: int) -> None:
    """One request of every kind; whatever comes back, or nothing."""
    octets = {"Accept": "application/octet-stream"}
    wanted: list[Callable[[], object]] = [
        lambda: ours.get("/rate_limit"),
        lambda: ours.get(""),
        lambda: ours.get("git/ref/tags/v2"),
        lambda: ours.get(f"git/tags/{next(iter(ours.fake.state.tag_objects))}"),
        lambda: ours.get("immutable-releases"),
        lambda: ours.get("releases"),
        ours.create,
        lambda: ours.get("releases/latest"),
        lambda: ours.get("releases/tags/v2"),
        lambda: ours.ask("POST", "releases/generate-notes", json={"tag_name": "v1"}),
        lambda: ours.get(f"releases/{draft}"),
        lambda: ours.upload(draft, "b.bin"),
        lambda: ours.get(f"releases/{draft}/assets"),
        lambda: ours.get(f"releases/assets/{asset}"),
        lambda: ours.get(f"releases/assets/{asset}", **octets),
        lambda: ours.ask("PATCH", f"releases/assets/{asset}", json={"label": "L"}),
        lambda: ours.get("/o/r/releases/download/v2/a.bin"),
        lambda: ours.ask("POST", "/graphql", json={"query": "release(tagName:", "variables": {"tagName": "v2"}}),
        lambda: ours.ask("DELETE", f"releases/assets/{asset}"),
        lambda: ours.ask("PATCH", f"releases/{draft}", json={"body": "x"}),
        lambda: ours.ask("DELETE", f"releases/{public}"),
    ]
    for ask in wanted:
        try:
            reply = ask()
            assert isinstance(reply, requests.Response)
            assert reply.status_code < 600
        except requests.RequestException:
            pass


@pytest.mark.parametrize(("point", "effect"), list(itertools.product(Point, EFFECTS)), ids=str)
def test_the_whole_grid_has_a_meaning(point: Point, effect: Effect) -> None:
    """Every call with every effect at every point: the fake never fails itself, and is well afterwards."""
    with FakeGitHub(tags={"v1": COMMIT}) as fake, Api(fake) as ours:
        fake.state.add_tag("v2", COMMIT, annotated=True)
        public = intruders.add_release(fake.state, "v2")
        asset = intruders.add_asset(fake.state, public, "a.bin", b"data").id
        intruders.publish(fake.state, "v2")
        draft = intruders.add_release(fake.state, "v1").id
        for call in CALLS:
            allowed = not (isinstance(effect, Tamper) and point is Point.MIDDLE)
            fake.faults.add(call, effect, point=point if allowed else Point.AFTER)
        ask_everything(ours, draft, public.id, asset)
        # Storage is only reached where the redirect to it was not spoilt.
        assert {e.call for e in fake.requests if e.faults} | {Call.STORAGE} == set(CALLS)
        fake.faults.clear()
        number = ours.draft("v9")
        assert ours.upload(number, "c.bin", BIG).json()["size"] == len(BIG)
        assert ours.publish(number).json()["draft"] is False
