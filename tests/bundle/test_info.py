from __future__ import annotations

import json

import msgspec
import pytest

from pipeline.bundle.info import BuildInfo
from pipeline.errors import BundleError
from tests.gates.builders import as_mapping, build_info


def test_comes_back_as_it_was() -> None:
    info = build_info("vulkan", backends=("vulkan",))

    assert BuildInfo.from_json(info.to_json()) == info
    assert BuildInfo.from_mapping(as_mapping(info)) == info


def test_is_deterministic_and_ends_in_a_newline() -> None:
    info = build_info()
    pending = {"b": "ü", "a": "x"}

    data = msgspec.structs.replace(info, pending=pending).to_json()

    assert data == msgspec.structs.replace(info, pending=dict(sorted(pending.items()))).to_json()
    assert data.endswith(b"}\n")
    assert list(json.loads(data)) == sorted(json.loads(data))
    assert "ü".encode() in data


def test_knows_what_was_promised() -> None:
    info = build_info("vulkan", backends=("vulkan",))

    assert "libggml-cpu-haswell.so" in info.libraries
    assert "libggml-vulkan.so" in info.libraries
    assert info.programs == {"llama-cli"}


def test_says_nothing_of_where_it_was_built() -> None:
    assert set(as_mapping(build_info())) == {
        "schema", "project", "platform", "variant", "version", "profile", "build_id", "source", "components",
        "backends", "pending", "toolchain",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "docker"}, "Object contains unknown field `engine`"),
        ({"schema": 2}, "its schema is 2; this llamatrix reads 1"),
        ({"backends": "vulkan"}, r"Expected `array`, got `str` - at `\$.backends`"),
        ({"source": {}}, r"missing required field `name` - at `\$.source`"),
    ],
)
def test_names_the_key_that_is_wrong(change: dict[str, object], message: str) -> None:
    with pytest.raises(BundleError, match=f"BUILD_INFO.json: .*{message}"):
        BuildInfo.from_mapping({**as_mapping(build_info()), **change})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_names_what_is_not_json(data: bytes) -> None:
    with pytest.raises(BundleError, match="it is not JSON"):
        BuildInfo.from_json(data)
