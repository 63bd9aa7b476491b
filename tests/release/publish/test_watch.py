from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from release.publish.watch import Rehash, heartbeat


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


def test_a_file_is_hashed_beside_the_upload(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc" * 1_000_000)

    with Rehash(path) as rehash:
        assert rehash.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_cannot_be_read_is_told_when_asked(tmp_path: Path) -> None:
    with Rehash(tmp_path / "gone") as rehash, pytest.raises(FileNotFoundError):
        rehash.sha256()


def test_an_interrupted_upload_does_not_wait_for_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "endless"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)

    with pytest.raises(KeyboardInterrupt), Rehash(path):
        raise KeyboardInterrupt

    assert not any(thread.name == "rehash" for thread in threading.enumerate())
