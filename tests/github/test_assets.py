"""Assets, over real HTTP: uploads, names, digests, starters, limits, downloads, and what is kept of the bytes."""

from __future__ import annotations

import hashlib
import resource
import socket
from pathlib import Path

import pytest

from tests.github.actions import stored_name
from tests.github.api import Api
from tests.github.fake import FakeGitHub
from tests.github.fixtures import COMMIT, github
from tests.github.intruders import add_asset
from tests.github.state import READ_TOKEN, Change

__all__ = ["github"]
pytestmark = pytest.mark.loopback


def test_an_upload_is_stored_with_its_digest(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        reply = ours.upload(number, "a.tar.zst", b"content", label="A file")
        asset = reply.json()
        digest = hashlib.sha256(b"content").hexdigest()
        assert reply.status_code == 201
        assert (asset["name"], asset["label"], asset["size"], asset["state"]) == ("a.tar.zst", "A file", 7, "uploaded")
        assert asset["digest"] == f"sha256:{digest}"
        assert ours.get(f"releases/assets/{asset['id']}").json() == asset
        assert ours.get(f"releases/{number}/assets").json() == [asset]
        assert ours.get(f"releases/{number}").json()["assets"] == [asset]
        assert "untagged-" in asset["browser_download_url"]
    stored = github.state.releases[number].asset("a.tar.zst")
    assert stored.body is not None
    assert stored.body.data == b"content"
    exchange = next(e for e in github.requests if e.method == "POST" and e.uploaded)
    assert exchange.uploaded == (7, digest)
    assert "Authorization" not in exchange.headers


def test_an_empty_file_is_a_file(github: FakeGitHub) -> None:
    with Api(github) as ours:
        asset = ours.upload(ours.draft(), "empty", b"").json()
        assert (asset["size"], asset["state"]) == (0, "uploaded")
        assert asset["digest"] == f"sha256:{hashlib.sha256(b'').hexdigest()}"
        assert ours.get(f"releases/assets/{asset['id']}", Accept="application/octet-stream").content == b""


def test_the_same_name_again_is_refused_as_in_the_transcript(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        first = ours.upload(number, "a.bin").json()
        again = ours.upload(number, "a.bin", b"x" * 3_000_000)
        assert again.status_code == 422
        assert again.json() == {
            "message": "Validation Failed",
            "request_id": again.headers["X-GitHub-Request-Id"],
            "documentation_url": "https://docs.github.com/rest",
            "errors": [{"resource": "ReleaseAsset", "code": "already_exists", "field": "name"}],
        }
        assert ours.ask("DELETE", f"releases/assets/{first['id']}").status_code == 204
        assert ours.ask("DELETE", f"releases/assets/{first['id']}").status_code == 404
        assert ours.upload(number, "a.bin").status_code == 201
        assert ours.upload(number + 9, "a.bin").status_code == 404
    assert [m.change for m in github.state.history][1:] == [Change.UPLOAD, Change.DELETE_ASSET, Change.UPLOAD]


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("a b.bin", "a.b.bin"),
        ("a~b(1).bin", "a.b.1.bin"),
        (".hidden", "default.hidden"),
        ("trailing.", "trailing"),
        ("ünïcode", "default.n.code"),
        ("plain-name_1.0+x@y.tar.zst", "plain-name_1.0+x@y.tar.zst"),
    ],
)
def test_special_characters_are_renamed(asked: str, stored: str) -> None:
    assert stored_name(asked) == stored


