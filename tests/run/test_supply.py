from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import CancelledError, SourceError, ToolchainError
from pipeline.matrix.spec import Source, Toolchain
from pipeline.model import TaskKind, TaskState
from pipeline.plan.records import SourceWork, Task, ToolchainWork
from pipeline.run.context import RunContext
from pipeline.run.supply import LocalToolchain, SourceTree, supply
from pipeline.sources.keys import source_key
from pipeline.toolchain import toolchain_key
from tests.run.builders import Rig


def _source(folder: Path) -> tuple[RunContext, Task]:
    context = Rig(folder=folder).runner().context
    place = folder / "mine"
    place.mkdir()
    (place / "CMakeLists.txt").write_text("project(mine)")
    work = SourceWork(name="mine", source=Source(version="1.0", epoch=1_700_000_000), local=str(place))
    key = source_key("mine", work.source, place)
    return context, Task(id="source:mine", kind=TaskKind.SOURCE, key=key, work=work)


def test_a_local_folder_is_supplied_and_called_unproven(tmp_path: Path) -> None:
    context, task = _source(tmp_path)

    assert supply(context, task, tmp_path / "log") is TaskState.DONE

    tree = context.result("source:mine", SourceTree)
    assert (tree.commit, tree.proven, tree.epoch) == (None, False, 1_700_000_000)
    assert (tree.path / "CMakeLists.txt").read_text() == "project(mine)"
    assert (tmp_path / "log").read_text()


def test_a_stop_is_seen_at_the_next_thing_there_is_to_say(tmp_path: Path) -> None:
    context, task = _source(tmp_path)
    context.cancel.set()

    with pytest.raises(CancelledError, match="source:mine was stopped"):
        supply(context, task, tmp_path / "log")

    assert (tmp_path / "log").is_file()
    assert "source:mine" not in context.results


def test_a_folder_that_is_edited_during_the_run_is_refused(tmp_path: Path) -> None:
    context, task = _source(tmp_path)
    (tmp_path / "mine" / "CMakeLists.txt").write_text("project(changed)")

    with pytest.raises(SourceError, match="changed since the plan was made"):
        supply(context, task, tmp_path / "log")


def _toolchain(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RunContext, Task]:
    context = Rig(folder=folder).runner().context
    context.root = folder / "repository"
    (context.root / "tools").mkdir(parents=True)
    (context.root / "tools" / "lock.txt").write_text("ziglang==0.17.0 --hash=sha256:00\n")
    (context.root / "tools" / "zig-cc").write_text("#!/bin/sh\n")
    work = ToolchainWork(name="zig", toolchain=Toolchain(lock="tools/lock.txt", wrappers="tools", hosts=()))
    monkeypatch.setattr("pipeline.run.supply.install", lambda *_, **__: folder / "installed")
    key = toolchain_key(work.toolchain, context.root)
    return context, Task(id="toolchain:zig", kind=TaskKind.TOOLCHAIN, key=key, work=work)


def test_a_toolchain_says_what_its_lock_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, task = _toolchain(tmp_path, monkeypatch)

    assert supply(context, task, tmp_path / "log") is TaskState.DONE

    found = context.result("toolchain:zig", LocalToolchain)
    lock = (context.root / "tools" / "lock.txt").read_bytes()
    assert found.path == tmp_path / "installed"
    assert found.material.digest == hashlib.sha256(lock).hexdigest()
    assert (found.material.origin, found.material.packages) == ("tools/lock.txt", (("ziglang", "0.17.0"),))


def test_a_toolchain_that_is_edited_during_the_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, task = _toolchain(tmp_path, monkeypatch)
    (context.root / "tools" / "lock.txt").write_text("ziglang==0.18.0 --hash=sha256:00\n")

    with pytest.raises(ToolchainError, match=r"tools/lock\.txt or a compiler wrapper changed since the plan was made"):
        supply(context, task, tmp_path / "log")

    assert "toolchain:zig" not in context.results
