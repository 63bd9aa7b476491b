from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from release.errors import PublishError
from release.github.client import connect
from release.github.rehearsed import RehearsedRemote
from release.github.remote import Fault, Remote, RemoteAsset, RemoteError
from tests.github.fake import FakeGitHub
from tests.github.state import HEAD, PUSH_TOKEN

MADE = "prerelease: false, make_latest: false, generate_release_notes: false"


def rehearsed(said: list[str] | None = None) -> RehearsedRemote:
    return RehearsedRemote(repo="o/r", tag="v1", commit=HEAD, say=(said if said is not None else []).append)


def put(folder: Path, data: bytes) -> Path:
    path = folder / "a.txt"
    path.write_bytes(data)
    return path


def perform(remote: Remote, folder: Path) -> list[object]:
    """Do a bit of everything, and give what can be compared."""
    data = b"abc" * 1000
    path = put(folder, data)
    repository = remote.repository()
    results: list[object] = [
        (repository.full_name, repository.can_push),
        remote.tag_commit("v1"),
        remote.tag_commit("v2"),
        remote.releases(),
        remote.release_by_tag("v1"),
        remote.release(4711),
    ]
    remote.immutable_releases()
    first = remote.create_draft(tag="v1", commit=HEAD, name="n", body="b", prerelease=False)
    second = remote.create_draft(tag="v1", commit=HEAD, name="m", body="c\nd", prerelease=True)
    results.append([each.name for each in remote.releases()])
    remote.delete_release(second.id)
    edited = remote.edit_draft(first.id, name="n2", body="text", prerelease=False)
    results.append((edited.name, edited.body, edited.draft, edited.prerelease, edited.tag))
    made = remote.upload(first.id, name="a.txt", path=path, size=len(data), seconds=10)
    results.append((made.name, made.size, made.state, made.digest))
    with pytest.raises(RemoteError) as caught:
        remote.upload(first.id, name="a.txt", path=path, size=len(data), seconds=10)
    results.append(caught.value.fault)
    remote.delete_asset(made.id)
    results.append(remote.assets(first.id))
    made = remote.upload(first.id, name="a.txt", path=path, size=len(data), seconds=10)
    results.append([(each.name, each.size, each.digest) for each in remote.assets(first.id)])
    public = remote.publish(first.id, name="n2", body="text", prerelease=False, latest=True)
    results.append((public.draft, public.immutable, public.tag))
    found = remote.release_by_tag("v1")
    results.append(found is not None and found.id == first.id)
    results.append(remote.release(first.id) == public)
    results.append(b"".join(remote.download(remote.assets(first.id)[0], seconds=10)) == data)
    return results


@pytest.mark.loopback
def test_it_behaves_and_asks_as_the_real_one_does(tmp_path: Path) -> None:
    imagined = rehearsed()
    with FakeGitHub(tags={"v1": HEAD}) as fake:
        real = perform(connect(api=fake.url, repo="o/r", token=PUSH_TOKEN), tmp_path)
        # The storage is where a download is redirected to: no request of ours to the API.
        asked = [each for each in fake.requests if not each.path.startswith("/storage/")]
    told = perform(imagined, tmp_path)

    assert told == real
    assert [_form(line) for line in imagined.requests] == [
        f"{each.method} {each.path} {' '.join(sorted(each.query))}".strip() for each in asked
    ]


def _form(line: str) -> str:
    """Verb, path without the fake's numbers, and parameters' names."""
    verb, target = line.replace("{uploads}", "").split(" ")[:2]
    path, _, query = target.partition("?")
    names = sorted(part.partition("=")[0] for part in query.split("&") if part)
    return f"{verb} {_numbers(path)} {' '.join(names)}".strip()


def _numbers(path: str) -> str:
    known = {"1": "1001", "2": "1002"}
    parts = path.split("/")
    if "assets" in parts[:-1]:
        known = {"3": "500001", "4": "500002"}
    return "/".join(known.get(part, part) for part in parts)


