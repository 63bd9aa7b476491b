from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from release.errors import KeyFileError, SignatureError
from release.keys.keyfile import SecretKey
from release.keys.ring import add_rotation, known_keys, read_rotations
from release.keys.rotation import make_rotation

OLD, NEW, NEWEST = (SecretKey(key_id=bytes([n]) * 8, seed=bytes([n + 64]) * 32) for n in (1, 2, 3))
DAY = datetime.date(2026, 11, 21)
REPO = "o/r"


def rotate(folder: Path, old: SecretKey, new: SecretKey) -> Path:
    rotation = make_rotation(old, new.public, repo=REPO, reason="yearly", day=DAY)
    return add_rotation(folder, old.public, new.public, rotation)


def test_without_a_folder_only_the_current_key_is_known(tmp_path: Path) -> None:
    assert known_keys(tmp_path / "keys", OLD.public, repo=REPO) == (OLD.public,)
    assert read_rotations(tmp_path / "keys") == ()


def test_old_keys_are_known_by_their_statements(tmp_path: Path) -> None:
    rotate(tmp_path, OLD, NEW)
    rotate(tmp_path, NEW, NEWEST)

    found = known_keys(tmp_path, NEWEST.public, repo=REPO)

    assert {key.text for key in found} == {OLD.public.text, NEW.public.text, NEWEST.public.text}
    assert found[0] == NEWEST.public


def test_the_files_say_their_order_and_keys(tmp_path: Path) -> None:
    first, second = rotate(tmp_path, OLD, NEW), rotate(tmp_path, NEW, NEWEST)

    assert first.name == f"001-{OLD.public.id_text}-{NEW.public.id_text}.json"
    assert second.name.startswith("002-")
    assert (tmp_path / f"{OLD.public.id_text}.pub").read_text() == OLD.public.file_text()


def test_a_key_of_nobody_in_the_folder_is_refused(tmp_path: Path) -> None:
    rotate(tmp_path, OLD, NEW)
    (tmp_path / "stranger.pub").write_text(SecretKey(key_id=b"\x09" * 8, seed=b"\x0a" * 32).public.file_text())

    with pytest.raises(SignatureError, match="do not mention the trusted key"):
        known_keys(tmp_path, NEW.public, repo=REPO)


def test_a_changed_statement_is_refused(tmp_path: Path) -> None:
    path = rotate(tmp_path, OLD, NEW)
    path.write_bytes(path.read_bytes().replace(b"yearly", b"hourly"))

    with pytest.raises(SignatureError):
        known_keys(tmp_path, NEW.public, repo=REPO)


def test_a_statement_without_its_signature_is_named(tmp_path: Path) -> None:
    path = rotate(tmp_path, OLD, NEW)
    signature = path.with_name(f"{path.name}.minisig")
    signature.unlink()

    with pytest.raises(KeyFileError, match="No such file") as caught:
        known_keys(tmp_path, NEW.public, repo=REPO)

    assert caught.value.where == str(signature)


def test_a_statement_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = rotate(tmp_path, OLD, NEW)
    path.write_bytes(b"x" * 70_000)

    with pytest.raises(KeyFileError, match="too long"):
        read_rotations(tmp_path)


def test_a_statement_that_continues_another_key_is_refused(tmp_path: Path) -> None:
    rotate(tmp_path, OLD, NEW)

    with pytest.raises(KeyFileError, match=f"leads to key {NEW.public.id_text}, not to {OLD.public.id_text}"):
        rotate(tmp_path, OLD, NEWEST)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")

    with pytest.raises(KeyFileError, match="cannot be written"):
        rotate(tmp_path / "keys", OLD, NEW)
