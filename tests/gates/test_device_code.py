from __future__ import annotations

import contextlib
import struct
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines.device_code import hip_fatbin, nv_fatbin, spirv_module
from pipeline.errors import BundleError
from pipeline.gates.device_code import cuda_code, hip_targets, spirv_modules

MODULE = spirv_module()
MAGIC = struct.pack("<I", 0x07230203)


@pytest.mark.parametrize("gap", [b"", b"\0", b"\xff" * 3, bytes(64)])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_counts_modules_wherever_they_lie(gap: bytes, count: int) -> None:
    assert spirv_modules(gap + (MODULE + gap) * count) == count


@pytest.mark.parametrize("version", [(1, 0), (1, 6)])
def test_knows_every_version(version: tuple[int, int]) -> None:
    assert spirv_modules(spirv_module(version)) == 1


@pytest.mark.parametrize(
    "data",
    [
        MAGIC,
        MAGIC * 64,
        MODULE[:-4],
        spirv_module((1, 7)),
        spirv_module((2, 0)),
        MODULE[:12] + struct.pack("<I", 0) + MODULE[16:],
        MODULE[:12] + struct.pack("<I", 0x400000) + MODULE[16:],
        MODULE[:16] + struct.pack("<I", 1) + MODULE[20:],
        MODULE[:20] + MODULE[28:],  # no capability first
        MODULE[:28] + MODULE[40:],  # no memory model
        MODULE[:20] + struct.pack("<I", 17) + MODULE[24:],  # an instruction of no words
    ],
)
def test_a_magic_number_alone_is_no_module(data: bytes) -> None:
    assert spirv_modules(data) == 0


def test_looks_between_its_offsets_only() -> None:
    assert spirv_modules(MODULE * 3, len(MODULE), 2 * len(MODULE)) == 1
    assert spirv_modules(MODULE * 3, 0, 2 * len(MODULE) - 1) == 1


def test_refuses_to_count_for_ever() -> None:
    # Every magic number begins a walk through all that follows: quadratic, unless somebody counts the steps.
    lure = struct.pack("<5I", 0x07230203, 0x10300, 0, 5, 0) + struct.pack("<II", 2 << 16 | 17, 1)
    with pytest.raises(BundleError, match="counting its modules does not end"):
        spirv_modules((lure + struct.pack("<I", 1 << 16) * 400) * 300)


@pytest.mark.parametrize(
    ("sass", "ptx"),
    [
        (("sm_86",), ()),
        ((), ("sm_75",)),
        (("sm_86", "sm_89", "sm_90a", "sm_100f", "sm_120a", "sm_121a"), ("sm_50", "sm_75", "sm_120a")),
    ],
)
def test_lists_cuda_architectures(sass: tuple[str, ...], ptx: tuple[str, ...]) -> None:
    code = cuda_code(nv_fatbin(sass, ptx) + bytes(12) + nv_fatbin(sass[:1], ptx[:1]))

    assert (code.sass, code.ptx) == (sass, ptx)
    assert code.entries == len(sass) + len(ptx) + len(sass[:1]) + len(ptx[:1])


def test_reads_what_nvcc_13_wrote() -> None:
    """Two entry headers as nvcc 13.0.88 left them, for compute_120a and sm_121a, with their payload cut short."""
    ptx = "01000101 50000000 0800000000000000 02010000 40000000 0000 0900 78000000 0000000000000000 1180100000000000"
    ptx += "0000000000000000 9e01000000000000 48000000000000000000000000000000"
    sass = "02000101 70000000 0800000000000000 00000000 00000000 0800 0100 79000000 0000000000000000 1100100100000000"
    sass += (
        "00000000000000000000000000000000 48000000 24000000 00020901000202010002050500030701010203000002060100040b08"
    )
    sass += "000000000000000000000000"
    entries = bytes.fromhex(ptx) + bytes(8) + bytes.fromhex(sass) + bytes(8)

    code = cuda_code(struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries)

    assert (code.sass, code.ptx) == (("sm_121a",), ("sm_120a",))


