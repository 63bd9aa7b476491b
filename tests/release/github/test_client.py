from __future__ import annotations

import hashlib
import json
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from release.errors import PublishError
from release.github.client import GitHubRemote, connect
from release.github.remote import Fault, Remote, RemoteAsset, RemoteError
from tests.github.fake import FakeGitHub
from tests.github.state import HEAD, PUSH_TOKEN, READ_TOKEN, Access, Token
from tests.release.github.lab import Lab, answer, hold, json_answer, reset, steady

TOKEN = "ghp_SECRETSECRETSECRET"
SHORT = 0.15
PATIENT = 60.0  # seconds that a request has which is not meant to run out of time


def to(lab: Lab, *, token: str | None = TOKEN, seconds: float = PATIENT) -> GitHubRemote:
    return connect(api=lab.url, repo="o/r", token=token, seconds=seconds)


def release_json(number: int = 7, **changes: object) -> dict[str, object]:
    return {
        "id": number,
        "tag_name": "v1",
        "name": "one",
        "body": "text",
        "draft": True,
        "prerelease": False,
        "immutable": False,
        "html_url": "https://github.com/o/r/releases/tag/v1",
        "upload_url": f"{{url}}/repos/o/r/releases/{number}/assets{{?name,label}}",
    } | changes


def asset_json(number: int = 9, **changes: object) -> dict[str, object]:
    return {
        "id": number,
        "name": "a.txt",
        "size": 3,
        "state": "uploaded",
        "digest": None,
        "browser_download_url": "https://github.com/o/r/releases/download/v1/a.txt",
    } | changes


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    with FakeGitHub(tags={"v1": HEAD}) as fake:
        yield fake


@pytest.fixture
def remote(hub: FakeGitHub) -> GitHubRemote:
    return connect(api=hub.url, repo="o/r", token=PUSH_TOKEN)


def put(folder: Path, data: bytes, name: str = "a.txt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def draft(remote: Remote) -> int:
    made = remote.create_draft(tag="v1", commit=HEAD, name="one", body="text", prerelease=False)
    assert made.draft
    return made.id


# Against the stateful fake: what a call does.


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("token", "scopes", "private", "may"),
    [
        ("ghp_x", ("repo",), True, True),
        ("ghp_x", ("gist", "public_repo"), False, True),
        ("ghp_x", ("public_repo",), True, False),
        ("ghp_x", ("gist", "workflow"), False, False),
        ("ghp_x", (), False, False),
        ("0123456789abcdef0123456789abcdef01234567", ("gist",), False, False),
        ("ghu_x", (), False, True),  # an app's token for a user: an empty header says nothing
        ("github_pat_x", None, False, True),
    ],
)
def test_what_a_classic_token_lacks_is_seen_although_its_user_may(
    hub: FakeGitHub, token: str, scopes: tuple[str, ...] | None, *, private: bool, may: bool
) -> None:
    hub.state.private = private
    hub.state.tokens[token] = Token(login="me", access=Access.PUSH, scopes=scopes)

    assert connect(api=hub.url, repo="o/r", token=token).repository().can_push is may


@pytest.mark.loopback
def test_the_repository_and_the_clock(hub: FakeGitHub, remote: GitHubRemote) -> None:
    found = remote.repository()

    assert (found.full_name, found.private, found.default_branch, found.can_push) == ("o/r", False, "main", True)
    assert found.clock_skew is not None
    assert abs(found.clock_skew) < 60
    assert not connect(api=hub.url, repo="o/r", token=READ_TOKEN).repository().can_push
    assert not connect(api=hub.url, repo="o/r", token=None).repository().can_push
    assert len(hub.requests) == 3


@pytest.mark.loopback
def test_a_tag_leads_to_its_commit(hub: FakeGitHub, remote: GitHubRemote) -> None:
    assert remote.tag_commit("v1") == HEAD
    assert remote.tag_commit("v2") is None
    assert len(hub.requests) == 2


@pytest.mark.loopback
def test_the_setting_for_immutable_releases(hub: FakeGitHub, remote: GitHubRemote) -> None:
    assert remote.immutable_releases() is False
    hub.state.immutable_releases = True
    assert remote.immutable_releases() is True
    assert connect(api=hub.url, repo="o/r", token=None).immutable_releases() is None


