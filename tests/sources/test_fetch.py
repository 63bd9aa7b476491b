from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
import yaml

from pipeline.errors import SourceError, StoreError
from pipeline.matrix.spec import Mirror, Source
from pipeline.sources import fetch as module
from pipeline.sources.fetch import FetchedSource, fetch, verify_tree
from tests.sources.upstream import EPOCH, Upstream, sdist_of

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ".git/modules/v"


def quiet(_: str) -> None:
    pass


def vendored(upstream: Upstream, store: Path, name: str = "v==1") -> Mirror:
    """Put an sdist of ``upstream`` where a download would have left it, and give its mirror."""
    data = sdist_of(upstream, FOLDER)
    digest = hashlib.sha256(data).hexdigest()
    downloads = store / "sources" / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    (downloads / f"{digest}.tar.gz").write_bytes(data)
    return Mirror(sdist=name, sha256=digest, objects=FOLDER)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def pinned(upstream: Upstream, store: Path) -> Source:
    commit = upstream.sample()
    upstream.write_pack()
    return Source(version="1", commit=commit, epoch=EPOCH, mirrors=(vendored(upstream, store),))


def test_a_mirror_is_proven_and_kept(pinned: Source, store: Path) -> None:
    said: list[str] = []

    got = fetch("x", pinned, store, say=said.append)

    assert pinned.commit is not None
    assert got == FetchedSource(
        name="x",
        path=store / "sources" / f"x-{pinned.commit[:12]}" / "tree",
        commit=pinned.commit,
        epoch=EPOCH,
        digest=got.digest,
        proven=True,
        origin="sdist v==1",
    )
    assert verify_tree(got)
    assert said == ["x: trying sdist v==1", f"x: commit {pinned.commit[:12]} proven, 4 files from sdist v==1"]
    assert sorted(path.name for path in (store / "sources").iterdir()) == [".x.lock", f"x-{pinned.commit[:12]}"]


def test_the_second_fetch_needs_nobody(pinned: Source, store: Path) -> None:
    first = fetch("x", pinned, store, say=quiet)
    said: list[str] = []

    # Without any mirror there is nowhere to go.
    second = fetch("x", Source(version="1", commit=pinned.commit), store, say=said.append)

    assert second == first
    assert said == []


def test_a_mirror_that_does_not_match_is_refused_and_the_next_one_tried(
    upstream: Upstream, pinned: Source, store: Path, tmp_path: Path
) -> None:
    other = Upstream(tmp_path / "other")
    other.commit_of(("100644", "evil", other.blob(b"evil")))
    source = msgspec.structs.replace(
        pinned,
        mirrors=(Mirror(git="ssh://host/x"), vendored(other, store, "other==1"), vendored(upstream, store)),
    )

    got = fetch("x", source, store, say=quiet)

    assert got.origin == "sdist v==1"
    assert got.refused == (
        "git ssh://host/x: only https and http remotes are fetched, not 'ssh://host/x'",
        f"sdist other==1: commit {pinned.commit} is missing",
    )
    assert fetch("x", source, store, say=quiet).refused == got.refused


def test_when_all_fail_each_has_its_line(pinned: Source, store: Path) -> None:
    source = msgspec.structs.replace(pinned, mirrors=(Mirror(git="ssh://a"), Mirror(git="ssh://b")))

    with pytest.raises(SourceError) as caught:
        fetch("x", source, store, say=quiet)

    assert str(caught.value).splitlines() == [
        f"no mirror gave x at commit {pinned.commit}",
        "  git ssh://a: only https and http remotes are fetched, not 'ssh://a'",
        "  git ssh://b: only https and http remotes are fetched, not 'ssh://b'",
    ]
    assert "--source x=PATH" in (caught.value.hint or "")
    assert [path.name for path in (store / "sources").iterdir() if "work" in path.name] == []


def test_no_mirrors_at_all(pinned: Source, store: Path) -> None:
    with pytest.raises(SourceError, match=r"matrix\.yaml names no mirror"):
        fetch("x", msgspec.structs.replace(pinned, mirrors=()), store, say=quiet)


