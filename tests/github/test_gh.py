"""Debian's real gh, another client by other people, against the fake: what PyGithub published reads right to it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from github import Auth, Github

from tests.github.fake import FakeGitHub
from tests.github.fixtures import github
from tests.github.gh import gh_version, run_gh
from tests.github.state import PUSH_TOKEN, READ_TOKEN

__all__ = ["github"]
pytestmark = pytest.mark.tools
FILES = {"a.tar.zst": b"\x28\xb5\x2f\xfd" * 1000, "SHA256SUMS": b"sums\n", "empty.txt": b""}
FIELDS = "assets,author,body,isDraft,isPrerelease,name,tagName,targetCommitish,url"


def ours(github: FakeGitHub, *, publish: bool) -> None:
    """A release as our own client makes it."""
    with Github(
        auth=Auth.Token(PUSH_TOKEN), base_url=github.url, retry=0, seconds_between_requests=0, seconds_between_writes=0
    ) as client:
        release = client.get_repo("o/r").create_git_release("v1", "One", "notes", draft=True)
        for name, data in FILES.items():
            release.upload_asset_from_memory(io.BytesIO(data), len(data), name, content_type="application/octet-stream")
        if publish:
            release.update_release("One", "notes", draft=False, prerelease=False)


@pytest.mark.parametrize("publish", [True, False])
def test_gh_reads_what_pygithub_made(github: FakeGitHub, tmp_path: Path, publish: bool) -> None:
    ours(github, publish=publish)
    done = run_gh(github.url, "release", "view", "v1", "-R", "o/r", "--json", FIELDS, token=PUSH_TOKEN, folder=tmp_path)
    seen = json.loads(done.stdout)
    assert {key: seen[key] for key in ("name", "tagName", "body", "isDraft", "isPrerelease")} == {
        "name": "One",
        "tagName": "v1",
        "body": "notes",
        "isDraft": not publish,
        "isPrerelease": False,
    }
    assert {asset["name"]: (asset["size"], asset["state"]) for asset in seen["assets"]} == {
        name: (len(data), "uploaded") for name, data in FILES.items()
    }
    run_gh(github.url, "release", "download", "v1", "-R", "o/r", "-D", "got", token=PUSH_TOKEN, folder=tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()} == FILES


def test_a_reader_sees_no_draft(github: FakeGitHub, tmp_path: Path) -> None:
    ours(github, publish=False)
    view = ("release", "view", "v1", "-R", "o/r")
    with pytest.raises(AssertionError, match="gh release view v1 -R o/r ended with 1: release not found"):
        run_gh(github.url, *view, token=READ_TOKEN, folder=tmp_path)
    assert run_gh(github.url, *view, token=READ_TOKEN, folder=tmp_path, check=False).returncode == 1


def test_gh_lists_the_latest(github: FakeGitHub, tmp_path: Path) -> None:
    ours(github, publish=True)
    listed = run_gh(github.url, "release", "list", "-R", "o/r", token=READ_TOKEN, folder=tmp_path).stdout
    assert listed.split("\t")[:3] == ["One", "Latest", "v1"]


def test_gh_makes_a_release_of_its_own(github: FakeGitHub, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one")

    def release(*arguments: str, check: bool = True) -> int:
        return run_gh(
            github.url, "release", *arguments, "-R", "o/r", token=PUSH_TOKEN, folder=tmp_path, check=check
        ).returncode

    release("create", "v2", "--draft", "--notes", "text")
    release("upload", "v2", "a.txt")
    assert release("upload", "v2", "a.txt", check=False) == 1  # the name is taken
    (tmp_path / "a.txt").write_bytes(b"two")
    release("upload", "v2", "a.txt", "--clobber")
    [made] = github.state.drafts("v2")
    stored = made.asset("a.txt")
    assert stored.body is not None
    assert stored.body.data == b"two"
    release("edit", "v2", "--draft=false")
    assert github.state.published("v2") == [made]
    release("delete-asset", "v2", "a.txt", "-y")
    release("delete", "v2", "-y")
    assert github.state.releases == {}


def test_the_version_is_known() -> None:
    assert gh_version() >= (2, 23)


def test_without_gh_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssertionError, match="gh is not installed: apt-get install gh"):
        run_gh("http://127.0.0.1:1", "version", token="t", folder=tmp_path)
