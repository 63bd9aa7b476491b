from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.engines.owner import is_dead, start_time, this_process


def test_this_process_lives() -> None:
    assert not is_dead(this_process())
    assert start_time(os.getpid()) is not None


@pytest.mark.parametrize("text", ["", "1", "nonsense", "1.2.3", "x.1.2.3", "1.2.3.4.5"])
def test_what_cannot_be_judged_counts_as_alive(text: str) -> None:
    assert not is_dead(text)


def test_another_boot_another_start_and_another_namespace() -> None:
    pid, start, namespace, boot = this_process().split(".")
    assert is_dead(f"{pid}.{start}.{namespace}.otherboot")
    assert is_dead(f"{pid}.{start}1.{namespace}.{boot}")
    assert not is_dead(f"{pid}.{start}1.1{namespace}.{boot}")


@pytest.mark.process
def test_a_process_that_ended_is_dead_even_as_a_zombie() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    _, _, namespace, boot = this_process().split(".")
    owner = f"{child.pid}.{start_time(child.pid)}.{namespace}.{boot}"
    assert not is_dead(owner)
    child.communicate(b"\n")
    assert is_dead(owner)