def test_each_request_is_one_line_and_said_as_it_is_made(tmp_path: Path) -> None:
    said: list[str] = []
    remote = rehearsed(said)
    made = remote.create_draft(tag="v1", commit=HEAD, name="llamatrix 1", body="x\ny", prerelease=False)
    asset = remote.upload(made.id, name="a b.txt", path=put(tmp_path, b"x" * 12_345), size=12_345, seconds=1)
    remote.assets(made.id)
    remote.publish(made.id, name="llamatrix 1", body="x\ny", prerelease=False, latest=True)

    digest = hashlib.sha256(b"x" * 12_345).hexdigest()
    texts = "name: llamatrix 1, body: <3 characters>"
    assert said == remote.requests
    assert said == [
        f"POST /repos/o/r/releases {{tag_name: v1, target_commitish: {HEAD}, {texts}, draft: true, {MADE}}}",
        f"POST {{uploads}}/repos/o/r/releases/1/assets?name=a%20b.txt (12 345 bytes, sha256 {digest})",
        "GET /repos/o/r/releases/1/assets?page=1&per_page=100",
        f"PATCH /repos/o/r/releases/1 {{{texts}, draft: false, prerelease: false, make_latest: true}}",
    ]
    assert asset.download_url == "https://github.com/o/r/releases/download/v1/a b.txt"


def test_what_is_not_there_is_not_found() -> None:
    remote = rehearsed()
    lost = RemoteAsset(id=9, name="a", size=1, state="uploaded", digest=None, download_url="")
    for call in (
        lambda: remote.assets(7),
        lambda: remote.edit_draft(7, name="n", body="b", prerelease=False),
        lambda: remote.publish(7, name="n", body="b", prerelease=False, latest=True),
        lambda: next(remote.download(lost, seconds=1)),
    ):
        with pytest.raises(RemoteError) as caught:
            call()
        assert caught.value.fault is Fault.NOT_FOUND
    remote.delete_release(7)
    remote.delete_asset(9)


def test_an_upload_to_nowhere_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(RemoteError) as caught:
        rehearsed().upload(7, name="a.txt", path=put(tmp_path, b"abc"), size=3, seconds=1)

    assert caught.value.fault is Fault.NOT_FOUND


def test_a_file_that_changed_is_noticed_by_a_rehearsal_too(tmp_path: Path) -> None:
    remote = rehearsed()
    number = remote.create_draft(tag="v1", commit=HEAD, name="n", body="b", prerelease=False).id
    path = put(tmp_path, b"abc")

    with pytest.raises(PublishError, match="the file has 3 bytes and was sealed with 4"):
        remote.upload(number, name="a.txt", path=path, size=4, seconds=1)
    made = remote.upload(number, name="a.txt", path=path, size=3, seconds=1)
    path.unlink()
    with pytest.raises(PublishError, match="cannot be read: No such file"):
        next(remote.download(made, seconds=1))


def test_one_tag_has_one_published_release() -> None:
    remote = rehearsed()
    numbers = [remote.create_draft(tag="v1", commit=HEAD, name="n", body="b", prerelease=False).id for _ in range(2)]
    for _ in range(2):
        remote.publish(numbers[0], name="n", body="b", prerelease=False, latest=True)

    with pytest.raises(RemoteError) as caught:
        remote.publish(numbers[1], name="n", body="b", prerelease=False, latest=True)
    assert caught.value.fault is Fault.ALREADY_EXISTS


def test_lists_of_more_than_a_page_are_as_many_requests_as_in_earnest() -> None:
    remote = rehearsed()
    for _ in range(100):
        remote.create_draft(tag="v1", commit=HEAD, name="n", body="b", prerelease=False)
    before = len(remote.requests)

    assert len(remote.releases()) == 100
    assert len(remote.requests) - before == 2
    assert remote.where == "https://github.com/o/r (dry run)"


def test_a_stranger_sees_no_drafts_and_downloads_where_users_do(tmp_path: Path) -> None:
    remote = rehearsed()
    stranger = remote.stranger()
    number = remote.create_draft(tag="v1", commit=HEAD, name="n", body="b", prerelease=False).id
    made = remote.upload(number, name="a.txt", path=put(tmp_path, b"abc"), size=3, seconds=1)

    assert (stranger.releases(), stranger.release(number), stranger.release_by_tag("v1")) == ((), None, None)
    with pytest.raises(RemoteError):
        next(stranger.download(made, seconds=1))

    public = remote.publish(number, name="n", body="b", prerelease=False, latest=True)

    assert stranger.releases() == (public,)
    assert b"".join(stranger.download(made, seconds=1)) == b"abc"
    assert remote.requests[-1] == "GET https://github.com/o/r/releases/download/v1/a.txt"