def test_an_unpinned_source_needs_a_folder(store: Path) -> None:
    with pytest.raises(SourceError, match="the source x is not pinned"):
        fetch("x", Source(version="1"), store, say=quiet)


@pytest.mark.parametrize("name", ["../x", "", ".x", "a/b", "a\n"])
def test_names_that_are_paths_are_refused(name: str, store: Path) -> None:
    with pytest.raises(SourceError, match="cannot be the name of a source"):
        fetch(name, Source(version="1"), store, say=quiet)


def test_a_wrong_epoch_is_an_error_that_says_the_right_one(pinned: Source, store: Path) -> None:
    with pytest.raises(SourceError, match=r"the epoch is 5, but commit .* was made at 1700000000") as caught:
        fetch("x", msgspec.structs.replace(pinned, epoch=5), store, say=quiet)
    assert caught.value.hint == "write epoch: 1700000000 in matrix.yaml"


def test_what_a_killed_run_left_is_swept_and_the_fetch_converges(pinned: Source, store: Path) -> None:
    shelf = store / "sources"
    (shelf / ".x.work-dead" / "tree").mkdir(parents=True)
    (shelf / ".x.work-dead" / "tree" / "half").write_text("ha")
    (shelf / ".y.work-other").mkdir()
    # A place without meta.json, as no version of ours leaves it.
    place = shelf / f"x-{(pinned.commit or '')[:12]}"
    (place / "tree").mkdir(parents=True)
    (place / "tree" / "half").write_text("ha")
    (shelf / "downloads" / "half.part").write_text("ha")

    got = fetch("x", pinned, store, say=quiet)

    assert verify_tree(got)
    assert not (got.path / "half").exists()
    assert sorted(path.name for path in shelf.iterdir()) == [".x.lock", ".y.work-other", place.name]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["os.sync", "tree_stamp", "_sync_folder"])
def test_a_kill_at_any_step_leaves_all_or_nothing(
    pinned: Source, store: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*args: object) -> str:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os if step == "os.sync" else module, step.removeprefix("os."), die)
        # The temporary folder of a killed run stays behind.
        patch.setattr(shutil, "rmtree", lambda *args, **options: None)
        with pytest.raises(Killed):
            fetch("x", pinned, store, say=quiet)

    assert verify_tree(fetch("x", pinned, store, say=quiet))
    assert not list((store / "sources").glob(".x.work-*"))


def test_a_changed_tree_is_noticed_and_fetched_again(upstream: Upstream, pinned: Source, store: Path) -> None:
    got = fetch("x", pinned, store, say=quiet)
    (got.path / "README").write_text("changed")
    assert not verify_tree(got)
    vendored(upstream, store)
    said: list[str] = []

    again = fetch("x", pinned, store, say=said.append)

    assert said[0] == f"x: somebody changed {got.path}; it is fetched again"
    assert verify_tree(again)
    assert again == got


def test_a_tree_that_was_only_touched_is_kept_and_stamped_anew(pinned: Source, store: Path) -> None:
    got = fetch("x", pinned, store, say=quiet)
    meta = got.path.parent / "meta.json"
    before = meta.read_bytes()
    os.utime(got.path / "README", (1, 1))

    assert fetch("x", msgspec.structs.replace(pinned, mirrors=()), store, say=quiet) == got
    assert meta.read_bytes() != before


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_an_unreadable_meta_json_is_not_believed(
    upstream: Upstream, pinned: Source, store: Path, content: bytes
) -> None:
    got = fetch("x", pinned, store, say=quiet)
    (got.path.parent / "meta.json").write_bytes(content)
    vendored(upstream, store)
    said: list[str] = []

    assert fetch("x", pinned, store, say=said.append) == got
    assert "has no readable meta.json" in said[0]


def test_a_meta_json_of_another_commit_is_not_believed(upstream: Upstream, pinned: Source, store: Path) -> None:
    got = fetch("x", pinned, store, say=quiet)
    meta = json.loads((got.path.parent / "meta.json").read_text())
    (got.path.parent / "meta.json").write_text(json.dumps(meta | {"commit": "f" * 40}))
    vendored(upstream, store)

    assert fetch("x", pinned, store, say=quiet) == got


