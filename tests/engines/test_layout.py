from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.base import Ending, Folder, Job
from pipeline.engines.layout import (
    command_line,
    discard_outputs,
    environment,
    exit_message,
    folder_paths,
    output_problem,
    stop_message,
)
from pipeline.errors import EngineError
from pipeline.model import LibraryKind
from tests.engines.lab import make_job, promise


def test_references_become_paths_and_the_shells_own_stay(tmp_path: Path) -> None:
    job = make_job(tmp_path, "sh", "{OUT}/x:{OUT}", "${OUT} {lower} {}")
    assert command_line(job, {"OUT": "/o"}) == ["sh", "/o/x:/o", "${OUT} {lower} {}"]


def test_a_reference_to_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"a test job: the command refers to \{SOURCE\}, but its folders are OUT"):
        command_line(make_job(tmp_path, "{SOURCE}/x"), {"OUT": "/o"})


def test_a_job_needs_a_command(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no command"):
        command_line(make_job(tmp_path), {})


@pytest.mark.parametrize("name", ["lower", "A-B", "OUT", ""])
def test_folder_names_are_upper_case_and_used_once(tmp_path: Path, name: str) -> None:
    job = make_job(tmp_path, "x", extra=(Folder(name=name, path=tmp_path),))
    with pytest.raises(EngineError, match="used twice or is not upper case"):
        folder_paths(job, lambda folder: folder.name)


def test_a_missing_folder_and_outputs_without_a_folder(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x", extra=(Folder(name="GONE", path=tmp_path / "gone"),))
    with pytest.raises(EngineError, match="folder GONE does not exist"):
        folder_paths(job, lambda folder: folder.name)
    with pytest.raises(EngineError, match="no folder named OUT"):
        folder_paths(make_job(tmp_path, "x", folders=(), outputs=(promise("a"),)), lambda folder: folder.name)


def test_the_environment_is_scrubbed(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x", environment={"JOBS": "2", "PATH": "/mine"})
    assert environment(job, {"OUT": "/o"}, path="/bin", home="/h", temporary="/t") == {
        "PATH": "/mine",
        "HOME": "/h",
        "TMPDIR": "/t",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "LLAMATRIX_OUT": "/o",
        "JOBS": "2",
    }


def test_every_way_an_output_can_be_wrong(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x", outputs=(promise("lib/a.so"),))
    path = tmp_path / "out" / "lib" / "a.so"
    path.parent.mkdir()
    assert output_problem(job) == "it did not leave lib/a.so"
    path.symlink_to("b.so")
    assert output_problem(job) == "lib/a.so is a link to nothing"
    path.unlink()
    path.symlink_to(tmp_path)
    assert output_problem(job) == "lib/a.so is a link that leads out of the output folder"
    path.unlink()
    path.mkdir()
    assert output_problem(job) == "lib/a.so is not a file"
    path.rmdir()
    path.touch()
    assert output_problem(job) == "lib/a.so is empty"
    path.write_bytes(b"x")
    assert output_problem(job) is None


def test_a_link_to_a_good_file_is_good(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x", outputs=(promise("a.so", LibraryKind.LINK),))
    (tmp_path / "out" / "a.so.0").write_bytes(b"x")
    (tmp_path / "out" / "a.so").symlink_to("a.so.0")
    assert output_problem(job) is None


def test_no_out_folder_means_no_promises(tmp_path: Path) -> None:
    assert output_problem(make_job(tmp_path, "x", folders=())) is None


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", ""])
def test_an_output_outside_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(EngineError, match="not a path under OUT"):
        output_problem(make_job(tmp_path, "x", outputs=(promise(path),)))


def test_what_an_earlier_attempt_left_is_removed(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x", outputs=(promise("a"), promise("b/c"), promise("a/d")))
    (tmp_path / "out" / "a").write_bytes(b"old")
    (tmp_path / "out" / "kept").write_bytes(b"old")
    discard_outputs(job)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kept"]


def test_what_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x", outputs=(promise("a"),))
    (tmp_path / "out" / "a").mkdir()
    with pytest.raises(EngineError, match="left by an earlier attempt"):
        discard_outputs(job)


@pytest.mark.parametrize(
    ("code", "last", "expected"),
    [
        (2, "boom", "sh exited with status 2; its last line: boom"),
        (139, "", "sh was killed by SIGSEGV; it printed nothing"),
        (255, "", "sh exited with status 255; it printed nothing"),
    ],
)
def test_exit_messages(code: int, last: str, expected: str) -> None:
    assert exit_message("sh", code, last) == expected


def test_stop_messages(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x", deadline=90)
    assert stop_message(job, Ending.CANCELLED, "a") == "cancelled; everything it started was ended"
    assert "the deadline of 90 s passed" in stop_message(job, Ending.TIMED_OUT, "")
    assert stop_message(job, Ending.CANCELLED, "a", left="2 stay") == "cancelled; but 2 stay"
    assert stop_message(job, Ending.TIMED_OUT, "a").endswith("its last line: a")


@given(st.text(max_size=50))
def test_text_without_references_stays_as_it_is(text: str) -> None:
    job = Job(title="t", argv=(text,), folders=(), log=Path(), deadline=1, memory=1, cpus=1)
    if "{" not in text:
        assert command_line(job, {}) == [text]
