from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from pipeline.engines.base import Cancel, Ending, Engine, Folder, Job
from pipeline.engines.fake import FakeEngine
from pipeline.errors import EngineError
from pipeline.gates.elf import read_elf
from pipeline.model import EngineName, LibraryKind, Output

if TYPE_CHECKING:
    from pathlib import Path

OUTPUTS = (
    Output(path="bundle/libggml.so.0", kind=LibraryKind.LIBRARY, soname="libggml.so.0"),
    Output(path="bundle/libggml.so", kind=LibraryKind.LINK, target="libggml.so.0"),
    Output(path="bundle/llama-cli", kind=LibraryKind.PROGRAM),
    Output(path="licenses/LICENSE", kind=LibraryKind.DATA, content=b"MIT\n"),
)


def ignore(line: str) -> None:
    """Take a line and do nothing."""


def job(tmp_path: Path, *outputs: Output, folders: tuple[Folder, ...] | None = None) -> Job:
    out = Folder(name="OUT", path=tmp_path / "out", writable=True)
    return Job(
        title="core",
        argv=("sh", "{RECIPES}/build.sh"),
        folders=(out,) if folders is None else folders,
        log=tmp_path / "logs" / "core.log",
        deadline=60,
        memory=1 << 30,
        cpus=1,
        outputs=outputs or OUTPUTS,
    )


def test_leaves_every_output(tmp_path: Path) -> None:
    engine: Engine = FakeEngine()
    lines: list[str] = []

    result = engine.run(job(tmp_path), on_line=lines.append, cancel=Cancel())

    bundle = tmp_path / "out" / "bundle"
    assert (result.ending, result.exit_code, result.message) == (Ending.OK, 0, "done")
    assert read_elf(bundle / "libggml.so.0", "x").soname == "libggml.so.0"
    assert str((bundle / "libggml.so").readlink()) == "libggml.so.0"
    assert os.access(bundle / "llama-cli", os.X_OK)
    assert (tmp_path / "out" / "licenses" / "LICENSE").read_bytes() == b"MIT\n"
    assert not os.access(tmp_path / "out" / "licenses" / "LICENSE", os.X_OK) or os.geteuid() == 0
    assert (tmp_path / "logs" / "core.log").read_text().splitlines() == lines
    assert result.tail == tuple(lines)
    assert "+ sh {RECIPES}/build.sh" in lines
    assert engine.name is EngineName.FAKE
    assert engine.sweep() == ()
    engine.close()


def test_does_it_again_over_what_is_there(tmp_path: Path) -> None:
    engine = FakeEngine()

    results = [engine.run(job(tmp_path), on_line=ignore, cancel=Cancel()).ending for _ in range(2)]

    assert results == [Ending.OK, Ending.OK]
    assert [found.title for found in engine.jobs] == ["core", "core"]


@pytest.mark.parametrize(
    ("ending", "code", "message"),
    [
        (Ending.FAILED, 1, "exit code 1"),
        (Ending.TIMED_OUT, None, "stopped after its deadline"),
        (Ending.OUT_OF_MEMORY, 137, "more memory"),
        (Ending.CANCELLED, None, "cancelled"),
    ],
)
def test_misbehaves_as_told(tmp_path: Path, ending: Ending, code: int | None, message: str) -> None:
    engine = FakeEngine(script={"core": ending})

    result = engine.run(job(tmp_path), on_line=ignore, cancel=Cancel())

    assert (result.ending, result.exit_code) == (ending, code)
    assert message in result.message
    assert not (tmp_path / "out").exists()


def test_forgets_its_last_output_as_told(tmp_path: Path) -> None:
    engine = FakeEngine(script={"core": Ending.NO_OUTPUT, "other": Ending.FAILED})

    result = engine.run(job(tmp_path), on_line=ignore, cancel=Cancel())

    assert (result.ending, result.message) == (Ending.NO_OUTPUT, "it left no licenses/LICENSE")
    assert (tmp_path / "out" / "bundle" / "llama-cli").exists()
    assert not (tmp_path / "out" / "licenses").exists()


def test_a_cancelled_job_leaves_nothing(tmp_path: Path) -> None:
    cancel = Cancel()
    cancel.set()

    result = FakeEngine().run(job(tmp_path), on_line=ignore, cancel=cancel)

    assert (result.ending, result.message) == (Ending.CANCELLED, "cancelled")
    assert not (tmp_path / "out").exists()


def test_a_long_job_can_be_cancelled(tmp_path: Path) -> None:
    cancel = Cancel()
    engine = FakeEngine(seconds=60)
    endings: list[Ending] = []
    thread = threading.Thread(
        target=lambda: endings.append(engine.run(job(tmp_path), on_line=ignore, cancel=cancel).ending)
    )

    thread.start()
    cancel.set()
    thread.join(30)

    assert endings == [Ending.CANCELLED]


def test_stops_between_outputs(tmp_path: Path) -> None:
    cancel = Cancel()

    def on_line(line: str) -> None:
        if line.startswith("forged"):
            cancel.set()

    result = FakeEngine().run(job(tmp_path), on_line=on_line, cancel=cancel)

    assert result.ending is Ending.CANCELLED
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["libggml.so.0"]


def test_a_job_without_outputs_is_done(tmp_path: Path) -> None:
    bare = job(tmp_path, folders=())
    bare = Job(title="x", argv=("true",), folders=(), log=bare.log, deadline=1, memory=1, cpus=1)

    assert FakeEngine().run(bare, on_line=ignore, cancel=Cancel()).ending is Ending.OK
    missing = FakeEngine(script={"x": Ending.NO_OUTPUT}).run(bare, on_line=ignore, cancel=Cancel())
    assert (missing.ending, missing.message) == (Ending.NO_OUTPUT, "it left no everything")


def test_needs_a_folder_to_write_to(tmp_path: Path) -> None:
    read_only = (Folder(name="OUT", path=tmp_path),)

    with pytest.raises(EngineError, match="core: the job promises outputs and has no writable folder named OUT"):
        FakeEngine().run(job(tmp_path, folders=read_only), on_line=ignore, cancel=Cancel())


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x"])
def test_writes_nowhere_else(tmp_path: Path, path: str) -> None:
    with pytest.raises(EngineError, match="lies outside the OUT folder"):
        FakeEngine().run(job(tmp_path, Output(path=path, kind=LibraryKind.DATA)), on_line=ignore, cancel=Cancel())
