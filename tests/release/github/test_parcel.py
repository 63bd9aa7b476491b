from __future__ import annotations

from pathlib import Path

import pytest

from release.errors import PublishError
from release.github.parcel import Parcel


def put(folder: Path, data: bytes) -> Path:
    path = folder / "bundle.tar.zst"
    path.write_bytes(data)
    return path


def test_a_file_is_given_block_by_block(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5
    with Parcel(put(tmp_path, data), len(data)) as sent:
        blocks = [sent.read(1000), sent.read(1000), sent.read(1000)]

    assert blocks == [data[:1000], data[1000:], b""]
    assert len(sent) == len(data)


def test_iterating_gives_all_of_it(tmp_path: Path) -> None:
    with Parcel(put(tmp_path, b"abc"), 3) as sent:
        assert b"".join(sent) == b"abc"


def test_a_file_of_another_size_is_not_even_begun(tmp_path: Path) -> None:
    path = put(tmp_path, b"abc")

    with pytest.raises(PublishError, match="the file has 3 bytes and was sealed with 4") as caught:
        Parcel(path, 4)

    assert caught.value.where == str(path)
    assert caught.value.hint == "something changes dist/ meanwhile: seal again"


def test_a_file_that_grows_while_it_is_sent_is_noticed(tmp_path: Path) -> None:
    path = put(tmp_path, b"a" * 10)
    with Parcel(path, 10) as sent:
        sent.read(4)
        with path.open("ab") as file:
            file.write(b"b" * 10)
        with pytest.raises(PublishError, match="was sealed with 10"):
            list(sent)


def test_a_file_that_shrinks_while_it_is_sent_is_noticed(tmp_path: Path) -> None:
    path = put(tmp_path, b"a" * 100_000)
    with Parcel(path, 100_000) as sent:
        sent.read(4)
        with path.open("r+b") as file:
            file.truncate(50_000)
        with pytest.raises(PublishError, match="was sealed with 100000"):
            list(sent)


def test_a_file_that_is_gone_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="cannot be read: No such file or directory"):
        Parcel(tmp_path / "none", 4)


def test_a_file_that_cannot_be_read_to_the_end_is_no_error_of_the_connection(tmp_path: Path) -> None:
    sent = Parcel(put(tmp_path, b"abc"), 3)
    sent._file.close()
    sent._file = _Failing()  # type: ignore[assignment]

    with pytest.raises(PublishError, match="cannot be read: Input/output error"):
        sent.read(10)


class _Failing:
    def read(self, size: int) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_long_upload_gives_a_sign_of_life(tmp_path: Path) -> None:
    now, said = [100.0], list[str]()
    data = b"x" * 4_000_000
    with Parcel(put(tmp_path, data), len(data), say=said.append, clock=lambda: now[0]) as sent:
        for _ in range(4):
            sent.read(1_000_000)
            now[0] += 31.0

    assert said == ["uploading bundle.tar.zst: 3 of 4 MB in 62 s"]