@pytest.mark.loopback
def test_a_release_from_draft_to_public(hub: FakeGitHub, remote: GitHubRemote, tmp_path: Path) -> None:
    number = draft(remote)
    data = b"abc" * 100_000
    made = remote.upload(number, name="a.txt", path=put(tmp_path, data), size=len(data), seconds=PATIENT)
    edited = remote.edit_draft(number, name="two", body="more\ntext", prerelease=False)
    stranger = connect(api=hub.url, repo="o/r", token=None)

    assert (made.name, made.size, made.state) == ("a.txt", len(data), "uploaded")
    assert made.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert (edited.draft, edited.name, edited.body) == (True, "two", "more\ntext")
    assert remote.assets(number) == (made,)
    assert [each.id for each in remote.releases()] == [number]
    assert remote.release(number) == edited
    assert (remote.release_by_tag("v1"), stranger.releases(), stranger.release(number)) == (None, (), None)
    assert b"".join(remote.download(made, seconds=PATIENT)) == data

    public = remote.publish(number, name="two", body="more\ntext", prerelease=False, latest=True)

    assert not public.draft
    assert stranger.release_by_tag("v1") == public
    (seen,) = stranger.assets(number)
    assert b"".join(stranger.download(seen, seconds=PATIENT)) == data


@pytest.mark.loopback
def test_an_empty_file_is_uploaded(remote: GitHubRemote, tmp_path: Path) -> None:
    made = remote.upload(draft(remote), name="empty", path=put(tmp_path, b"", "empty"), size=0, seconds=PATIENT)

    assert (made.size, made.digest) == (0, f"sha256:{hashlib.sha256(b'').hexdigest()}")


@pytest.mark.loopback
def test_deleting_what_is_not_there_is_fine(remote: GitHubRemote, tmp_path: Path) -> None:
    number = draft(remote)
    made = remote.upload(number, name="a.txt", path=put(tmp_path, b"abc"), size=3, seconds=PATIENT)

    for _ in range(2):
        remote.delete_asset(made.id)
    assert remote.assets(number) == ()
    for _ in range(2):
        remote.delete_release(number)
    assert remote.releases() == ()


@pytest.mark.loopback
def test_a_name_that_is_taken(remote: GitHubRemote, tmp_path: Path) -> None:
    number, path = draft(remote), put(tmp_path, b"abc")
    remote.upload(number, name="a.txt", path=path, size=3, seconds=PATIENT)

    with pytest.raises(RemoteError) as caught:
        remote.upload(number, name="a.txt", path=path, size=3, seconds=PATIENT)

    assert caught.value.fault is Fault.ALREADY_EXISTS
    assert caught.value.request == f"POST /repos/o/r/releases/{number}/assets"


@pytest.mark.loopback
def test_uploads_to_an_immutable_release_are_told_apart(hub: FakeGitHub, remote: GitHubRemote, tmp_path: Path) -> None:
    hub.state.immutable_releases = True
    number = draft(remote)
    public = remote.publish(number, name="one", body="text", prerelease=False, latest=False)

    with pytest.raises(RemoteError) as caught:
        remote.upload(number, name="a.txt", path=put(tmp_path, b"abc"), size=3, seconds=PATIENT)

    assert public.immutable
    assert caught.value.fault is Fault.IMMUTABLE


@pytest.mark.loopback
def test_of_a_release_it_has_not_seen_the_address_for_uploads_is_asked_first(
    hub: FakeGitHub, remote: GitHubRemote, tmp_path: Path
) -> None:
    number = draft(remote)
    other = connect(api=hub.url, repo="o/r", token=PUSH_TOKEN)
    before = len(hub.requests)
    other.upload(number, name="a.txt", path=put(tmp_path, b"abc"), size=3, seconds=PATIENT)

    assert [each.method for each in hub.requests[before:]] == ["GET", "POST"]
    with pytest.raises(RemoteError) as caught:
        other.upload(4711, name="a.txt", path=put(tmp_path, b"abc"), size=3, seconds=PATIENT)
    assert caught.value.fault is Fault.NOT_FOUND


@pytest.mark.loopback
def test_lists_are_read_to_their_last_page(hub: FakeGitHub, remote: GitHubRemote) -> None:
    made = [draft(remote) for _ in range(101)]
    before = len(hub.requests)

    assert [each.id for each in remote.releases()] == made[::-1]
    assert [each.query["page"] for each in hub.requests[before:]] == ["1", "2"]