def test_knows_the_alternate_kind_and_passes_over_others() -> None:
    data = bytearray(nv_fatbin(("sm_86", "sm_89")))
    struct.pack_into("<H", data, 16, 0x10)
    struct.pack_into("<H", data, 16 + 64 + 64, 0x40)

    assert cuda_code(bytes(data)).sass == ("sm_86",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"junk" + nv_fatbin(("sm_86",)), "there is no container at byte 0"),
        (nv_fatbin(("sm_86",))[:-1], "the container at byte 0 does not fit"),
        (struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 8) + bytes(8), "an entry is cut off"),
        (struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 64) + bytes(64), "an entry does not fit into its container"),
        (
            struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 64) + struct.pack("<HHIQ", 2, 0x101, 64, 0) + bytes(48),
            "the entry for sm_0 is empty",
        ),
    ],
)
def test_refuses_a_damaged_fatbin(data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        cuda_code(data)


def packed(content: bytes, *, version: int = 2, method: int = 1, size: int | None = None) -> bytes:
    body = content
    if method == 0:
        body = zlib.compress(content)
    elif method == 1:
        body = zstandard.ZstdCompressor().compress(content)
    layout = {2: "<4sHHII8x", 3: "<4sHHQQ8x"}[version]
    total = struct.calcsize(layout) + len(body)
    return struct.pack(layout, b"CCOB", version, method, total, len(content) if size is None else size) + body


def test_lists_gfx_targets() -> None:
    data = hip_fatbin(("gfx1100", "gfx90a:xnack+")) + bytes(4096) + hip_fatbin(("gfx1101",))

    assert hip_targets(data) == ("gfx1100", "gfx1101", "gfx90a:xnack+")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("method", [0, 1])
def test_unpacks_compressed_bundles(version: int, method: int) -> None:
    data = packed(hip_fatbin(("gfx1100",)), version=version, method=method)

    assert hip_targets(hip_fatbin(("gfx1030",)) + data + bytes(8) + data) == ("gfx1030", "gfx1100")


def test_a_target_without_code_is_not_there() -> None:
    data = bytearray(hip_fatbin(("gfx1100",)))
    at = data.find(b"hipv4-amdgcn")
    struct.pack_into("<Q", data, at - 16, 0)

    assert hip_targets(bytes(data)) == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"__CLANG_OFFLOAD_BUNDLE__", "a bundle is cut off"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", 1 << 40), "claims 1099511627776 entries"),
        (hip_fatbin(("gfx1100",))[:4100], "an entry does not fit"),
        (hip_fatbin(("gfx1100",)).replace(b"\x7fELF", b"text"), "the code for gfx1100 is not a code object"),
        (b"CCOB", "a compressed bundle is cut off"),
        (packed(b"x", version=2).replace(b"CCOB\x02", b"CCOB\x09"), "of version 9 is not understood"),
        (packed(b"x")[:-1], "a compressed bundle does not fit"),
        (packed(b"x", method=2), "the compression method 2 is not understood"),
        (packed(hip_fatbin(("gfx1100",)), size=7), "is not as long as it says"),
        (packed(b"something else"), "a compressed bundle holds something else"),
        (packed(b"abcdef").replace(b"\x28\xb5\x2f\xfd", bytes(4)), "cannot be unpacked"),
    ],
)
def test_refuses_a_damaged_offload_bundle(data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        hip_targets(data)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_an_answer_or_our_error(data: st.DataObject) -> None:
    seed = data.draw(
        st.sampled_from(
            [
                b"",
                MODULE * 2,
                nv_fatbin(("sm_86",), ("sm_75",)),
                hip_fatbin(("gfx1100",)),
                packed(hip_fatbin(("gfx1100",))),
            ]
        )
    )
    noisy = bytearray(seed) + data.draw(st.binary(max_size=64))
    for _ in range(data.draw(st.integers(0, 8))):
        if noisy:
            noisy[data.draw(st.integers(0, min(len(noisy), 400) - 1))] = data.draw(st.integers(0, 255))
    for reader in (spirv_modules, cuda_code, hip_targets):
        with contextlib.suppress(BundleError):
            reader(bytes(noisy))
