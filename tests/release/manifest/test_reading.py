"""Whatever bytes come in: records, or one clear error; no traceback, no hang, no great appetite."""

from __future__ import annotations

import hashlib
import json
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from release.errors import ManifestError
from release.manifest.reading import MAX_BYTES, read
from release.manifest.records import Manifest
from release.manifest.writing import digest_of, render
from tests.release.manifest.paper import gpu_collection, write

GOOD = write(gpu_collection())


def dumped(data: object) -> bytes:
    return (json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def refused(data: bytes) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        read(data, where="some/manifest.json")
    assert caught.value.where == "some/manifest.json"
    assert caught.value.hint
    return caught.value


def survives(data: bytes) -> Manifest | None:
    """Read; an error is fine, anything else that is raised is not."""
    try:
        return read(data)
    except ManifestError as error:
        told = error.what
    assert told
    assert len(told) < 20_000
    return None


def test_what_was_written_reads_back_to_the_same_bytes() -> None:
    manifest = read(GOOD)

    assert render(manifest) == GOOD
    assert msgspec.json.decode(GOOD, type=Manifest) == manifest


def test_its_digest_is_that_of_its_bytes() -> None:
    assert digest_of(read(GOOD)) == hashlib.sha256(GOOD).hexdigest()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"null", "Expected `object`"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `kind`"),
        (b"\xff\xfe", "it is not JSON"),
        (b"\xef\xbb\xbf" + GOOD, "it is not JSON"),
        (GOOD + b"x", "it is not JSON"),
        (b"[" * 200_000, "Expected `object`"),
        (b'{"x":' + b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (GOOD.replace(b'"epoch": 1', b'"epoch": NaN'), "it is not JSON"),
        (GOOD.replace(b'"epoch": 1', b'"epoch": 1' + b"0" * 5000), "Integer value out of range"),
        (GOOD.replace(b'"epoch": 1', b'"epoch": 1e400'), "Expected `int`|not JSON|out of range"),
        (GOOD.replace(b'"epoch": 1', b'"epoch": true'), "Expected `int`, got `bool`"),
        (GOOD.replace(b'"epoch": 1', b'"epoch": "1"'), "Expected `int`, got `str`"),
        (GOOD.replace(b"NVIDIA GPUs", b"\\ud800"), "."),
        (GOOD.replace(b"NVIDIA GPUs", b"\xed\xa0\x80"), "it is not JSON"),
        (GOOD.replace(b"NVIDIA GPUs", b"NVIDIA\\u0000GPUs"), "control or invisible characters"),
    ],
)
def test_what_is_no_manifest(data: bytes, says: str) -> None:
    assert re.search(says, refused(data).what)


def test_too_large_is_not_even_parsed() -> None:
    error = refused(b" " * (MAX_BYTES + 1))

    assert error.what == "it has 16777217 bytes, and at most 16777216 are read"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("kind", "variant-manifest", "it is a 'variant-manifest', not a 'llamatrix-manifest'"),
        ("schema_version", 2, "it has schema_version 2 and min_reader 1; this llamatrix reads 1 and 1"),
        ("min_reader", 2, "it has schema_version 1 and min_reader 2; this llamatrix reads 1 and 1"),
    ],
)
def test_another_kind_or_a_later_version_is_told_before_its_details(key: str, value: object, says: str) -> None:
    data = json.loads(GOOD)
    data[key] = value
    data["something new"] = {}

    assert refused(dumped(data)).what == says


def test_a_later_version_is_to_be_read_by_a_newer_llamatrix() -> None:
    assert refused(GOOD.replace(b'"min_reader": 1', b'"min_reader": 7')).hint == "use a newer llamatrix"


@pytest.mark.parametrize(
    "path", [(), ("release",), ("projects", "llama.cpp"), ("provenance",), ("projects", "llama.cpp", "source")]
)
def test_an_unknown_key_is_refused_by_us(path: tuple[str, ...]) -> None:
    data = json.loads(GOOD)
    node = data
    for key in path:
        node = node[key]
    node["surprise"] = 1

    error = refused(dumped(data))
    assert "unknown field `surprise`" in error.what
    assert error.hint
    assert "use the version that wrote it" in error.hint


def test_a_key_that_is_there_twice() -> None:
    twice = GOOD.replace(b'"epoch": 1,', b'"epoch": 9,\n "epoch": 1,')

    assert "a key is there twice, or it was reformatted" in refused(twice).what


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.rstrip(b"\n"),
        lambda data: data + b"\n",
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: json.dumps(json.loads(data), sort_keys=True).encode(),
        lambda data: data.replace(b"cpu", b"\\u0063pu", 1),
        lambda data: data.replace(b'"epoch": 1', b'"epoch": 1.0'),
    ],
)
def test_other_bytes_for_the_same_records(change: Callable[[bytes], bytes]) -> None:
    assert refused(change(GOOD)).code == 23


def test_many_problems_are_cut_short() -> None:
    data = json.loads(GOOD)
    data["missing"] = [{"cell": f"a/b/c{at}", "reason": "a\u202eb"} for at in range(5000)]

    assert refused(dumped(data)).what.count("\n") == 20


def test_a_long_problem_is_cut_short() -> None:
    data = json.loads(GOOD)
    data["projects"]["llama.cpp"]["platforms"]["linux-x86_64"]["order"] = [f"x{at}" for at in range(5000)]

    assert len(refused(dumped(data)).what) < 2000


def test_memory_is_bounded_by_the_size() -> None:
    data = b'{"kind":"' + b"a" * 4_000_000 + b'","x":[' + b"{}," * 1_000_000 + b"{}]}"
    tracemalloc.start()
    try:
        refused(data)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(st.binary(max_size=400))
@example(b"\x00")
def test_any_bytes(data: bytes) -> None:
    assert survives(data) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4),
    max_leaves=20,
)


@QUICK
@given(JSON)
def test_any_json(value: object) -> None:
    assert survives(json.dumps(value).encode()) is None


def places(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(node, dict):
        for key, child in node.items():
            found += places(child, (*path, key))
    elif isinstance(node, list):
        for at, child in enumerate(node):
            found += places(child, (*path, at))
    return found


PLACES = places(json.loads(GOOD))


@QUICK
@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_any_place(path: tuple[Any, ...], value: object) -> None:
    data = json.loads(GOOD)
    node = data
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    text = (json.dumps(data, sort_keys=True, indent=1) + "\n").encode()

    manifest = survives(text)
    if manifest is not None:
        assert render(manifest) == text


@QUICK
@given(st.sampled_from(PLACES))
def test_without_any_one_place(path: tuple[Any, ...]) -> None:
    data = json.loads(GOOD)
    node = data
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]

    manifest = survives(dumped(data))
    if manifest is not None:
        assert render(manifest) == dumped(data)


@QUICK
@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.integers(min_value=0, max_value=255))
def test_any_byte_changed(at: int, byte: int) -> None:
    data = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]

    manifest = survives(data)
    if manifest is not None:
        assert render(manifest) == data


@QUICK
@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_cut_anywhere(at: int) -> None:
    assert survives(GOOD[:at]) is None