@pytest.mark.loopback
def test_a_write_is_refused_without_the_right_token(hub: FakeGitHub) -> None:
    for token, faults in ((READ_TOKEN, {Fault.FORBIDDEN, Fault.NOT_FOUND}), ("nonsense", {Fault.UNAUTHORISED})):
        with pytest.raises(RemoteError) as caught:
            draft(connect(api=hub.url, repo="o/r", token=token))
        assert caught.value.fault in faults
        assert token not in str(caught.value)
    with pytest.raises(RemoteError):
        draft(connect(api=hub.url, repo="o/r", token=None))
    assert hub.state.releases == {}


# Against scripted answers: what is sent, and what odd answers become.


@pytest.mark.loopback
def test_what_an_upload_sends(tmp_path: Path) -> None:
    with Lab(json_answer(200, release_json()), json_answer(201, asset_json())) as lab:
        to(lab).upload(7, name="a b+c.txt", path=put(tmp_path, b"abc"), size=3, seconds=PATIENT)
        sent = lab.seen[1]

    assert sent.line == "POST /repos/o/r/releases/7/assets?name=a+b%2Bc.txt"
    assert sent.body == b"abc"
    assert sent.headers["content-type"] == "application/octet-stream"
    assert sent.headers["content-length"] == "3"
    assert "transfer-encoding" not in sent.headers
    assert sent.headers["authorization"] == f"token {TOKEN}"


@pytest.mark.loopback
def test_what_every_call_sends() -> None:
    with Lab(json_answer(201, release_json())) as lab:
        to(lab).create_draft(tag="v1", commit=HEAD, name="one", body="text", prerelease=True)
        (sent,) = lab.seen

    assert sent.headers["authorization"] == f"token {TOKEN}"
    assert sent.headers["accept"] == "application/vnd.github+json"
    assert sent.headers["x-github-api-version"] == "2022-11-28"
    assert sent.headers["user-agent"].startswith("llamatrix/")
    assert json.loads(sent.body) == {
        "tag_name": "v1",
        "target_commitish": HEAD,
        "name": "one",
        "body": "text",
        "draft": True,
        "prerelease": True,
        "make_latest": "false",
        "generate_release_notes": False,
    }


@pytest.mark.loopback
def test_a_stranger_sends_no_token() -> None:
    with Lab(json_answer(200, [])) as lab:
        to(lab, token=None).releases()

        assert "authorization" not in lab.seen[0].headers


CALLS: dict[str, Callable[[GitHubRemote], object]] = {
    "repository": lambda remote: remote.repository(),
    "tag": lambda remote: remote.tag_commit("v1"),
    "immutable": lambda remote: remote.immutable_releases(),
    "releases": lambda remote: remote.releases(),
    "release": lambda remote: remote.release(7),
    "by tag": lambda remote: remote.release_by_tag("v1"),
    "create": lambda remote: remote.create_draft(tag="v1", commit=HEAD, name="n", body="b", prerelease=False),
    "edit": lambda remote: remote.edit_draft(7, name="n", body="b", prerelease=False),
    "publish": lambda remote: remote.publish(7, name="n", body="b", prerelease=False, latest=True),
    "assets": lambda remote: remote.assets(7),
    "delete release": lambda remote: remote.delete_release(7),
    "delete asset": lambda remote: remote.delete_asset(9),
}
READS = {name: call for name, call in CALLS.items() if not name.startswith("delete")}


@pytest.mark.loopback
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (500, Fault.SERVER),
        (502, Fault.SERVER),
        (401, Fault.UNAUTHORISED),
        (429, Fault.RATE_LIMITED),
        (301, Fault.INVALID),
        (202, Fault.GARBLED),
    ],
)
def test_every_call_is_one_request_that_is_never_repeated(name: str, status: int, fault: Fault) -> None:
    with Lab(json_answer(status, {"message": "no"}, Location="{url}/x", Retry_After="3")) as lab:
        with pytest.raises(RemoteError) as caught:
            CALLS[name](to(lab))

        assert caught.value.fault is fault
        assert caught.value.status == status
        assert len(lab.seen) == 1
        assert caught.value.retry_after == (3 if caught.value.fault.temporary else None)


