from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import SourceError
from pipeline.matrix.spec import Source
from pipeline.sources.keys import source_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.upstream import Upstream

ONE, TWO = Source(version="1", commit="a" * 40), Source(version="1", commit="b" * 40)


def test_a_pin_is_keyed_by_its_commit_alone() -> None:
    assert source_key("x", ONE) != source_key("x", TWO)
    assert source_key("x", ONE) == source_key("y", Source(version="2", commit="a" * 40))


def test_a_folder_is_keyed_by_its_files_and_the_epoch(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    before = source_key("x", ONE, tmp_path)
    assert before == source_key("x", Source(version="1"), tmp_path)

    (tmp_path / "a").write_text("b")

    assert before != source_key("x", ONE, tmp_path)
    assert source_key("x", Source(version="1", epoch=7), tmp_path) != source_key("x", ONE, tmp_path)


def test_a_repository_that_holds_the_pin_has_the_pins_key(upstream: Upstream, tmp_path: Path) -> None:
    pin = Source(version="1", commit=upstream.sample())

    assert source_key("x", pin, tmp_path / "upstream") == source_key("x", pin)
    assert source_key("x", ONE, tmp_path / "upstream") != source_key("x", ONE)


def test_without_commit_and_folder_there_is_no_key() -> None:
    with pytest.raises(SourceError, match="the source ollama is not pinned") as caught:
        source_key("ollama", Source(version="1"))
    assert caught.value.hint == "pin it, or build from a folder with --source ollama=PATH"
