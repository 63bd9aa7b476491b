"""What the benchmarks of sealing and publishing measure on, and how they count."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import faults, publisher, publishing, sealer
from benchmarks.bigdist import MATRIX, made_dist
from benchmarks.memory import peak_megabytes
from benchmarks.parcels import COUNT, made_release, parts
from benchmarks.rows import NotRunError
from benchmarks.setting import Setting
from benchmarks.standin import COMMIT, REPO, TAG, TOKEN, ask, stand_in
from pipeline.matrix.expand import expand
from release.errors import CollectError
from release.model import Sealed
from release.publish.limits import limit_problems
from tests.github.fake import FakeGitHub
from tests.github.faults import Point
from tests.github.invariants import unfinished
from tests.github.routes import Call
from tests.github.state import Access, Token
from tests.release.builders import load_matrix
from tests.release.faults.lab import End
from tests.release.faults.troubles import Fault, Trouble

SIZE = 4_000_000


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return made_release(tmp_path_factory.mktemp("release") / "files", SIZE)


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    tokens = {TOKEN: Token(login="publisher", access=Access.PUSH)}
    with FakeGitHub(REPO, tags={TAG: COMMIT}, tokens=tokens) as made:
        yield made


def folder_of(sealed: Sealed) -> Path:
    return sealed.assets[0].path.parent


def test_sixty_files_weigh_what_was_asked_for_and_can_be_published(sealed: Sealed) -> None:
    assert len(sealed.assets) == COUNT
    assert sum(asset.path.stat().st_size for asset in sealed.assets) == SIZE
    assert len({asset.sha256 for asset in sealed.assets}) == COUNT
    assert limit_problems(sealed) == []


def test_files_that_are_there_are_taken_and_others_made_anew(tmp_path: Path) -> None:
    first = made_release(tmp_path / "files", SIZE)
    assert made_release(tmp_path / "files", SIZE) == first
    assert made_release(tmp_path / "files", SIZE + 1) != first


def test_ten_gibibytes_keep_every_file_below_the_limit_of_github() -> None:
    sizes = [size for _, _, size in parts(10 << 30)]

    assert sum(sizes) == 10 << 30
    assert max(sizes) < 2 << 30


def test_without_room_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(NotRunError, match="GB and some room are needed"):
        made_release(tmp_path / "files", 1 << 50)
    with pytest.raises(NotRunError, match="GB and some room are needed"):
        made_dist(tmp_path / "dist", tmp_path, 1 << 50, say=lambda _: None)
    with pytest.raises(NotRunError, match="too few for 60 files"):
        made_release(tmp_path / "files", 1_000_000)


@pytest.mark.loopback
def test_a_publication_is_timed_from_the_draft_to_the_last_look_from_outside(
    sealed: Sealed, fake: FakeGitHub, tmp_path: Path
) -> None:
    def looks() -> int:
        return sum(request.call is Call.WEB_DOWNLOAD for request in fake.requests)

    state = tmp_path / "state.json"
    stopped = publisher.main(folder_of(sealed), fake.url, state, stop=True)
    assert stopped.uploads == COUNT
    assert 0 < stopped.upload < stopped.whole
    assert unfinished(fake.state, tag=TAG, planned={asset.name: asset.sha256 for asset in sealed.assets}) == []
    assert looks() == 0

    finished = publisher.main(folder_of(sealed), fake.url, state, stop=False)
    assert finished.uploads == 0
    assert 0 < finished.outside < finished.whole
    assert looks() == COUNT


@pytest.mark.tools
@pytest.mark.loopback
def test_curl_uploads_the_same_files_to_a_draft_of_its_own(sealed: Sealed, fake: FakeGitHub, tmp_path: Path) -> None:
    assert publishing.by_curl(tmp_path, sealed, fake.url) > 0

    (draft,) = fake.state.drafts(TAG)
    assert len(draft.assets) == COUNT


@pytest.mark.process
@pytest.mark.loopback
def test_the_stand_in_is_a_process_that_ends_with_the_block() -> None:
    with stand_in() as address:
        assert ask(f"{address}/repos/{REPO}")["full_name"] == REPO
    with pytest.raises(OSError, match="refused"):
        ask(f"{address}/repos/{REPO}")


def test_a_forged_dist_weighs_what_was_asked_for_and_is_sealed(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "half").write_bytes(b"".join(os.urandom(512) + bytes(512) for _ in range(8192)))
    dist, size = tmp_path / "dist", 12_000_000

    sizes = made_dist(dist, code, size, say=lambda _: None)
    taken = sealer.main(dist)

    assert taken.unpacked == sizes["unpacked"] > sizes["packed"] > 0.8 * size
    archives = list(dist.glob("*/*.tar.zst"))
    assert sum(path.stat().st_size for path in archives) == sizes["packed"]
    assert len(archives) == len([cell for cell in expand(load_matrix(MATRIX)).cells if cell.needs is None]) == 6
    assert sealer.only_read(archives).unpacked == taken.unpacked
    made_dist(dist, tmp_path / "no code is needed", size, say=lambda _: None)

    with archives[0].open("ab") as file:
        file.write(b"x")
    with pytest.raises(CollectError):
        sealer.main(dist)


def test_no_dist_is_made_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotRunError, match="no machine code"):
        made_dist(tmp_path / "dist", tmp_path / "empty", 12_000_000, say=lambda _: None)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "one").write_bytes(os.urandom(1 << 20))
    with pytest.raises(NotRunError, match="too few for"):
        made_dist(tmp_path / "dist", tmp_path / "code", 1_000_000, say=lambda _: None)


def test_the_peak_of_the_memory_is_in_megabytes() -> None:
    assert 10 < peak_megabytes() < 100_000


def ended(name: str, first: End, last: End, struck: int = 1) -> faults.Ended:
    return faults.Ended(name=name, first=first, last=last, struck=struck)


def test_a_schedule_that_is_wrong_at_any_time_is_wrong() -> None:
    found = faults.tally(
        [
            ended("a", End.REFUSED, End.PUBLISHED, 3),
            ended("b", End.WRONG, End.PUBLISHED),
            ended("c", End.PUBLISHED, End.WRONG),
            ended("d", End.PUBLISHED, End.PUBLISHED, 0),
        ]
    )

    assert found.wrong == ("b", "c")
    assert found.idle == ("d",)
    assert found.struck == 5
    assert found.last == Counter({End.PUBLISHED: 3, End.WRONG: 1})


@pytest.mark.loopback
def test_the_grid_has_every_call_and_a_kill_at_every_request() -> None:
    found = list(faults.grid())

    assert {fault.call for fault, _ in found} >= {Call.UPLOAD, Call.CREATE, Call.PATCH, Call.DELETE_ASSET}
    kills = [fault for fault, _ in found if fault.trouble is Trouble.KILL]
    assert len(kills) > 80
    assert {fault.point for fault in kills} == {Point.BEFORE, Point.AFTER}
    assert {fault.nth for fault in kills} == set(range(1, len(kills) // 2 + 1))


@pytest.mark.loopback
def test_one_cell_and_one_schedule_are_played() -> None:
    grid = ((Fault(trouble=Trouble.SERVER_502, call=Call.PATCH, point=Point.AFTER), False),)

    assert faults.cell(grid, 0) == ended(str(grid[0][0]), End.PUBLISHED, End.PUBLISHED)
    assert faults.schedule(1).last is not End.WRONG


def test_without_the_description_of_the_api_no_faults_are_played(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tests.github.contract.DATA", tmp_path)
    with pytest.raises(NotRunError, match="reference data is missing"):
        faults.measure(Setting(work=tmp_path, say=lambda _: None))


def test_an_exchange_that_is_not_as_described_counts_as_wrong() -> None:
    def play() -> faults.Outcome:
        msg = "the reply is not as GitHub describes it\nmore"
        raise AssertionError(msg)

    found = faults.judged("7", play)

    assert (found.first, found.last) == (End.WRONG, End.WRONG)
    assert found.name == "7: the reply is not as GitHub describes it"
