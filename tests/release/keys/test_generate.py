"""New key files: whole, private, and never in the place of others."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from release.errors import KeyFileError
from release.keys.generate import write_key_pair
from release.keys.keyfile import PublicKey, load_secret
from release.keys.sources import open_public, open_secret
from tests.release.keys.builders import PASSWORD


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_both_files_are_written(tmp_path: Path, password: str | None, umask: int) -> None:
    secret, public = tmp_path / "release.key", tmp_path / "minisign.pub"
    before = os.umask(umask)
    try:
        key = write_key_pair(secret, public, password=password)
    finally:
        os.umask(before)

    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    assert _names(tmp_path) == ["minisign.pub", "release.key"]
    assert PublicKey.parse(public.read_text()) == key
    assert load_secret(secret.read_text(), password).public == key
    assert open_public(public) == key
    environ = {"LLAMATRIX_SIGNING_PASSWORD": password} if password else {}
    assert open_secret(file=secret, environ=environ, ask=None).public == key


@pytest.mark.parametrize("taken", ["release.key", "minisign.pub"])
@pytest.mark.parametrize("kind", ["file", "link", "dangling", "folder"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str, kind: str) -> None:
    path = tmp_path / taken
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
        if kind == "link":
            (tmp_path / "elsewhere").write_text("precious")
    before = _names(tmp_path)

    with pytest.raises(KeyFileError, match=f"{taken}: there is a file of this name, and a key is never overwritten"):
        write_key_pair(tmp_path / "release.key", tmp_path / "minisign.pub", password=None)

    assert _names(tmp_path) == before
    if kind in {"file", "link"}:
        assert path.read_text() == "precious"


def test_one_name_for_both(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="there is a file of this name"):
        write_key_pair(tmp_path / "key", tmp_path / "key", password=None)

    assert _names(tmp_path) == []


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else makes the file between our look and our link."""
    real = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    (tmp_path / "release.key").write_text("precious")

    with pytest.raises(KeyFileError, match="a key is never overwritten"):
        write_key_pair(tmp_path / "release.key", tmp_path / "minisign.pub", password=None)

    assert (tmp_path / "release.key").read_text() == "precious"
    monkeypatch.setattr(os.path, "lexists", real)
    assert _names(tmp_path) == ["release.key"]


def test_a_failure_between_the_two_leaves_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours").mkdir()

    with pytest.raises(KeyFileError, match="the key cannot be written: No such file or directory"):
        write_key_pair(tmp_path / "ours" / "release.key", tmp_path / "missing" / "minisign.pub", password=None)

    assert _names(tmp_path / "ours") == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(KeyFileError, match="the key cannot be written: No space left on device") as caught:
        write_key_pair(tmp_path / "release.key", tmp_path / "minisign.pub", password=None)

    assert caught.value.where == str(tmp_path / "release.key")
    assert _names(tmp_path) == []


def test_a_password_that_cannot_be_used_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="not 1 to 1023 bytes"):
        write_key_pair(tmp_path / "release.key", tmp_path / "minisign.pub", password="")

    assert _names(tmp_path) == []
