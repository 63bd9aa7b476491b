from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import SourceError
from pipeline.sources.trees import copy_tree, count_differences, tree_digest, tree_stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "src").mkdir(parents=True)
    (root / "a").write_text("a")
    (root / "src" / "b").write_text("b")
    (root / "run").write_text("run")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("src/b")
    return root


def retarget(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("a")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a").write_text("A"),
        lambda root: (root / "a").chmod(0o755),
        lambda root: (root / "a").rename(root / "c"),
        lambda root: (root / "new").write_text(""),
        lambda root: (root / "src" / "b").unlink(),
        retarget,
    ],
)
def test_digest_and_stamp_notice_every_change_of_content(tree: Path, change: Callable[[Path], object]) -> None:
    digest, stamp = tree_digest(tree), tree_stamp(tree)

    change(tree)

    assert tree_digest(tree) != digest
    assert tree_stamp(tree) != stamp


@pytest.mark.parametrize(
    "change",
    [
        lambda root: os.utime(root / "a", (1, 1)),
        lambda root: (root / "a").chmod(0o600),
        lambda root: (root / "empty").mkdir(),
        lambda root: (root / ".git").mkdir(),
        lambda root: (root / "src" / ".git").write_text("gitdir: x"),
    ],
)
def test_the_digest_is_the_same_wherever_the_content_is(tree: Path, change: Callable[[Path], object]) -> None:
    digest = tree_digest(tree)

    change(tree)

    assert tree_digest(tree) == digest


def test_names_cannot_be_moved_between_entries(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (one / "a\nf").write_text("")
    (two / "a").write_text("")
    (two / "f").write_text("")

    assert tree_digest(one) != tree_digest(two)


def test_a_copy_has_the_same_digest_and_no_git(tree: Path, tmp_path: Path) -> None:
    (tree / ".git").mkdir()
    (tree / ".git" / "config").write_text("x")
    (tree / "src" / "deep" / "er").mkdir(parents=True)
    (tree / "src" / "deep" / "er" / "f").write_text("f")

    count = copy_tree(tree, tmp_path / "copy", 1234567890)

    assert count == 5
    assert tree_digest(tmp_path / "copy") == tree_digest(tree)
    assert not (tmp_path / "copy" / ".git").exists()
    assert {path.lstat().st_mtime for path in [tmp_path / "copy", *(tmp_path / "copy").rglob("*")]} == {1234567890}


def test_special_files_are_refused(tree: Path) -> None:
    os.mkfifo(tree / "pipe")

    with pytest.raises(SourceError, match="pipe is neither a file, a link nor a folder"):
        tree_digest(tree)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*gone: No such file"):
        tree_digest(tmp_path / "gone")


def test_differences_are_counted(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    copy_tree(tree, other, 0)
    (other / "more").write_text("more")
    assert count_differences(tree, other) == 0

    (other / "a").write_text("A")
    (other / "src" / "b").unlink()
    (other / "link").unlink()
    (other / "link").symlink_to("src/c")
    (other / "run").unlink()
    (other / "run").mkdir()

    assert count_differences(tree, other) == 4
