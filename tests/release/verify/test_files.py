"""Only regular files, within limits, and hashed as they were read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from release.errors import VerifyError
from release.verify.files import Files, LocalFile


def test_the_folder_is_listed_by_kind(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"x")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "logs").mkdir()
    (tmp_path / "link").symlink_to("b")
    os.mkfifo(tmp_path / "pipe")

    files = Files(tmp_path)

    assert files.names == ("a", "b")
    assert files.folders == ("logs",)
    assert files.strange == ("link", "pipe")
    assert "b" in files
    assert "link" not in files


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="the folder cannot be read: No such file"):
        Files(tmp_path / "none")


def test_a_file_is_measured(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)

    files = Files(tmp_path)

    assert files.measure("a") == LocalFile(name="a", size=len(data), sha256=hashlib.sha256(data).hexdigest())
    (tmp_path / "a").write_bytes(b"other")
    assert files.measure("a").size == len(data)  # what was read once is not read again


def test_what_is_given_is_what_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    files = Files(tmp_path)

    assert files.read("a", 5) == b"12345"
    assert files.measure("a").sha256 == hashlib.sha256(b"12345").hexdigest()


def test_a_file_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123456")

    with pytest.raises(VerifyError, match="a has more than 5 bytes"):
        Files(tmp_path).read("a", 5)


def test_a_file_that_became_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    files = Files(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").symlink_to("b")

    with pytest.raises(VerifyError, match="a cannot be read"):
        files.measure("a")
    with pytest.raises(VerifyError, match="a cannot be read"):
        files.read("a", 5)


def test_what_another_reader_measured_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    files = Files(tmp_path)
    known = LocalFile(name="a", size=1, sha256="00")

    files.know(known)

    assert files.measure("a") == known
    assert files.path("a") == tmp_path / "a"
