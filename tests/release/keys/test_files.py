"""Files that are opened without hanging and read without swelling."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from release.keys.files import open_regular, read_small


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")

    with open_regular(path) as source:
        assert read_small(source, 5) == b"12345"
    with open_regular(path) as source:
        assert read_small(source, 4) is None
        assert source.tell() == 5


def test_links_are_followed_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")

    with open_regular(tmp_path / "link") as source:
        assert source.read() == b"1"
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        open_regular(tmp_path / "link", follow=False)


def _open_files() -> int:
    """Count this process's open files, where that can be seen."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = _open_files()

    for path in (tmp_path / "pipe", tmp_path, Path(os.devnull)):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(path)

    assert _open_files() == before