def test_a_local_repository_is_proven_without_its_configuration(
    upstream: Upstream, pinned: Source, store: Path, tmp_path: Path
) -> None:
    work = tmp_path / "upstream"
    canary = tmp_path / "canary"
    (work / ".git" / "config").write_text(f"[core]\n\tfsmonitor = touch {canary}\n\thooksPath = {work}\n")
    (work / "post-checkout").write_text(f"#!/bin/sh\ntouch {canary}\n")
    (work / "README").write_text("my own changes")
    said: list[str] = []

    got = fetch("x", pinned, store, local=work, say=said.append)

    assert (got.commit, got.proven, got.origin) == (pinned.commit, True, f"the git repository {work}")
    assert (got.path / "README").read_text() == "read me\n"
    assert not canary.exists()
    assert said[-1] == (
        f"x: 4 files of {work} differ from commit {got.commit[:12] if got.commit else ''} and are not used; "
        "to build them, give a copy of the folder without .git"
    )


def test_a_local_repository_that_lies_is_an_error_and_never_a_plain_folder(
    upstream: Upstream, store: Path, tmp_path: Path
) -> None:
    commit = upstream.sample()
    upstream.path(commit).write_bytes(upstream.path(upstream.blob(b"evil")).read_bytes())

    with pytest.raises(SourceError, match=f"object {commit} is not what its name says"):
        fetch("x", Source(version="1", commit=commit), store, local=tmp_path / "upstream", say=quiet)


def test_any_other_folder_is_copied_and_not_proven(pinned: Source, store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / ".git").mkdir(parents=True)
    (folder / "main.c").write_text("int main;")
    said: list[str] = []

    got = fetch("x", pinned, store, local=folder, say=said.append)

    assert (got.commit, got.proven, got.epoch) == (None, False, EPOCH)
    assert [path.name for path in got.path.iterdir()] == ["main.c"]
    assert said == [f"x: copying {folder}, which is not proven to be any commit"]
    assert fetch("x", pinned, store, local=folder, say=said.append) == got
    assert len(said) == 1


def test_a_changed_folder_is_another_source(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = fetch("x", Source(version="1"), store, local=folder, say=quiet)
    (folder / "a").write_text("2")

    second = fetch("x", Source(version="1"), store, local=folder, say=quiet)

    assert first.epoch == 315532800
    assert (first.path / "a").read_text() == "1"
    assert (second.path / "a").read_text() == "2"


def test_a_store_inside_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="lies inside the source folder"):
        fetch("x", Source(version="1"), tmp_path / ".llamatrix", local=tmp_path, say=quiet)


def test_a_store_that_cannot_be_written_is_named(pinned: Source, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="the sources folder cannot be used"):
        fetch("x", pinned, tmp_path / "file", say=quiet)


def test_a_second_run_waits_for_the_first(pinned: Source, store: Path) -> None:
    got = fetch("x", pinned, store, say=quiet)
    waiting = threading.Event()
    results: list[FetchedSource] = []

    def other() -> None:
        results.append(fetch("x", pinned, store, say=lambda line: waiting.set() if "waiting" in line else None))

    with (store / "sources" / ".x.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=other)
        thread.start()
        assert waiting.wait(20)
        assert results == []
    thread.join()

    assert results == [got]


@pytest.mark.network
def test_the_real_source_is_proven_from_its_sdist(
    store: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = yaml.safe_load((pytestconfig.rootpath / "matrix.yaml").read_text(encoding="utf-8"))
    source = msgspec.convert(matrix["sources"]["llama.cpp"], Source)
    vendored_only = msgspec.structs.replace(source, mirrors=tuple(m for m in source.mirrors if m.sdist is not None))

    got = fetch("llama.cpp", vendored_only, store, say=quiet)

    assert (got.commit, got.epoch, got.proven) == (source.commit, source.epoch, True)
    assert (got.path / "CMakeLists.txt").is_file()
    assert verify_tree(got)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    assert fetch("llama.cpp", source, store, say=quiet) == got