@pytest.mark.loopback
@pytest.mark.parametrize("name", CALLS)
def test_a_broken_connection_is_never_tried_again(name: str) -> None:
    with Lab(reset) as lab:
        with pytest.raises(RemoteError) as caught:
            CALLS[name](to(lab))

        assert caught.value.fault is Fault.NETWORK
        assert caught.value.fault.ambiguous


@pytest.mark.loopback
@pytest.mark.parametrize("name", CALLS)
def test_silence_is_cut(name: str) -> None:
    with Lab(hold(read=True)) as lab, pytest.raises(RemoteError) as caught:
        CALLS[name](to(lab, seconds=SHORT))

    assert caught.value.fault is Fault.TIMEOUT


ODD = [
    b"",
    b"null",
    b"{}",
    b"[",
    b'{"id": 1',
    b"[1]",
    b'[{"id": "x"}]',
    b"<html></html>",
    b"\xff\xfe",
    b"[" * 20_000,
    b"0",
]


@pytest.mark.loopback
@pytest.mark.parametrize("name", READS)
def test_an_answer_that_is_not_what_was_asked_for_is_garbled(name: str) -> None:
    with Lab(*(answer(200, body) for body in ODD)) as lab:
        for _ in ODD:
            with pytest.raises(RemoteError) as caught:
                CALLS[name](to(lab))
            assert caught.value.fault is Fault.GARBLED
            assert "\n" not in str(caught.value)


