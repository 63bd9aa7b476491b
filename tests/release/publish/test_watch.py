from __future__ import annotations

import threading

import pytest

from release.publish.watch import heartbeat


def test_a_long_piece_of_work_gives_signs_of_life_and_stops_giving_them() -> None:
    said: list[str] = []
    heard = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) >= 2:
            heard.set()

    with heartbeat(say, "big.tar.zst", every=0.001):
        assert heard.wait(30)
    count = len(said)

    assert said[:2] == ["big.tar.zst: still at it after 1 min", "big.tar.zst: still at it after 2 min"]
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
    assert len(said) == count


def test_a_heartbeat_ends_when_its_work_fails() -> None:
    with pytest.raises(KeyboardInterrupt), heartbeat(print, "x"):
        raise KeyboardInterrupt

    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