@pytest.mark.off_contract
def test_the_reply_shows_the_new_name(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        assert ours.upload(number, "a b.bin").json()["name"] == "a.b.bin"
        assert ours.upload(number, "a.b.bin").status_code == 422
    with FakeGitHub() as fake, Api(fake) as ours:  # not the fixture: a name is required by the description
        refused = ours.upload(ours.draft(), "")
        assert refused.json()["errors"][0] == {"resource": "ReleaseAsset", "code": "missing_field", "field": "name"}


def test_a_starter_hides_from_the_release_and_stays_in_the_list(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        starter = add_asset(github.state, github.state.releases[number], "a.bin", complete=False)
        assert ours.get(f"releases/{number}").json()["assets"] == []
        [listed] = ours.get(f"releases/{number}/assets").json()
        assert (listed["state"], listed["size"], listed["digest"]) == ("starter", 0, None)
        assert ours.upload(number, "a.bin").status_code == 422  # it still has the name
        assert ours.get(f"releases/assets/{starter.id}", Accept="application/octet-stream").status_code == 404
        assert ours.ask("DELETE", f"releases/assets/{starter.id}").status_code == 204
        assert ours.upload(number, "a.bin").status_code == 201


@pytest.mark.parametrize("leftover", [True, False])
def test_a_client_that_goes_away_leaves_a_starter_or_nothing(github: FakeGitHub, leftover: bool) -> None:
    github.state.starter_on_interruption = leftover
    with Api(github) as ours:
        number = ours.draft()
        host, port = github.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                f"POST /repos/o/r/releases/{number}/assets?name=a.bin HTTP/1.1\r\nHost: {host}:{port}\r\n"
                "Content-Type: application/octet-stream\r\nContent-Length: 100\r\n"
                "Authorization: token fake-push-token\r\n\r\nhalf".encode()
            )
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        states = [asset["state"] for asset in ours.get(f"releases/{number}/assets").json()]
    assert states == (["starter"] if leftover else [])
    assert github.requests[-2].status is None
    assert github.requests[-2].carried_out is False


def test_assets_come_in_pages_of_thirty(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        for index in range(31):
            add_asset(github.state, github.state.releases[number], f"{index:02}", complete=index != 30)
        assert len(ours.get(f"releases/{number}/assets").json()) == 30
        [last] = ours.get(f"releases/{number}/assets?page=2").json()
        assert (last["name"], last["state"]) == ("30", "starter")
        assert len(ours.get(f"releases/{number}/assets?per_page=100").json()) == 31


def test_limits_of_count_and_size(github: FakeGitHub) -> None:
    github.state.limits.assets = 2
    github.state.limits.asset_size = 10
    with Api(github) as ours:
        number = ours.draft()
        assert ours.upload(number, "most", b"x" * 9).status_code == 201
        assert ours.upload(number, "exactly", b"x" * 10).status_code == 500  # as GitHub does at exactly 2 GiB
        more = ours.upload(number, "more", b"x" * 11)
        assert (more.status_code, more.json()["errors"][0]["field"]) == (422, "size")
        assert ours.upload(number, "second", b"x").status_code == 201
        full = ours.upload(number, "third", b"x")
        assert (full.status_code, full.json()["errors"][0]["field"]) == (422, "file_count")
    assert github.state.releases[number].names == {"most", "second"}


def test_the_real_limits() -> None:
    limits = FakeGitHub().state.limits
    assert (limits.asset_size, limits.assets, limits.body) == (2 << 30, 1000, 125_000)


def test_an_upload_must_say_how_long_it_is(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        reply = ours.session.post(
            f"{github.url}/repos/o/r/releases/{number}/assets?name=a",
            data=iter([b"chunk"]),
            headers={"Content-Type": "application/octet-stream"},
            timeout=30,
        )
        assert reply.status_code == 411
    assert github.state.releases[number].assets == []


def test_names_and_labels_can_be_changed(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        one, two = ours.upload(number, "one").json()["id"], ours.upload(number, "two").json()["id"]
        changed = ours.ask("PATCH", f"releases/assets/{one}", json={"name": "a b", "label": "L"}).json()
        assert (changed["name"], changed["label"]) == ("a.b", "L")
        taken = ours.ask("PATCH", f"releases/assets/{two}", json={"name": "a.b"})
        assert (taken.status_code, taken.json()["errors"][0]["code"]) == (422, "already_exists")
        assert ours.ask("PATCH", "releases/assets/1", json={}).status_code == 404


def test_downloads_redirect_and_drafts_are_only_ours(github: FakeGitHub) -> None:
    with Api(github) as ours, Api(github, None) as anonymous, Api(github, READ_TOKEN) as reader:
        number = ours.draft()
        asset = ours.upload(number, "a b.bin", b"0123456789").json()
        octets = {"Accept": "application/octet-stream"}
        path, web = f"releases/assets/{asset['id']}", "/o/r/releases/download/v1/a.b.bin"
        redirect = ours.ask("GET", path, headers=octets, follow=False)
        assert (redirect.status_code, redirect.content) == (302, b"")
        assert ours.get(path, **octets).content == b"0123456789"
        for other in (anonymous, reader):
            assert other.get(path, **octets).status_code == 404
            assert other.get(web).status_code == 404
        ours.publish(number)
        assert ours.get(path).json()["browser_download_url"] == f"{github.url}{web}"
        assert anonymous.get(web).content == b"0123456789"
        assert anonymous.get("/o/r/releases/latest/download/a.b.bin").content == b"0123456789"
        assert anonymous.get(path, **octets).content == b"0123456789"
        assert anonymous.get("/o/r/releases/download/v1/other").status_code == 404
        assert github.state.releases[number].asset("a.b.bin").downloads == 4


def test_a_download_can_be_resumed(github: FakeGitHub) -> None:
    with Api(github) as ours, Api(github, None) as anonymous:
        number = ours.draft()
        ours.upload(number, "a.bin", b"0123456789")
        ours.publish(number)
        web = "/o/r/releases/download/v1/a.bin"
        rest = anonymous.get(web, Range="bytes=4-")
        assert (rest.status_code, rest.content) == (206, b"456789")
        assert rest.headers["Content-Range"] == "bytes 4-9/10"
        assert anonymous.get(web, Range="bytes=10-").status_code == 416
        head = anonymous.ask("HEAD", web)
        assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "10", b"")
        assert anonymous.get("/storage/500001").status_code == 403  # the address alone is not enough
        assert anonymous.get("/storage/1?sig=x").status_code == 404


def test_the_storage_takes_no_token(github: FakeGitHub) -> None:
    with Api(github) as ours:
        number = ours.draft()
        asset = ours.upload(number, "a.bin").json()["id"]
        there = ours.ask(
            "GET", f"releases/assets/{asset}", headers={"Accept": "application/octet-stream"}, follow=False
        )
        signed = there.headers["Location"].removeprefix(github.url)
        assert ours.get(signed).status_code == 400
        with Api(github, None) as anonymous:
            assert anonymous.get(signed).content == b"data"


def test_big_bodies_are_counted_or_spooled_and_never_held(tmp_path: Path) -> None:
    data = b"0123456789abcdef" * (1 << 18)  # 4 MiB
    digest = hashlib.sha256(data).hexdigest()
    for spool in (None, tmp_path):
        with FakeGitHub(tags={"v1": COMMIT}, keep_limit=1 << 20, spool=spool) as fake, Api(fake) as ours:
            asset = ours.upload(ours.draft(), "big", data).json()
            assert asset["digest"] == f"sha256:{digest}"
            [stored] = [a for r in fake.state.releases.values() for a in r.assets]
            assert stored.body is not None
            if spool is None:
                with pytest.raises(LookupError, match="was hashed and not kept: raise keep_limit"):
                    _ = stored.body.data
            else:
                assert stored.body.kept == tmp_path / "body-0001"
                got = ours.get(f"releases/assets/{asset['id']}", Accept="application/octet-stream").content
                assert got == stored.body.data == data


def test_memory_stays_flat(tmp_path: Path) -> None:
    with FakeGitHub(tags={"v1": COMMIT}) as fake, Api(fake) as ours:
        number = ours.draft()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        path = tmp_path / "sparse"
        with path.open("wb") as file:
            file.truncate(128 << 20)
        with path.open("rb") as file:
            reply = ours.session.post(
                f"{fake.url}/repos/o/r/releases/{number}/assets?name=big",
                data=file,
                headers={"Content-Type": "application/octet-stream"},
                timeout=60,
            )
        assert reply.json()["size"] == 128 << 20
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 32 << 10, f"{grown} KiB more"
