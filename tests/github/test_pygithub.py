"""PyGithub as it was measured, row by row; a row that changes with a new pin means looking at our client again.

They are why no retry is left to PyGithub, and why uploads have a time limit of their own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from github import Auth, Github, GithubException, RateLimitExceededException
from github.GitRelease import GitRelease
from github.GitReleaseAsset import GitReleaseAsset
from github.Repository import Repository

from tests.github.fake import FakeGitHub
from tests.github.faults import Effect, Hang, Point, Reset, leave_starter, secondary, status
from tests.github.fixtures import github
from tests.github.routes import Call
from tests.github.state import PUSH_TOKEN, READ_TOKEN

__all__ = ["github"]
pytestmark = pytest.mark.loopback
OCTETS = "application/octet-stream"


class Library:
    """PyGithub clients of one fake, closed at the end."""

    def __init__(self, fake: FakeGitHub) -> None:
        self.fake = fake
        self.stack = ExitStack()

    def repo(self, token: str = PUSH_TOKEN, **settings: Any) -> Repository:  # noqa: ANN401 - Github's own arguments
        unhurried = {"seconds_between_requests": 0, "seconds_between_writes": 0}
        given = {"base_url": self.fake.url, "per_page": 100, **unhurried, **settings}
        client = Github(auth=Auth.Token(token), **given)
        self.stack.callback(client.close)
        return client.get_repo(self.fake.state.repo)


@pytest.fixture
def library(github: FakeGitHub) -> Iterator[Library]:
    library = Library(github)
    with library.stack:
        yield library


def draft(repo: Repository) -> GitRelease:
    return repo.create_git_release("v1", "One", "notes", draft=True)


def upload(release: GitRelease, data: bytes = b"content") -> GitReleaseAsset:
    """From a file of ours: after a network error nobody closes the one that ``upload_asset`` opens."""
    return release.upload_asset_from_memory(io.BytesIO(data), len(data), "a.bin", content_type=OCTETS)


@pytest.mark.parametrize("fault", [status(502), Reset()], ids=str)
def test_the_default_retry_makes_two_drafts_of_one_call(library: Library, github: FakeGitHub, fault: Effect) -> None:
    repo = library.repo()
    github.faults.add(Call.CREATE, fault, point=Point.AFTER)
    draft(repo)
    assert len(github.state.drafts("v1")) == 2


def test_without_retry_a_502_after_commit_raises_and_there_is_one_draft(library: Library, github: FakeGitHub) -> None:
    repo = library.repo(retry=0)
    github.faults.add(Call.CREATE, status(502), point=Point.AFTER)
    with pytest.raises(GithubException) as caught:
        draft(repo)
    assert caught.value.status == 502
    assert len(github.state.drafts("v1")) == 1


def test_without_retry_a_reset_is_the_exception_of_requests(library: Library, github: FakeGitHub) -> None:
    repo = library.repo(retry=0)
    github.faults.add(Call.CREATE, Reset(), point=Point.AFTER)
    with pytest.raises(requests.ConnectionError):
        draft(repo)
    assert len(github.state.drafts("v1")) == 1


def test_the_default_retry_sends_the_whole_body_again(library: Library, github: FakeGitHub) -> None:
    release = draft(library.repo())
    github.faults.add(Call.UPLOAD, status(502), point=Point.BEFORE)
    upload(release)
    stored = github.state.releases[release.id].asset("a.bin")
    assert stored.body is not None
    assert stored.body.data == b"content"


@pytest.mark.parametrize("starter", [True, False])
def test_the_default_retry_turns_a_false_502_into_422(library: Library, github: FakeGitHub, starter: bool) -> None:
    release = draft(library.repo())
    effects = (leave_starter, status(502)) if starter else (status(502),)
    github.faults.add(Call.UPLOAD, *effects, point=Point.AFTER)
    with pytest.raises(GithubException) as caught:
        upload(release)
    assert caught.value.status == 422
    assert caught.value.data["errors"][0]["code"] == "already_exists"


def test_without_retry_a_false_502_can_be_reconciled(library: Library, github: FakeGitHub) -> None:
    release = draft(library.repo(retry=0))
    github.faults.add(Call.UPLOAD, status(502), point=Point.AFTER)
    with pytest.raises(GithubException) as caught:
        upload(release)
    assert caught.value.status == 502
    [asset] = release.get_assets()
    assert (asset.name, asset.state, asset.size) == ("a.bin", "uploaded", 7)
    assert asset.digest == f"sha256:{github.state.releases[release.id].asset('a.bin').body.sha256}"  # type: ignore[union-attr]


@pytest.mark.parametrize("fault", [status(502), secondary(403, 1), secondary(403)], ids=str)
def test_a_patch_is_never_retried(library: Library, github: FakeGitHub, fault: Effect) -> None:
    release = draft(library.repo())
    github.faults.add(Call.PATCH, fault)
    with pytest.raises(GithubException):
        release.update_release("One", "notes", draft=False, prerelease=False)
    assert len([e for e in github.requests if e.call is Call.PATCH]) == 1


def test_429_without_retry_after_is_not_retried(library: Library, github: FakeGitHub) -> None:
    repo = library.repo()
    github.faults.add(Call.CREATE, secondary(429))
    with pytest.raises(GithubException) as caught:
        draft(repo)
    assert caught.value.status == 429
    assert github.state.releases == {}


def test_retry_after_on_a_post_is_obeyed_by_default(library: Library, github: FakeGitHub) -> None:
    repo = library.repo()
    github.faults.add(Call.CREATE, secondary(403, 0))
    draft(repo)
    assert len(github.state.drafts("v1")) == 1
    assert [e.status for e in github.requests if e.call is Call.CREATE] == [403, 201]


@pytest.mark.parametrize("code", [403, 429])
def test_without_retry_the_header_is_in_the_exception(library: Library, github: FakeGitHub, code: int) -> None:
    repo = library.repo(retry=0)
    github.faults.add(Call.CREATE, secondary(code, 7))
    with pytest.raises(GithubException) as caught:
        draft(repo)
    assert caught.value.headers is not None
    assert caught.value.headers["retry-after"] == "7"


def test_without_retry_a_secondary_limit_has_a_class_of_its_own(library: Library, github: FakeGitHub) -> None:
    repo = library.repo(retry=0)
    github.faults.add(Call.CREATE, secondary(403))
    with pytest.raises(RateLimitExceededException):
        draft(repo)


def test_the_timeout_does_not_reach_uploads_on_a_host_of_their_own(
    library: Library, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", github.url)
    repo = library.repo(retry=0, timeout=2, base_url="http://api.github.localhost")
    release = draft(repo)
    assert release.upload_url.startswith("http://uploads.github.localhost/")
    github.faults.add(Call.UPLOAD, Hang(2.3, answer=True))
    github.faults.add(Call.GET, Hang())
    assert upload(release).state == "uploaded"
    with pytest.raises(requests.ReadTimeout):
        repo.get_release(release.id)


def test_the_timeout_reaches_uploads_on_the_same_host(library: Library, github: FakeGitHub) -> None:
    """The trap shows only where the hosts differ: a fake on one address would hide it."""
    release = draft(library.repo(retry=0, timeout=2))
    github.faults.add(Call.UPLOAD, Hang())
    with pytest.raises(requests.ReadTimeout):
        upload(release)


def test_update_release_publishes_unless_it_is_told_not_to(library: Library, github: FakeGitHub) -> None:
    release = draft(library.repo(retry=0))
    release.update_release("One", "edited", draft=True, prerelease=False)
    assert github.state.releases[release.id].draft is True
    release.update_release("One", "edited")
    assert github.requests[-1].json == {
        "tag_name": "v1",
        "name": "One",
        "body": "edited",
        "draft": False,
        "prerelease": False,
    }
    assert github.state.releases[release.id].draft is False


def test_a_new_release_is_the_latest_unless_it_is_told_not_to_be(library: Library, github: FakeGitHub) -> None:
    draft(library.repo(retry=0))
    sent = github.requests[-1].json
    assert isinstance(sent, dict)
    assert sent["make_latest"] == "true"


def test_upload_asset_guesses_the_content_type(library: Library, github: FakeGitHub, tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_bytes(b"{}")
    draft(library.repo(retry=0)).upload_asset(str(path))
    assert github.requests[-1].headers["Content-Type"] == "application/json"
    github.requests.pop()  # what the description does not allow, and our client must not send


def test_a_file_is_closed_when_there_is_an_answer_and_only_then(library: Library, github: FakeGitHub) -> None:
    release = draft(library.repo(retry=0))
    github.faults.add(Call.UPLOAD, Reset())
    with io.BytesIO(b"content") as file:
        with pytest.raises(requests.ConnectionError):
            release.upload_asset_from_memory(file, 7, "a.bin", content_type=OCTETS)
        assert not file.closed
        file.seek(0)
        release.upload_asset_from_memory(file, 7, "a.bin", content_type=OCTETS)
        assert file.closed


def test_an_empty_file_can_be_uploaded(library: Library, github: FakeGitHub) -> None:
    assert upload(draft(library.repo(retry=0)), b"").size == 0


def test_lists_are_read_to_the_last_page(library: Library, github: FakeGitHub) -> None:
    repo = library.repo(retry=0, per_page=2)
    numbers = [draft(repo).id for _ in range(5)]
    assert [release.id for release in repo.get_releases()] == numbers[::-1]
    assert len([e for e in github.requests if e.call is Call.LIST_RELEASES]) == 3


def test_the_fields_the_publisher_needs_are_there(library: Library, github: FakeGitHub) -> None:
    github.state.immutable_releases = True
    repo = library.repo(retry=0)
    release = draft(repo)
    upload(release)
    assert release.update_release("One", "notes", draft=False, prerelease=False).immutable is True
    assert repo.permissions.push is True
    assert library.repo(READ_TOKEN).permissions.push is False
    ref = repo.get_git_ref("tags/v1")
    assert (ref.object.type, ref.object.sha) == ("commit", github.state.peeled("v1"))
    assert github.requests[-1].path == "/repos/o/r/git/ref/tags/v1"
    assert repo.get_release("v1").id == release.id
