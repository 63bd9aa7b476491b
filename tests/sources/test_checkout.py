from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from pipeline.sources.checkout import checkout
from pipeline.sources.limits import DEFAULT_LIMITS, Limits, UnprovenError
from pipeline.sources.objects import ObjectFolder
from pipeline.sources.trees import tree_digest
from tests.sources.upstream import EPOCH, FILE, FOLDER, LINK, PROGRAM, SUBMODULE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.upstream import Upstream


def take(upstream: Upstream, commit: str, tmp_path: Path, limits: Limits = DEFAULT_LIMITS, **options: bool) -> Path:
    tree = tmp_path / "tree"
    with ObjectFolder(tmp_path / "fresh") as objects:
        objects.add_folder(upstream.objects)
        written = checkout(objects, commit, tree, limits=limits, **options)
    assert written.digest == tree_digest(tree)
    return tree


def refusal(upstream: Upstream, commit: str, tmp_path: Path, limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(UnprovenError) as caught:
        take(upstream, commit, tmp_path, limits)
    assert not (tmp_path / "canary").exists()
    return str(caught.value)


def test_the_tree_is_written_with_plain_modes_and_the_commits_time(upstream: Upstream, tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        tree = take(upstream, upstream.sample(), tmp_path)
    finally:
        os.umask(old)

    assert (tree / "README").read_bytes() == b"read me\n"
    assert (tree / "src" / "b.c").read_bytes() == b"int b;\n"
    assert str((tree / "link").readlink()) == "src/b.c"
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in tree.rglob("*") if not path.is_symlink()}
    assert modes == {"README": 0o644, "run.sh": 0o755, "src": 0o755, "b.c": 0o644}
    assert {path.lstat().st_mtime for path in [tree, *tree.rglob("*")]} == {EPOCH}


def test_the_result_counts_what_was_written(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.sample()
    with ObjectFolder(tmp_path / "fresh") as objects:
        objects.add_folder(upstream.objects)
        written = checkout(objects, commit, tmp_path / "tree")

    assert (written.epoch, written.files, written.size) == (EPOCH, 4, 25)


@pytest.mark.parametrize("name", [b".git", b".GIT", b".git ", b"GIT~1", ".g\u200cit".encode(), b"..", b".", b"a\\b"])
def test_an_unsafe_folder_name_is_refused(upstream: Upstream, tmp_path: Path, name: bytes) -> None:
    hooks = upstream.tree((PROGRAM, "post-checkout", upstream.blob(b"#!/bin/sh\ntouch canary\n")))

    message = refusal(upstream, upstream.commit_of((FOLDER, name, hooks)), tmp_path)

    assert "is not safe" in message or "invalid name" in message
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize("name", [b"../canary", b"a/b", b""])
def test_a_name_with_a_path_in_it_is_refused(upstream: Upstream, tmp_path: Path, name: bytes) -> None:
    message = refusal(upstream, upstream.commit_of((FILE, name, upstream.blob(b"x"))), tmp_path)

    assert "is not safe" in message or "malformed" in message


def test_two_entries_of_one_name_are_refused(upstream: Upstream, tmp_path: Path) -> None:
    one, two = upstream.blob(b"1"), upstream.blob(b"2")
    tree = upstream.raw_tree((FILE, b"a", one), (FILE, b"a", two))

    assert "duplicate" in refusal(upstream, upstream.commit(tree), tmp_path)


def test_entries_out_of_order_are_refused(upstream: Upstream, tmp_path: Path) -> None:
    blob = upstream.blob(b"1")

    assert "sorted" in refusal(
        upstream, upstream.commit(upstream.raw_tree((FILE, b"b", blob), (FILE, b"a", blob))), tmp_path
    )


def test_a_link_and_a_folder_of_nearly_one_name_are_refused(upstream: Upstream, tmp_path: Path) -> None:
    """On a file system that ignores case the folder's files would be written through the link."""
    folder = upstream.tree((FILE, "post-checkout", upstream.blob(b"evil")))
    commit = upstream.commit_of((FOLDER, "A", folder), (LINK, "a", upstream.blob(b".git/hooks")))

    assert refusal(upstream, commit, tmp_path) == "'a' and 'A' are the same name on some file system"


@pytest.mark.parametrize("mode", ["100600", "100664", "10644", "20644", "60000", "0"])
def test_odd_modes_are_refused(upstream: Upstream, tmp_path: Path, mode: str) -> None:
    message = refusal(upstream, upstream.commit_of((mode, "a", upstream.blob(b"1"))), tmp_path)

    assert "mode" in message


def test_a_submodule_is_refused_unless_allowed(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.commit_of((SUBMODULE, "vendor", "1" * 40), (FILE, "a", upstream.blob(b"1")))

    assert refusal(upstream, commit, tmp_path) == "'vendor' is a submodule; submodules are not fetched"
    tree = take(upstream, commit, tmp_path / "again", allow_submodules=True)
    assert [path.name for path in tree.iterdir()] == ["a"]


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../../etc/passwd", b"d/../../x", b""])
def test_a_link_out_of_the_tree_is_refused(upstream: Upstream, tmp_path: Path, target: bytes) -> None:
    commit = upstream.commit_of((LINK, "a", upstream.blob(target)))

    assert "the link 'a' to" in refusal(upstream, commit, tmp_path)


def test_a_tree_that_is_really_a_blob_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.commit_of((FOLDER, "a", upstream.blob(b"1")))

    assert "is a blob, not a tree" in refusal(upstream, commit, tmp_path)


def test_a_missing_blob_is_named(upstream: Upstream, tmp_path: Path) -> None:
    blob = upstream.blob(b"1")
    commit = upstream.commit_of((FILE, "a", blob))
    upstream.path(blob).unlink()

    assert refusal(upstream, commit, tmp_path) == f"blob {blob} is missing"


def test_a_commit_that_is_not_there_is_named(upstream: Upstream, tmp_path: Path) -> None:
    upstream.sample()

    assert refusal(upstream, "9" * 40, tmp_path) == f"commit {'9' * 40} is missing"


def test_a_malformed_commit_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.put("commit", f"tree {upstream.tree()}\n\nno author\n".encode())

    assert f"commit {commit} is malformed" in refusal(upstream, commit, tmp_path)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(entries=2), "more than 2 entries"),
        (Limits(path=3), "longer than 3 bytes"),
        (Limits(depth=0), "more than 0 folders deep"),
        (Limits(tree=10), "larger than 10 bytes"),
        (Limits(link=3), "longer than 3 bytes"),
    ],
)
def test_limits_hold(upstream: Upstream, tmp_path: Path, limits: Limits, message: str) -> None:
    assert message in refusal(upstream, upstream.sample(), tmp_path, limits)


def test_a_tree_that_multiplies_itself_is_stopped(upstream: Upstream, tmp_path: Path) -> None:
    tree = upstream.tree((FILE, "a", upstream.blob(b"1")))
    for _ in range(30):
        tree = upstream.tree(*[(FOLDER, name, tree) for name in "abcdefgh"])

    assert "more than 1000 entries" in refusal(upstream, upstream.commit(tree), tmp_path, Limits(entries=1000))
