from __future__ import annotations

from pathlib import Path

import pytest
from dulwich import porcelain
from dulwich.repo import Repo

from pipeline.errors import UsageError
from release.identity import Forge, find_commit, identify

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FORGE = Forge(api="https://api.github.com", server="https://github.com")


@pytest.fixture(name="repository")
def _repository(tmp_path: Path) -> Path:
    with Repo.init(str(tmp_path)) as repository:
        (tmp_path / "file").write_text("one")
        porcelain.add(repository, [str(tmp_path / "file")])
        porcelain.commit(repository, message=b"one", author=b"a <a@b>", committer=b"a <a@b>")
    return tmp_path


def head(root: Path) -> str:
    with Repo(str(root)) as repository:
        return repository.head().decode()


def test_the_command_line_wins_over_the_environment(tmp_path: Path) -> None:
    environ = {"GITHUB_REPOSITORY": "other/thing", "GITHUB_SHA": "f" * 40}

    found = identify(tag="v0.1.0", repo="o/r", commit=COMMIT, forge=FORGE, environ=environ, root=tmp_path)

    assert (found.repo, found.tag, found.commit, found.version) == ("o/r", "v0.1.0", COMMIT, "0.1.0")
    assert found.url("a.tar.zst") == "https://github.com/o/r/releases/download/v0.1.0/a.tar.zst"


def test_in_ci_repository_and_commit_are_known(tmp_path: Path) -> None:
    environ = {"GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": COMMIT}

    found = identify(tag="v0.1.0", repo=None, commit=None, forge=FORGE, environ=environ, root=tmp_path)

    assert (found.repo, found.commit) == ("o/r", COMMIT)


@pytest.mark.process
@pytest.mark.parametrize("annotated", [False, True])
def test_the_local_tag_names_the_commit(repository: Path, annotated: bool) -> None:
    with Repo(str(repository)) as opened:
        porcelain.tag_create(opened, b"v0.1.0", author=b"a <a@b>", message=b"m", annotated=annotated)

    found = identify(tag="v0.1.0", repo="o/r", commit=None, forge=FORGE, environ={}, root=repository)

    assert found.commit == head(repository)


@pytest.mark.process
def test_a_repository_without_the_tag_is_not_guessed_from(repository: Path) -> None:
    assert find_commit(repository, "v0.1.0") is None
    with pytest.raises(UsageError, match=r"no tag v0\.1\.0") as caught:
        identify(tag="v0.1.0", repo="o/r", commit=None, forge=FORGE, environ={}, root=repository)

    assert "--commit" in (caught.value.hint or "")


def test_outside_of_a_repository_the_commit_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no tag"):
        identify(tag="v0.1.0", repo="o/r", commit=None, forge=FORGE, environ={}, root=tmp_path)


@pytest.mark.parametrize("repo", ["", "name", "a/b/c", "o/r x", "-o/r", "o/", "https://github.com/o/r"])
def test_what_is_no_repository_is_refused(repo: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="repository") as caught:
        identify(tag="v0.1.0", repo=repo, commit=COMMIT, forge=FORGE, environ={}, root=tmp_path)

    assert caught.value.where == "--repo"


@pytest.mark.parametrize("tag", ["", "latest", "v1", "v1.2", "1.2.3.4", "v1.2.3/x", "v1.2.3 ", "v1.2.3-", "v1.2.3\n"])
def test_what_is_no_tag_of_a_version_is_refused(tag: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no tag of a version"):
        identify(tag=tag, repo="o/r", commit=COMMIT, forge=FORGE, environ={}, root=tmp_path)


@pytest.mark.parametrize("commit", ["main", "0123456", COMMIT.upper(), COMMIT + "\n"])
def test_what_is_no_full_commit_is_refused(commit: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no full commit id"):
        identify(tag="v0.1.0", repo="o/r", commit=commit, forge=FORGE, environ={}, root=tmp_path)


def test_the_forge_is_github_unless_said_otherwise() -> None:
    assert Forge.of(None, {}) == FORGE
    assert not FORGE.loopback


def test_an_enterprise_server_is_known_from_ci() -> None:
    environ = {"GITHUB_API_URL": "https://git.example/api/v3/", "GITHUB_SERVER_URL": "https://git.example"}

    assert Forge.of(None, environ) == Forge(api="https://git.example/api/v3", server="https://git.example")


def test_a_stand_in_serves_everything_at_one_address() -> None:
    found = Forge.of("http://127.0.0.1:8080/", {"GITHUB_SERVER_URL": "https://github.com"})

    assert found == Forge(api="http://127.0.0.1:8080", server="http://127.0.0.1:8080")
    assert found.loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.9", "[::1]"])
def test_addresses_of_this_machine(host: str) -> None:
    assert Forge.of(f"http://{host}:1", {}).loopback


@pytest.mark.parametrize("host", ["localhost.example", "github.localhost", "128.0.0.1", "api.github.com", ""])
def test_addresses_of_other_machines(host: str) -> None:
    assert not Forge.of(f"http://{host}:1", {}).loopback


@pytest.mark.process
def test_a_commit_of_ci_that_the_tag_here_contradicts_is_refused(repository: Path) -> None:
    with Repo(str(repository)) as opened:
        porcelain.tag_create(opened, b"v0.1.0")
    environ = {"GITHUB_SHA": COMMIT}

    with pytest.raises(UsageError, match=f"leads to commit {head(repository)}, and GITHUB_SHA is {COMMIT}") as caught:
        identify(tag="v0.1.0", repo="o/r", commit=None, forge=FORGE, environ=environ, root=repository)

    assert "--commit" in (caught.value.hint or "")
    named = identify(tag="v0.1.0", repo="o/r", commit=COMMIT, forge=FORGE, environ=environ, root=repository)
    assert named.commit == COMMIT


def test_the_server_of_another_forges_runner_is_not_githubs() -> None:
    assert Forge.of("https://api.github.com", {"GITHUB_SERVER_URL": "https://git.example"}) == FORGE
