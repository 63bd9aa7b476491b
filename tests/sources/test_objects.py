from __future__ import annotations

import hashlib
import io
import os
import zlib
from typing import TYPE_CHECKING

import pytest

from pipeline.sources.limits import Limits, TooLargeError, UnprovenError
from pipeline.sources.objects import ObjectFolder, holds_commit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.upstream import Upstream


def test_loose_and_packed_objects_are_taken_and_read_back(upstream: Upstream, tmp_path: Path) -> None:
    packed = upstream.blob(b"packed")
    upstream.write_pack()
    loose = upstream.blob(b"loose")

    with ObjectFolder(tmp_path / "fresh") as objects:
        objects.add_folder(upstream.objects)

        assert objects.count == 2
        assert objects.read(packed, b"blob") == b"packed"
        assert objects.read(loose, b"blob") == b"loose"


def test_nothing_but_objects_is_taken(upstream: Upstream, tmp_path: Path) -> None:
    wanted = upstream.blob(b"wanted")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    secret = elsewhere / "secret"
    secret.write_bytes(b"secret")
    upstream.write_pack(keep_loose=True)
    (upstream.objects / "info").mkdir()
    (upstream.objects / "info" / "alternates").write_text(f"{elsewhere}\n")
    (upstream.objects / "pack" / "pack-x.bitmap").write_bytes(b"junk")
    (upstream.objects / "pack" / "link.pack").symlink_to(secret)
    (upstream.objects / "aa").mkdir(exist_ok=True)
    (upstream.objects / "aa" / ("b" * 38)).symlink_to(secret)
    (upstream.objects / "ab").symlink_to(elsewhere)
    os.mkfifo(upstream.objects / "aa" / ("c" * 38))
    (upstream.objects.parent / "config").write_text("[core]\n\tfsmonitor = touch canary\n")
    (upstream.objects.parent / "hooks").mkdir()
    (upstream.objects.parent / "hooks" / "post-checkout").write_text("#!/bin/sh\ntouch canary\n")

    with ObjectFolder(tmp_path / "fresh") as objects:
        objects.add_folder(upstream.objects)

        assert objects.count == 2
        assert objects.read(wanted, b"blob") == b"wanted"
    taken = {path.name for path in (tmp_path / "fresh").rglob("*") if path.is_file()}
    assert taken == {"pack-000001.pack", "pack-000001.idx", wanted[2:]}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("pack/pack-1a.pack", True),
        ("ab/" + "c" * 38, True),
        ("pack/pack-1a.idx", False),
        ("pack/../../evil.pack", False),
        ("pack/sub/x.pack", False),
        ("info/alternates", False),
        ("AB/" + "c" * 38, False),
        ("ab/" + "c" * 38 + "\n", False),
    ],
)
def test_only_the_names_git_gives_are_wanted(name: str, wanted: bool) -> None:
    assert ObjectFolder.wants(name) is wanted


def refused(tmp_path: Path, name: str, data: bytes, limits: Limits | None = None) -> str:
    with (
        ObjectFolder(tmp_path / "fresh", limits or Limits()) as objects,
        pytest.raises(UnprovenError) as caught,
    ):
        objects.add(name, io.BytesIO(data))
    return str(caught.value)


def test_a_loose_object_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    actual = hashlib.sha1(b"blob 1\0x").hexdigest()

    message = refused(tmp_path, "ab/" + "c" * 38, zlib.compress(b"blob 1\0x"))

    assert message == f"object ab{'c' * 38} is not what its name says: its content hashes to {actual}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not zlib", "is damaged: Error"),
        (zlib.compress(b"blob 1\0x")[:-3], "cut off or has no header"),
        (zlib.compress(b"blob 2\0x"), "cut off or has no header"),
        (zlib.compress(b"junk 1\0x"), "cut off or has no header"),
        (b"", "cut off or has no header"),
    ],
)
def test_a_damaged_loose_object_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in refused(tmp_path, "ab/" + "c" * 38, data)


