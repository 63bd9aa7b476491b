from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import PublishError
from release.model import ReleaseId
from release.publish.state import AssetState, Phase, State, StateFile
from tests.release.publish.scene import Scene, make_sealed

SERVER = "https://api.example.test"


def _fresh(folder: Path) -> State:
    return State.fresh(make_sealed(folder / "dist"), server=SERVER, previous="v1.2.2")


def _begin(path: Path, fresh: State) -> tuple[State, list[str]]:
    said: list[str] = []
    return StateFile(path).begin(fresh, said.append), said


def test_what_one_run_notes_the_next_one_knows(tmp_path: Path) -> None:
    fresh = _fresh(tmp_path)
    path = tmp_path / "own" / "release-state.json"
    file = StateFile(path)
    file.begin(fresh, print)
    file.update(phase=Phase.DRAFTED, release_id=7)
    file.update(asset=("manifest.json", AssetState.UPLOADING))

    state, said = _begin(path, fresh)

    assert said == []
    assert (state.phase, state.release_id, state.previous) == (Phase.DRAFTED, 7, "v1.2.2")
    assert state.assets["manifest.json"] is AssetState.UPLOADING
    assert state.assets["SHA256SUMS"] is AssetState.PLANNED


def test_the_first_run_says_nothing_of_starting_over(tmp_path: Path) -> None:
    state, said = _begin(tmp_path / "s.json", _fresh(tmp_path))

    assert state.phase is Phase.STARTED
    assert said == []


def test_forgetting_the_draft_plans_every_asset_again(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "s.json")
    file.begin(_fresh(tmp_path), print)
    file.update(phase=Phase.UPLOADED, release_id=7, asset=("manifest.json", AssetState.UPLOADED))

    file.forget_draft()

    assert (file.state.phase, file.state.release_id) == (Phase.STARTED, None)
    assert set(file.state.assets.values()) == {AssetState.PLANNED}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"repo": "o/other"}, "another repository (o/other)"),
        ({"tag": "v9"}, "another tag (v9)"),
        ({"commit": "d" * 40}, "another commit"),
        ({"manifest_sha256": "e" * 64}, "another manifest"),
        ({"server": "http://127.0.0.1:1"}, "another server (http://127.0.0.1:1)"),
        ({"format": 2}, "another format (2)"),
        ({"assets": {}}, "it lists other assets"),
    ],
)
def test_the_state_of_another_release_is_not_used(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    fresh, path = _fresh(tmp_path), tmp_path / "s.json"
    other = msgspec.structs.replace(fresh, phase=Phase.DONE, release_id=7, **change)
    path.write_bytes(msgspec.json.encode(other))

    state, said = _begin(path, fresh)

    assert state == fresh
    assert reason in said[0]
    assert "starting over" in said[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"[1]", "damaged"),
        (b"{}", "damaged"),
        (b" " * (4 * 1024 * 1024 + 1), "too large"),
    ],
)
def test_a_damaged_state_is_not_used(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(data)

    state, said = _begin(path, _fresh(tmp_path))

    assert state.phase is Phase.STARTED
    assert reason in said[0]


@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("state") / "s.json"
    path.write_bytes(data)

    found, reason = StateFile(path)._read()

    assert (found is None) is (reason is not None)


def test_unknown_keys_are_damage(tmp_path: Path) -> None:
    fresh, path = _fresh(tmp_path), tmp_path / "s.json"
    path.write_bytes(msgspec.json.encode(fresh)[:-1] + b',"release":7}')

    _, said = _begin(path, fresh)

    assert "damaged" in said[0]


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.mkdir()

    with pytest.raises(PublishError, match="the state of publishing cannot be kept") as caught:
        _begin(path, _fresh(tmp_path))

    assert caught.value.hint


def test_a_file_where_its_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("")

    with (
        pytest.raises(PublishError, match="cannot be kept"),
        StateFile(tmp_path / "own" / "s.json").locked(),
    ):
        pass


def test_a_second_publisher_on_this_machine_is_kept_out(tmp_path: Path) -> None:
    path = tmp_path / "own" / "s.json"
    with (
        StateFile(path).locked(),
        pytest.raises(PublishError, match=r"another process \(\d+\) is publishing"),
        StateFile(path).locked(),
    ):
        pass

    with StateFile(path).locked():
        pass


def test_nothing_is_asked_while_another_holds_the_lock(scene: Scene) -> None:
    with StateFile(scene.state).locked(), pytest.raises(PublishError, match="is publishing this release"):
        scene.publish()

    assert scene.hub.requests == []


def test_the_same_tag_of_another_repository_starts_over(scene: Scene) -> None:
    scene.publish()
    other = replace(scene.sealed, id=ReleaseId(repo="o/other", tag="v1.2.3", commit="c" * 40))

    scene.publish(sealed=other)

    assert any("another repository" in line for line in scene.said)
