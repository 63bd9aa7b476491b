from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from pipeline.matrix.spec import Mirror
from pipeline.sources.limits import UnprovenError
from pipeline.sources.local import inspect
from pipeline.sources.mirrors import Way, prove, ways
from tests.sources.upstream import EPOCH, Upstream, sdist_of

if TYPE_CHECKING:
    from pathlib import Path

GIT = Mirror(git="https://example.invalid/x.git")


def all_ways(mirrors: list[Mirror], commit: str, tmp_path: Path, local: Path | None = None) -> list[Way]:
    found = None if local is None else inspect(local, commit)
    return list(ways(mirrors, commit, downloads=tmp_path / "downloads", local=found, say=lambda _: None))


def test_mirrors_come_in_order_and_a_local_repository_instead_of_them(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.sample()
    mirrors = [Mirror(sdist="v==1", sha256="0" * 64, objects=".git"), GIT]

    assert [way.origin for way in all_ways(mirrors, commit, tmp_path)] == [
        "sdist v==1",
        "git https://example.invalid/x.git",
    ]
    assert [way.origin for way in all_ways(mirrors, commit, tmp_path, tmp_path / "upstream")] == [
        f"the git repository {tmp_path / 'upstream'}"
    ]


def test_an_sdist_that_vendors_the_commit_proves_it(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.sample()
    upstream.write_pack()
    data = sdist_of(upstream, ".git/modules/v")
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / f"{digest}.tar.gz").write_bytes(data)
    (way,) = all_ways([Mirror(sdist="v==1", sha256=digest, objects=".git/modules/v")], commit, tmp_path)
    work = tmp_path / "work"
    work.mkdir()

    proof = prove(way, commit, work)

    assert (proof.epoch, proof.files) == (EPOCH, 4)
    assert [path.name for path in work.iterdir()] == ["tree"]


def test_an_sdist_mirror_must_say_where_its_objects_are(tmp_path: Path) -> None:
    (way,) = all_ways([Mirror(sdist="v==1", sha256="0" * 64)], "a" * 40, tmp_path)
    (tmp_path / "work").mkdir()

    with pytest.raises(UnprovenError, match="does not say where in the sdist the git objects are"):
        prove(way, "a" * 40, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_repository_that_only_borrows_says_so(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.sample()
    (upstream.objects / "info").mkdir()
    (upstream.objects / "info" / "alternates").write_text("/elsewhere\n")
    (way,) = all_ways([], commit, tmp_path, tmp_path / "upstream")
    assert way.origin.endswith("(without the repository it borrows objects from)")
    for path in upstream.objects.glob("??/*"):
        path.unlink()
    (tmp_path / "work").mkdir()

    with pytest.raises(UnprovenError, match="it borrows its objects from another repository, which is not followed"):
        prove(way, commit, tmp_path / "work")
