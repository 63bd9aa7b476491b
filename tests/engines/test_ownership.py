from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.engines import ownership
from pipeline.engines.ownership import JOB_ID, Ownership, make_readable
from pipeline.errors import EngineError

Calls = list[tuple[str, int]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Play root: note the changes of owner instead of making them."""
    made: Calls = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, user, group, **_: made.append((Path(path).name, user)))
    return made


def test_others_than_root_run_as_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 100)
    monkeypatch.setattr(ownership, "_give", lambda *_: pytest.fail("nothing may change hands"))
    assert Ownership.user() == "1000:100"
    loans = Ownership()
    loans.lend([tmp_path])
    loans.take_back([tmp_path])
    tmp_path.chmod(0o700)
    make_readable(tmp_path, tmp_path / "store")
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_the_whole_tree_changes_hands_and_no_link_is_followed(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "b").touch()
    (tmp_path / "out" / "link").symlink_to("/etc")
    loans = Ownership()
    loans.lend([tmp_path / "out"])
    assert Ownership.user() == f"{JOB_ID}:{JOB_ID}"
    assert sorted(calls) == [(name, JOB_ID) for name in ("a", "b", "link", "out")]


def test_a_shared_folder_is_given_back_by_the_last_job(tmp_path: Path, calls: Calls) -> None:
    loans = Ownership()
    loans.lend([tmp_path])
    loans.lend([tmp_path])
    assert calls == [(tmp_path.name, JOB_ID)]
    loans.take_back([tmp_path])
    assert len(calls) == 1
    loans.take_back([tmp_path])
    assert calls[1:] == [(tmp_path.name, 0)]


def test_set_user_id_files_lose_the_bit(tmp_path: Path, calls: Calls) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o4755)
    ownership._give(tmp_path, 0)
    assert file.stat().st_mode & 0o7777 == 0o755


def test_a_file_system_that_cannot_change_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(EngineError, match=r"cannot change the owner of .*: Operation not permitted"):
        Ownership().lend([tmp_path])


def test_unreadable_folders_are_opened_in_our_store_only(tmp_path: Path, calls: Calls) -> None:
    ours, theirs = tmp_path / "store" / "x", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir(parents=True)
        folder.chmod(0o700)
    make_readable(ours, tmp_path / "store")
    assert ours.stat().st_mode & 0o777 == 0o705
    with pytest.raises(EngineError, match="cannot be read by the unprivileged user") as caught:
        make_readable(theirs, tmp_path / "store")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("chmod o+rX ")
    theirs.chmod(0o755)
    make_readable(theirs, tmp_path / "store")
