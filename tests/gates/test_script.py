from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engines.base import Ending, JobResult
from pipeline.gates.script import Command, Ran, read_results, write_script

OK = JobResult(ending=Ending.OK, exit_code=0, seconds=2.0, message="")


def play(out: Path, commands: list[Command], *, prefix: tuple[str, ...] = (), timed: bool = True) -> tuple[Ran, ...]:
    environment = {"PATH": os.environ["PATH"], "LLAMATRIX_OUT": str(out), "LLAMATRIX_BUNDLE": "/some where"}
    script = write_script(commands, prefix=prefix, timed=timed)
    subprocess.run(["sh", "-c", script], env=environment, check=True)
    return read_results(commands, out, OK)


@pytest.mark.process
def test_each_command_has_its_own_streams_code_and_time(tmp_path: Path) -> None:
    commands = [
        Command(name="a", argv=("sh", "-c", "echo out; echo err >&2; exit 3")),
        Command(name="b", argv=("sh", "-c", "echo $COLOUR"), environment={"COLOUR": "it's {BUNDLE}/x"}),
        Command(name="c", argv=("cat",)),
    ]
    first, second, third = play(tmp_path, commands)
    assert (first.exit_code, first.stdout, first.stderr) == (3, "out\n", "err\n")
    assert first.seconds is not None
    assert 0 <= first.seconds < 60
    assert second.stdout == "it's /some where/x\n"
    assert third.problem is None, "standard input is empty, so cat ends"


@pytest.mark.process
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(blacklist_characters="\0", codec="utf-8")), min_size=1, max_size=3))
def test_any_argument_arrives_as_it_is(tmp_path: Path, arguments: list[str]) -> None:
    texts = [text.replace("{", "(") for text in arguments]
    (ran,) = play(tmp_path, [Command(name="\n".join(texts), argv=("printf", "%s|", *texts))])
    expected = "".join(f"{text}|" for text in texts)
    assert ran.stdout.encode() == expected.encode()


@pytest.mark.process
def test_an_emulator_goes_in_front_and_nothing_else_is_started(tmp_path: Path) -> None:
    commands = [Command(name="a", argv=("echo", "hello"))]
    (ran,) = play(tmp_path, commands, prefix=("env",), timed=False)
    assert ran.stdout == "hello\n"
    assert "date" not in write_script(commands, prefix=("env",), timed=False)
    assert ran.seconds == OK.seconds, "the engine's time stands in for a single command"


@pytest.mark.process
def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    (ran,) = play(tmp_path, [Command(name="a", argv=("{BUNDLE}/missing",))])
    assert ran.problem == "exited with 127 (program or a library not found)"
    assert "missing" in ran.last_lines()[-1]


def test_the_command_that_hung_and_those_after_it(tmp_path: Path) -> None:
    commands = [Command(name=name, argv=(name,)) for name in ("a", "b", "c")]
    (tmp_path / "0.end").write_text("0 1795251801651260189 1795251808298093580\n")
    (tmp_path / "1.out").write_text("half a li")
    late = JobResult(ending=Ending.TIMED_OUT, exit_code=None, seconds=9.0, message="deadline", tail=("x", "the end"))
    a, b, c = read_results(commands, tmp_path, late)
    assert a.problem is None
    assert a.seconds == pytest.approx(6.646833391)
    assert b.problem == "hung until the deadline; x; the end"
    assert b.stdout == "half a li"
    assert c.problem is not None
    assert c.problem.startswith("was not started after 'b' failed to end")


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (Ending.OUT_OF_MEMORY, "ran out of memory"),
        (Ending.FAILED, "did not come to its end: the engine's words"),
    ],
)
def test_why_a_command_has_no_end(tmp_path: Path, ending: Ending, said: str) -> None:
    result = JobResult(ending=ending, exit_code=1, seconds=1.0, message="the engine's words")
    (ran,) = read_results([Command(name="a", argv=("a",))], tmp_path, result)
    assert ran.problem == said


@pytest.mark.parametrize("text", ["0 1795251801N 1795251802N", "0  ", "0 12 13"])
def test_a_clock_without_nanoseconds_gives_no_time(tmp_path: Path, text: str) -> None:
    commands = [Command(name=name, argv=(name,)) for name in ("a", "b")]
    (tmp_path / "0.end").write_text(text)
    assert read_results(commands, tmp_path, OK)[0].seconds is None


def test_a_flood_is_read_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "0.out").write_bytes(b"x" * 3_000_000 + b"\xff the end")
    (ran,) = read_results([Command(name="a", argv=("a",))], tmp_path, OK)
    assert len(ran.stdout) < 1_100_000
    assert ran.stdout.endswith("\N{REPLACEMENT CHARACTER} the end")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "exited with 1"),
        (132, "exited with 132 (illegal instruction)"),
        (139, "exited with 139 (segmentation fault)"),
    ],
)
def test_exit_codes_are_explained(code: int, said: str) -> None:
    assert Ran(name="a", exit_code=code).problem == said
