"""Scenes for the tests of publishing, and a way to make thousands of runs without waiting for a disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.publish import assets, outside, state
from tests.release.publish.scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fsync and no heartbeat: both have tests of their own, and cost most of a run on files of 20 bytes."""

    @contextlib.contextmanager
    def silent(*_: object) -> Iterator[None]:
        yield

    def write(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    monkeypatch.setattr(state, "replace_file", write)
    monkeypatch.setattr(assets, "heartbeat", silent)
    monkeypatch.setattr(outside, "heartbeat", silent)
