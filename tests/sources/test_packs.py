from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.sources.limits import DEFAULT_LIMITS, Limits, TooLargeError, UnprovenError
from pipeline.sources.packs import scan_pack
from tests.sources.upstream import Upstream, entry_header, seal

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def pack(*entries: bytes, count: int | None = None) -> bytes:
    number = len(entries) if count is None else count
    return seal(b"PACK" + (2).to_bytes(4, "big") + number.to_bytes(4, "big") + b"".join(entries))


def test_a_good_pack_is_counted(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "objects")
    upstream.sample()
    upstream.blob(b"x" * 300_000)

    assert scan_pack(write(tmp_path / "p", upstream.pack_bytes()), DEFAULT_LIMITS) == len(upstream.contents)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off"),
        (b"PACK" + bytes(8), "cut off"),
        (seal(b"JUNK" + bytes(20)), "does not start like one"),
        (seal(b"PACK" + (9).to_bytes(4, "big") + bytes(4)), "does not start like one"),
        (pack(b"\x00", count=1), "unknown kind 0"),
        (pack(b"\x50", count=1), "unknown kind 5"),
        (pack(entry_header(3, 4) + zlib.compress(b"four"), count=2), "cut off"),
        (pack(entry_header(3, 4) + zlib.compress(b"four")[:-6]), "cut off"),
        (pack(entry_header(3, 4) + zlib.compress(b"four") + b"more"), "belong to no object"),
        (pack(entry_header(3, 5) + zlib.compress(b"four")), "not as long as it says"),
        (pack(entry_header(3, 3) + zlib.compress(b"four")), "not as long as it says"),
        (pack(entry_header(3, 4) + b"\xff\xff\xff\xff"), "damaged"),
        (pack(b"\xb0" + b"\xff" * 30), "never ends"),
        (pack(entry_header(7, 1) + bytes(20) + zlib.compress(b"\xff")), "delta without sizes"),
    ],
)
def test_a_bad_pack_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UnprovenError, match=message):
        scan_pack(write(tmp_path / "p", data), DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("data", "limits", "message"),
    [
        (pack(count=5), Limits(objects=4), "5 objects"),
        (pack(entry_header(3, 2**40)), DEFAULT_LIMITS, f"an object of {2**40} bytes"),
        (pack(*[entry_header(3, 90) + zlib.compress(b"x" * 90)] * 2), Limits(inflated=100), "more than 100 bytes"),
        # A delta of a few bytes that promises a terabyte.
        (
            pack(entry_header(7, 7) + bytes(20) + zlib.compress(b"\x01\x80\x80\x80\x80\x80\x40")),
            DEFAULT_LIMITS,
            "bytes, more than",
        ),
    ],
)
def test_a_bomb_is_refused_before_it_is_inflated(tmp_path: Path, data: bytes, limits: Limits, message: str) -> None:
    with pytest.raises(TooLargeError, match=message):
        scan_pack(write(tmp_path / "p", data), limits)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_wild_bytes_give_one_kind_of_error(tmp_path: Path, data: bytes) -> None:
    path = write(tmp_path / "p", seal(b"PACK" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big") + data))
    try:
        scan_pack(path, DEFAULT_LIMITS)
    except UnprovenError as error:
        assert str(error)  # noqa: PT017 - any other exception fails the test
