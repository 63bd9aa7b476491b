from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.model import TaskKind
from pipeline.run.store import Stamp, Store


def _commit(store: Store, key: str, content: str, **facts: object) -> None:
    with store.scratch("test") as scratch:
        made = scratch / "made"
        made.mkdir()
        (made / "file").write_text(content)
        store.commit(TaskKind.CORE, key, made, facts)


def test_a_committed_task_is_found_with_its_files_and_facts(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    _commit(store, "k", "content", seconds=3)
    entry = store.find(TaskKind.CORE, "k")

    assert entry is not None
    assert entry.facts == {"seconds": 3}
    assert (entry.folder / "file").read_text() == "content"
    assert store.find(TaskKind.CORE, "other") is None


def test_committing_again_replaces_the_whole_entry(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    _commit(store, "k", "old", old=True)

    _commit(store, "k", "new", new=True)
    entry = store.find(TaskKind.CORE, "k")

    assert entry is not None
    assert entry.facts == {"new": True}
    assert (entry.folder / "file").read_text() == "new"


@pytest.mark.parametrize("damage", ["", "{", "[]", "null"])
def test_a_damaged_entry_counts_as_absent(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path / "store")
    _commit(store, "k", "content")

    (store.root / "tasks" / "core" / "k" / "result.json").write_text(damage)

    assert store.find(TaskKind.CORE, "k") is None


def test_scratch_is_gone_afterwards_even_after_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def fail() -> None:
        with store.scratch("x") as scratch:
            (scratch / "half").write_text("half-made")
            msg = "boom"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert list((store.root / "scratch").iterdir()) == []


def test_sweep_removes_what_a_killed_run_left_and_names_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (store.root / "scratch" / "compile-1").mkdir(parents=True)
    (store.root / "scratch" / "compile-1" / "half").write_text("half-made")

    assert store.sweep() == ("compile-1",)
    assert store.sweep() == ()


def test_facts_can_be_amended_without_touching_the_files(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    _commit(store, "k", "content", stamp=1)

    store.amend(TaskKind.CORE, "k", {"stamp": 2})
    entry = store.find(TaskKind.CORE, "k")

    assert entry is not None
    assert entry.facts == {"stamp": 2}
    assert sorted(path.name for path in entry.folder.iterdir()) == ["file", "result.json"]


def test_forgetting_makes_a_task_absent(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    _commit(store, "k", "content")

    store.forget(TaskKind.CORE, "k")

    assert store.find(TaskKind.CORE, "k") is None


def test_a_stamp_changes_with_size_time_and_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    before = Stamp.of(path)

    path.write_text("longer")

    assert before is not None
    assert Stamp.of(path) != before
    assert Stamp.of(tmp_path / "absent") is None


def test_a_store_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot be written") as caught:
        Store(tmp_path / "file" / "store")

    assert caught.value.hint == "choose another place with --store DIR"


def _hold(root: Path, held: object, done: object) -> None:
    with Store(root).locked():
        held.set()  # type: ignore[attr-defined]
        done.wait(30)  # type: ignore[attr-defined]


@pytest.mark.process
def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    held, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, held, done))
    other.start()
    assert held.wait(30)
    try:
        with pytest.raises(StoreError, match=f"another run \\(process {other.pid}\\) is using this store"):
            Store(tmp_path).locked().__enter__()
    finally:
        other.kill()
        other.join()
    with Store(tmp_path).locked():
        pass
