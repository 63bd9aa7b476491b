from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import CancelledError, SourceError
from pipeline.matrix.spec import Source
from pipeline.model import TaskKind, TaskState
from pipeline.plan.records import SourceWork, Task
from pipeline.run.context import RunContext
from pipeline.run.supply import SourceTree, supply
from pipeline.sources.keys import source_key
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