def test_a_loose_bomb_is_refused(tmp_path: Path) -> None:
    bomb = zlib.compress(b"blob 5000000\0" + bytes(5_000_000))

    assert "larger than 1000 bytes" in refused(tmp_path, "ab/" + "c" * 38, bomb, Limits(object=1000))


def test_too_many_bytes_or_objects_are_refused(upstream: Upstream, tmp_path: Path) -> None:
    upstream.blob(b"1")
    upstream.blob(b"2")
    with (
        ObjectFolder(tmp_path / "a", Limits(download=8)) as objects,
        pytest.raises(TooLargeError, match="more than 8 b"),
    ):
        objects.add_folder(upstream.objects)
    with (
        ObjectFolder(tmp_path / "b", Limits(objects=0)) as objects,
        pytest.raises(TooLargeError, match="more than 0 o"),
    ):
        objects.add_folder(upstream.objects)


def test_a_pack_with_a_flipped_byte_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    upstream.sample()
    data = bytearray(upstream.pack_bytes())
    for position in (40, len(data) // 2, len(data) - 3):
        broken = bytearray(data)
        broken[position] ^= 0x20
        assert "pack" in refused(tmp_path / str(position), "pack/pack-1.pack", bytes(broken))


def test_a_pack_whose_deltas_lead_nowhere_is_refused(tmp_path: Path) -> None:
    from tests.sources.upstream import entry_header, seal  # noqa: PLC0415 - used here alone

    delta = b"\x04\x04\x04four"
    body = b"PACK" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big")
    body += entry_header(7, len(delta)) + b"\xaa" * 20 + zlib.compress(delta)

    assert "a pack is damaged: UnresolvedDeltas" in refused(tmp_path, "pack/pack-1.pack", seal(body))


def test_reading_says_what_is_missing_wrong_or_malformed(upstream: Upstream, tmp_path: Path) -> None:
    blob = upstream.blob(b"x")
    odd = upstream.put("tree", b"100644 a\0" + b"\1" * 7)
    lost = "e" * 40
    with ObjectFolder(tmp_path / "fresh") as objects:
        objects.add_folder(upstream.objects)
        with pytest.raises(UnprovenError, match=f"tree {lost} is missing"):
            objects.read(lost, b"tree")
        with pytest.raises(UnprovenError, match=f"{blob} is a blob, not a commit"):
            objects.read(blob, b"commit")
        with pytest.raises(UnprovenError, match=f"tree {odd} (is malformed|cannot be read)"):
            objects.read(odd, b"tree")


def test_an_object_changed_after_it_was_taken_is_noticed(upstream: Upstream, tmp_path: Path) -> None:
    name = upstream.blob(b"good")
    with ObjectFolder(tmp_path / "fresh") as objects:
        objects.add_folder(upstream.objects)
        (tmp_path / "fresh" / name[:2] / name[2:]).write_bytes(zlib.compress(b"blob 4\0evil"))

        with pytest.raises(UnprovenError, match=r"is not what its name says|cannot be read"):
            objects.read(name, b"blob")


def test_holds_commit_looks_at_loose_objects_and_indexes(upstream: Upstream) -> None:
    commit = upstream.sample()

    assert holds_commit(upstream.objects, commit)
    upstream.write_pack()
    assert holds_commit(upstream.objects, commit)
    assert not holds_commit(upstream.objects, "f" * 40)


def test_holds_commit_survives_a_damaged_index_and_links(upstream: Upstream, tmp_path: Path) -> None:
    commit = upstream.sample()
    upstream.write_pack()
    index = next((upstream.objects / "pack").glob("*.idx"))
    kept = tmp_path / "kept.idx"
    index.rename(kept)
    index.symlink_to(kept)
    assert not holds_commit(upstream.objects, commit)
    index.unlink()
    index.write_bytes(b"\xfftOc" + bytes(10))
    assert not holds_commit(upstream.objects, commit)


def test_holds_commit_without_any_pack_folder(tmp_path: Path) -> None:
    assert not holds_commit(tmp_path, "f" * 40)
