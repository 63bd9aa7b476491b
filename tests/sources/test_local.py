from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import SourceError
from pipeline.sources.local import inspect
from tests.sources.upstream import Upstream

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plain_folder_is_just_a_folder(tmp_path: Path) -> None:
    found = inspect(tmp_path, "a" * 40)

    assert (found.objects, found.work_tree) == (None, True)


def test_a_work_tree_that_holds_the_commit_is_found(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.sample()

    assert inspect(tmp_path / "upstream", commit).objects == upstream.objects
    assert inspect(tmp_path / "upstream", "a" * 40).objects is None
    assert inspect(tmp_path / "upstream", None).objects is None


def bare(path: Path) -> Upstream:
    upstream = Upstream(path / "objects")
    (path / "refs").mkdir()
    (path / "HEAD").write_text("ref: refs/heads/main\n")
    return upstream


def test_a_bare_repository_needs_the_commit(tmp_path: Path) -> None:
    upstream = bare(tmp_path / "bare")
    commit = upstream.sample()

    found = inspect(tmp_path / "bare", commit)

    assert (found.objects, found.work_tree) == (upstream.objects, False)
    with pytest.raises(SourceError, match=f"is a bare git repository and does not hold the commit {'a' * 40}$"):
        inspect(tmp_path / "bare", "a" * 40)
    with pytest.raises(SourceError, match="does not hold a work tree"):
        inspect(tmp_path / "bare", None)


def test_alternates_are_not_followed_and_said_so(tmp_path: Path) -> None:
    commit = Upstream(tmp_path / "elsewhere").sample()
    upstream = bare(tmp_path / "bare")
    (upstream.objects / "info").mkdir()
    (upstream.objects / "info" / "alternates").write_text(f"{tmp_path / 'elsewhere'}\n")

    with pytest.raises(SourceError, match="borrows objects from another repository, which is not followed"):
        inspect(tmp_path / "bare", commit)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing is not a folder"):
        inspect(tmp_path / "nothing", None)


def test_a_submodules_git_file_is_followed(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "super" / ".git" / "modules" / "vendor" / "objects")
    commit = upstream.sample()
    work = tmp_path / "super" / "vendor"
    work.mkdir()
    (work / ".git").write_text("gitdir: ../.git/modules/vendor\n")

    assert inspect(work, commit).objects == upstream.objects


def test_a_worktrees_git_file_is_followed_to_its_repository(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.sample()
    admin = upstream.objects.parent / "worktrees" / "wt"
    admin.mkdir(parents=True)
    (admin / "commondir").write_text("../..\n")
    (tmp_path / "wt").mkdir()
    (tmp_path / "wt" / ".git").write_text(f"gitdir: {admin}\n")

    assert inspect(tmp_path / "wt", commit).objects == upstream.objects
    (admin / "commondir").write_text(f"{tmp_path}\n")
    assert inspect(tmp_path / "wt", commit).objects is None


@pytest.mark.parametrize(
    "content", ["gitdir: ../elsewhere\n", "nonsense\n", "gitdir: ../gone/modules/x\n", "gitdir: " + "x" * 5000]
)
def test_a_git_file_that_leads_elsewhere_is_ignored(tmp_path: Path, content: str) -> None:
    commit = Upstream(tmp_path / "elsewhere" / "objects").sample()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".git").write_text(content)

    assert inspect(tmp_path / "work", commit).objects is None


def test_links_in_place_of_git_folders_are_not_followed(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.sample()
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / ".git").symlink_to(upstream.objects.parent)
    (tmp_path / "two" / ".git").mkdir(parents=True)
    (tmp_path / "two" / ".git" / "objects").symlink_to(upstream.objects)

    assert inspect(tmp_path / "one", commit).objects is None
    assert inspect(tmp_path / "two", commit).objects is None