@pytest.mark.loopback
def test_half_an_answer_is_garbled_or_a_broken_connection() -> None:
    body = json.dumps(release_json()).encode()
    with Lab(answer(200, body[: len(body) // 2]), answer(200, body[:50], length=len(body))) as lab:
        for fault in (Fault.GARBLED, Fault.NETWORK):
            with pytest.raises(RemoteError) as caught:
                to(lab).release(7)
            assert caught.value.fault is fault


@pytest.mark.loopback
def test_a_404_for_a_new_draft_or_its_publication_explains_itself() -> None:
    with Lab(json_answer(404, {"message": "Not Found"})) as lab:
        for name in ("create", "publish"):
            with pytest.raises(RemoteError) as caught:
                CALLS[name](to(lab))
            assert caught.value.fault is Fault.NOT_FOUND
            assert "GITHUB_TOKEN of Actions can never have it" in str(caught.value.hint)


@pytest.mark.loopback
def test_annotated_tags_are_peeled_one_inside_the_other() -> None:
    ref = {"ref": "refs/tags/v1", "object": {"type": "tag", "sha": "a" * 40}}
    tag = {"object": {"type": "tag", "sha": "b" * 40}}
    last = {"object": {"type": "commit", "sha": "c" * 40}}
    with Lab(json_answer(200, ref), json_answer(200, tag), json_answer(200, last)) as lab:
        assert to(lab).tag_commit("v1") == "c" * 40
        assert [seen.line for seen in lab.seen] == [
            "GET /repos/o/r/git/ref/tags/v1",
            f"GET /repos/o/r/git/tags/{'a' * 40}",
            f"GET /repos/o/r/git/tags/{'b' * 40}",
        ]


@pytest.mark.loopback
@pytest.mark.parametrize("kind", ["tag", "tree", "blob"])
def test_a_tag_that_leads_to_no_commit(kind: str) -> None:
    target = {"ref": "refs/tags/v1", "object": {"type": kind, "sha": "a" * 40}}
    with Lab(json_answer(200, target)) as lab:
        with pytest.raises(RemoteError, match=f"the tag leads to no commit but to a {kind}"):
            to(lab).tag_commit("v1")
        assert len(lab.seen) < 12


@pytest.mark.loopback
def test_another_tag_than_was_asked_for_is_garbled() -> None:
    other = {"ref": "refs/tags/v10", "object": {"type": "commit", "sha": "a" * 40}}
    with Lab(json_answer(200, other)) as lab, pytest.raises(RemoteError, match="it is about 'refs/tags/v10'"):
        to(lab).tag_commit("v1")


@pytest.mark.loopback
def test_a_repository_without_commits_has_no_tags() -> None:
    with Lab(json_answer(409, {"message": "Git Repository is empty."})) as lab:
        assert to(lab).tag_commit("v1") is None


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("token", "permissions", "may"),
    [
        ("ghp_x", {"push": True}, True),
        ("ghp_x", {"push": False, "admin": False}, False),
        ("ghp_x", {"maintain": True}, True),
        ("ghs_x", {"push": False}, True),
        ("ghs_x", None, True),
        ("ghp_x", None, True),
        (None, {"push": True}, False),
    ],
)
def test_who_may_push(token: str | None, permissions: dict[str, bool] | None, *, may: bool) -> None:
    body: dict[str, object] = {"full_name": "o/r", "private": False, "default_branch": "main"}
    if permissions is not None:
        body["permissions"] = permissions
    with Lab(json_answer(200, body)) as lab:
        assert to(lab, token=token).repository().can_push is may


@pytest.mark.loopback
def test_a_clock_that_is_an_hour_off() -> None:
    body = {"full_name": "o/r", "private": False, "default_branch": "main"}
    with Lab(json_answer(200, body, Date="Thu, 01 Jan 2026 00:00:00 GMT"), json_answer(200, body)) as lab:
        skew = to(lab).repository().clock_skew
        assert skew is not None
        assert abs(skew) > 3600
        assert to(lab).repository().clock_skew is None


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("status", "headers", "admin", "known"),
    [
        (404, {}, False, False),
        (404, {"X_OAuth_Scopes": "repo"}, False, None),
        (404, {"X_OAuth_Scopes": "repo"}, True, False),
        (403, {}, False, None),
    ],
)
def test_what_is_known_about_immutable_releases(
    status: int, headers: dict[str, str], *, admin: bool, known: bool | None
) -> None:
    body = {"full_name": "o/r", "private": False, "default_branch": "main", "permissions": {"admin": admin}}
    with Lab(json_answer(200, body), json_answer(status, {"message": "Not Found"}, **headers)) as lab:
        remote = to(lab)
        remote.repository()
        assert remote.immutable_releases() is known


@pytest.mark.loopback
def test_a_limit_is_not_mistaken_for_not_being_allowed_to_ask() -> None:
    with Lab(json_answer(403, {"message": "API rate limit exceeded"})) as lab, pytest.raises(RemoteError) as caught:
        to(lab).immutable_releases()

    assert caught.value.fault is Fault.RATE_LIMITED


@pytest.mark.loopback
def test_old_servers_without_digests_and_immutability_are_understood() -> None:
    old = release_json(name=None, body=None)
    del old["immutable"]
    asset = asset_json()
    del asset["digest"]
    with Lab(json_answer(200, old), json_answer(200, [asset])) as lab:
        release = to(lab).release(7)
        assert release is not None
        assert (release.name, release.body, release.immutable) == ("", "", False)
        assert to(lab).assets(7)[0].digest is None


@pytest.mark.loopback
def test_a_list_without_an_end_is_garbled() -> None:
    more = '<{url}/repos/o/r/releases?page=2>; rel="next"'
    with Lab(json_answer(200, [release_json()], Link=more)) as lab:
        with pytest.raises(RemoteError, match="the list goes on after 200 pages") as caught:
            to(lab).releases()
        assert len(lab.seen) == 200

    assert caught.value.fault is Fault.GARBLED


@pytest.mark.loopback
def test_a_full_page_is_asked_beyond_and_what_moved_over_counts_once() -> None:
    first, second = [release_json(n) for n in range(1, 101)], [release_json(n) for n in range(100, 103)]
    with Lab(json_answer(200, first), json_answer(200, second)) as lab:
        assert [each.id for each in to(lab).releases()] == list(range(1, 103))


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("name", "seconds", "what"),
    [
        ("nobody reads", SHORT, "no answer in time"),
        ("nobody answers", SHORT, "no answer in time"),
        # No block of it takes long enough for a timeout of the socket: only the whole is too slow.
        ("it would succeed, but far too late", 2.0, "cut after 2 s"),
    ],
)
def test_an_upload_is_cut_when_its_time_is_over(name: str, seconds: float, what: str, tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(size)

    def succeed(lab: Lab, sock: socket.socket) -> None:
        body = json.dumps(asset_json()).encode()
        sock.sendall(b"HTTP/1.1 201 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    steps = {"nobody reads": hold(read=False), "nobody answers": hold(read=True)}
    with Lab(json_answer(200, release_json()), steps.get(name, steady(size, succeed))) as lab:
        with pytest.raises(RemoteError) as caught:
            to(lab).upload(7, name="big", path=path, size=size, seconds=seconds)
        assert caught.value.fault is Fault.TIMEOUT
        assert what in caught.value.what


@pytest.mark.loopback
def test_an_upload_is_refused_before_it_is_complete(tmp_path: Path) -> None:
    def refuse(lab: Lab, sock: socket.socket) -> None:
        body = b'{"message": "Validation Failed", "errors": [{"code": "already_exists"}]}'
        lab.receive(sock, 1000)
        sock.sendall(b"HTTP/1.1 422 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        while lab.receive(sock):
            pass

    data = b"x" * 3_000_000
    with Lab(json_answer(200, release_json()), refuse) as lab, pytest.raises(RemoteError) as caught:
        to(lab).upload(7, name="a.txt", path=put(tmp_path, data), size=len(data), seconds=PATIENT)

    assert caught.value.fault is Fault.ALREADY_EXISTS


@pytest.mark.loopback
def test_a_file_that_changed_is_not_sent(tmp_path: Path) -> None:
    with Lab(json_answer(200, release_json())) as lab:
        with pytest.raises(PublishError, match="the file has 3 bytes and was sealed with 5"):
            to(lab).upload(7, name="a.txt", path=put(tmp_path, b"abc"), size=5, seconds=PATIENT)
        assert [seen.line.split()[0] for seen in lab.seen] == ["GET"]


@pytest.mark.loopback
def test_a_file_that_grows_meanwhile_stops_the_upload(tmp_path: Path) -> None:
    path = put(tmp_path, b"x" * 10)

    def grow(lab: Lab, sock: socket.socket) -> None:
        with path.open("ab") as file:
            file.write(b"y" * 3_000_000)
        json_answer(200, release_json())(lab, sock)

    with Lab(grow, hold(read=True)) as lab, pytest.raises(PublishError):
        to(lab).upload(7, name="a.txt", path=path, size=10, seconds=PATIENT)


@pytest.mark.loopback
@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/repos/o/r/releases/7/assets",
        "https://127.0.0.1/repos/o/r/releases/7/assets",
        "ftp://127.0.0.1/x",
        "http://[::1/x",
        "http://127.0.0.1:1/repos/o/r/releases/7/assets",
        "http://api.127.0.0.1/x",
        "nonsense",
        "",
    ],
)
def test_the_token_is_sent_to_no_other_host_that_an_answer_names(url: str, tmp_path: Path) -> None:
    with Lab(json_answer(200, release_json(upload_url=url + "{?name,label}"))) as lab:
        with pytest.raises(RemoteError) as caught:
            to(lab).upload(7, name="a.txt", path=put(tmp_path, b"abc"), size=3, seconds=PATIENT)
        assert len(lab.seen) == 1

    assert not caught.value.fault.temporary or caught.value.fault is Fault.GARBLED


@pytest.mark.parametrize(
    ("api", "upload", "fits"),
    [
        ("https://api.github.com", "https://uploads.github.com/repos/o/r/releases/7/assets", True),
        ("https://git.example.com/api/v3", "https://git.example.com/api/uploads/repos/o/r/releases/7/assets", True),
        ("https://api.github.com", "http://uploads.github.com/repos/o/r/releases/7/assets", False),
        ("https://api.github.com", "https://uploads.github.com.evil.example/x", False),
        ("https://api.github.com", "https://evilgithub.com/x", False),
        ("https://api.com", "https://uploads.com/x", False),
    ],
)
def test_which_addresses_for_uploads_belong_to_an_api(api: str, upload: str, *, fits: bool) -> None:
    remote = connect(api=api, repo="o/r", token=TOKEN)
    remote._upload_urls[7] = upload
    call = remote._calls.upload(7, name="a")

    if fits:
        assert remote._upload_url(7, call) == upload
    else:
        with pytest.raises(RemoteError, match="the address for uploads is not one of"):
            remote._upload_url(7, call)


@pytest.mark.parametrize(
    "api",
    [
        "http://api.github.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "ftp://api.github.com",
        "api.github.com",
        "https://",
        "https://[::1",
        "https://h:99999",
        "",
    ],
)
def test_a_token_is_never_sent_in_the_clear(api: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(api=api, repo="o/r", token=TOKEN)

    assert caught.value.where == "--api"
    assert "https://api.github.com" in str(caught.value.hint)
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("api", ["https://me:SECRET@h", "https://SECRET@h", "https://h?key=SECRET", "https://h#SECRET"])
def test_an_address_with_a_secret_in_it_is_not_shown(api: str) -> None:
    with pytest.raises(UsageError, match="an address with a user") as caught:
        connect(api=api, repo="o/r", token=None)

    assert "SECRET" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("repo", ["", "o", "o/", "/r", "o/r/x", "../r", "o/r?x", "o r/x", "o/r\n", "-o/r"])
def test_what_is_no_repository_is_refused(repo: str) -> None:
    with pytest.raises(UsageError, match="not a repository's name"):
        connect(api="https://api.github.com", repo=repo, token=None)


@pytest.mark.parametrize("token", ["", " ghp_x", "ghp_x\n", "ghp x", "ghp_\u00e4", "a\r\nX-Evil: 1"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(UsageError, match="the token has a character that no token has") as caught:
        connect(api="https://api.github.com", repo="o/r", token=token)

    shown = f"{caught.value} {caught.value.hint}"
    assert "ghp" not in shown
    assert "Evil" not in shown


@pytest.mark.loopback
def test_the_token_shows_nowhere(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    echo = json_answer(422, {"message": f"what is {TOKEN}?", "errors": [TOKEN]})
    with Lab(json_answer(200, release_json()), echo) as lab:
        remote = to(lab)
        remote.release(7)
        with pytest.raises(RemoteError) as caught:
            remote.create_draft(tag="v1", commit=HEAD, name="n", body="b", prerelease=False)
        with pytest.raises(RemoteError):
            remote.upload(7, name="a.txt", path=put(tmp_path, b"abc"), size=3, seconds=PATIENT)

    shown = f"{remote!r} {remote} {remote.where} {caught.value} {caught.value!r} {caught.value.what} {caplog.text}"
    assert "SECRET" not in shown
    assert "what is ***?" in caught.value.what
    assert repr(remote).endswith("with a token>")
    assert repr(connect(api="https://h", repo="o/r", token=None)).endswith("anonymous>")


@pytest.mark.loopback
def test_nobody_listens() -> None:
    with Lab(hold(read=True)) as lab:
        url = lab.url
    with pytest.raises(RemoteError, match="no connection") as caught:
        connect(api=url, repo="o/r", token=None).repository()

    assert caught.value.fault is Fault.NETWORK


def asset(lab: Lab) -> RemoteAsset:
    url = f"{lab.url}/o/r/releases/download/v1/a.txt"
    return RemoteAsset(id=9, name="a.txt", size=3, state="uploaded", digest=None, download_url=url)


@pytest.mark.loopback
def test_a_download_leaves_the_token_behind_when_it_is_sent_on() -> None:
    with Lab(answer(302, Location="{url}/storage?sig=1"), answer(200, b"abc")) as lab:
        assert b"".join(to(lab).download(asset(lab), seconds=PATIENT)) == b"abc"
        first, second = lab.seen

    assert first.line == "GET /repos/o/r/releases/assets/9"
    assert first.headers["authorization"] == f"token {TOKEN}"
    assert first.headers["accept"] == second.headers["accept"] == "application/octet-stream"
    assert second.line == "GET /storage?sig=1"
    assert "authorization" not in second.headers
    assert TOKEN not in str(second)


@pytest.mark.loopback
def test_a_stranger_downloads_from_the_address_for_users() -> None:
    with Lab(answer(200, b"abc")) as lab:
        assert b"".join(to(lab, token=None).download(asset(lab), seconds=PATIENT)) == b"abc"
        (seen,) = lab.seen

    assert seen.line == "GET /o/r/releases/download/v1/a.txt"
    assert "authorization" not in seen.headers


@pytest.mark.loopback
def test_nothing_is_asked_before_the_first_byte_is_wanted() -> None:
    with Lab(answer(200, b"abc")) as lab:
        to(lab).download(asset(lab), seconds=PATIENT)
        assert lab.seen == []
