"""Each kind of difference is found, said once, and nothing else is."""

from __future__ import annotations

import pytest

from release.manifest.records import Manifest
from release.notes.changes import Change, ChangeKind, changes, device_code, driver, entries, floor
from tests.release.notes.builders import Changer, manifest

CPU = "llama.cpp/linux-x86_64/cpu"
NOW = manifest()


def only(previous: Manifest, now: Manifest = NOW) -> Change:
    found = changes(now, previous)
    assert len(found) == 1, found
    return found[0]


def test_equal_manifests_have_no_change() -> None:
    assert changes(NOW, NOW) == ()


def test_entries_are_by_cell() -> None:
    assert list(entries(NOW)) == [
        "llama.cpp/darwin-arm64/metal",
        "llama.cpp/linux-x86_64/cpu",
        "llama.cpp/linux-x86_64/cuda12",
        "llama.cpp/linux-x86_64/rocm-gfx1100",
        "llama.cpp/linux-x86_64/vulkan",
    ]


def test_words_for_what_a_bundle_asks_and_holds() -> None:
    found = {cell.rpartition("/")[2]: (floor(one), driver(one), device_code(one)) for cell, one in entries(NOW).items()}

    assert found == {
        "metal": ("macOS 13.3, apple-m1", "none", "Metal library of 1.2 MB"),
        "cpu": ("glibc 2.28, x86-64-v1", "none", "none"),
        "cuda12": (
            "glibc 2.31, x86-64-v1",
            "NVIDIA 525.60.13, 550.54.14 where PTX is translated",
            "sm_86 sm_89, PTX sm_50",
        ),
        "rocm-gfx1100": ("glibc 2.28, x86-64-v1", "amdgpu", "gfx1100"),
        "vulkan": ("glibc 2.28, x86-64-v1", "Vulkan 1.2", "1,515 SPIR-V modules"),
    }


def test_a_driver_without_ptx() -> None:
    change = Changer()
    requires = change.variant("cuda12")["requires"]
    assert isinstance(requires, dict)
    requires["nvidia"].update(ptx=[], ptx_driver_min=None)

    assert driver(entries(change.done())["llama.cpp/linux-x86_64/cuda12"]) == "NVIDIA 525.60.13"


def test_a_pin() -> None:
    old = Changer()
    old.at("projects", "llama.cpp", "source").update(version="0.4.9", commit="ab" * 20)

    assert only(old.done()) == Change(
        kind=ChangeKind.PIN,
        subject="llama.cpp",
        before="0.4.9 (abababababab)",
        after="0.5.0-dev (0c1e57098bba)",
    )


def test_a_project_that_came_and_went() -> None:
    old = Changer()
    del old.at("projects")["ollama"]

    assert only(old.done()) == Change(kind=ChangeKind.PIN, subject="ollama", before=None, after="0.30.0")
    assert only(NOW, old.done()) == Change(kind=ChangeKind.PIN, subject="ollama", before="0.30.0", after=None)


def test_a_new_and_a_dropped_cell() -> None:
    old = Changer()
    platform = old.at("projects", "llama.cpp", "platforms", "linux-x86_64")
    del old.at("projects", "llama.cpp", "platforms", "linux-x86_64", "variants")["cuda12"]
    platform["order"] = ["rocm-gfx1100", "vulkan", "cpu"]
    sizes = "180.0 MB, unpacked 1.08 GB"
    cell = "llama.cpp/linux-x86_64/cuda12"

    assert only(old.done()) == Change(kind=ChangeKind.NEW, subject=cell, before=None, after=sizes)
    assert only(NOW, old.done()) == Change(kind=ChangeKind.DROPPED, subject=cell, before=sizes, after=None)


@pytest.mark.parametrize(
    ("part", "values", "kind", "before", "after"),
    [
        ("requires", {"glibc": "2.31"}, ChangeKind.FLOOR, "glibc 2.31, x86-64-v1", "glibc 2.28, x86-64-v1"),
        ("requires", {"cpu": "x86-64-v3"}, ChangeKind.FLOOR, "glibc 2.28, x86-64-v3", "glibc 2.28, x86-64-v1"),
        ("requires", {"vulkan": {"api": "1.3"}}, ChangeKind.DRIVER, "Vulkan 1.3", "none"),
        ("attest", {"backends": ["cpu", "vulkan"]}, ChangeKind.BACKENDS, "cpu vulkan", "cpu"),
        ("attest", {"gfx": ["gfx1030"]}, ChangeKind.DEVICE_CODE, "gfx1030", "none"),
        ("attest", {"cpu_variants": ["x64"]}, ChangeKind.CPU_VARIANTS, "x64", "haswell x64 zen4"),
        (
            "attest",
            {"toolchain": {"name": "zig", "lock_sha256": "5e" * 32}},
            ChangeKind.TOOLCHAIN,
            "zig, lock 5e5e5e5e5e5e",
            "none",
        ),
    ],
)
def test_what_a_bundle_asks_and_holds(
    part: str, values: dict[str, object], kind: ChangeKind, before: str, after: str
) -> None:
    old = Changer()
    old.at("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", part).update(values)

    assert only(old.done()) == Change(kind=kind, subject=CPU, before=before, after=after)


def test_the_default() -> None:
    old = Changer()
    old.at("projects", "llama.cpp", "platforms", "linux-x86_64")["default"] = "vulkan"

    assert only(old.done()) == Change(
        kind=ChangeKind.DEFAULT, subject="llama.cpp/linux-x86_64", before="vulkan", after="cpu"
    )


def test_sizes_have_percentages() -> None:
    old = Changer()
    old.at("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", "artifact").update(
        size=6_000_000, unpacked_size=50_000_000
    )

    assert only(old.done()) == Change(
        kind=ChangeKind.SIZE,
        subject=CPU,
        before="6.0 MB, unpacked 50.0 MB",
        after="6.8 MB (+13.2 %), unpacked 40.7 MB (-18.5 %)",
    )


def test_a_few_bytes_are_no_change() -> None:
    old = Changer()
    old.at("projects", "llama.cpp", "platforms", "linux-x86_64", "variants", "cpu", "artifact")["size"] = 6_790_900

    assert changes(NOW, old.done()) == ()


def test_what_was_revoked() -> None:
    cpu = entries(NOW)[CPU].artifact
    old, now = Changer(), Changer()
    gone = [{"sha256": "aa" * 32, "reason": "long ago"}]
    old.raw["revoked"] = gone
    now.raw["revoked"] = [*gone, {"sha256": cpu.sha256, "reason": "crashes"}, {"sha256": "bb" * 32, "reason": "worse"}]

    assert changes(now.done(), old.done()) == (
        Change(kind=ChangeKind.REVOKED, subject="bb" * 32, before=None, after="worse"),
        Change(kind=ChangeKind.REVOKED, subject=cpu.name, before=None, after="crashes"),
    )


def test_the_order_is_fixed() -> None:
    old = Changer()
    old.at("projects", "llama.cpp", "source")["version"] = "0.4"
    for name in ("cpu", "vulkan"):
        parts = old.variant(name)
        assert isinstance(parts["artifact"], dict)
        assert isinstance(parts["requires"], dict)
        parts["artifact"]["size"] = 1_000_000
        parts["requires"]["glibc"] = "2.30"

    kinds = [(change.kind, change.subject.rpartition("/")[2]) for change in changes(NOW, old.done())]

    assert kinds == [
        (ChangeKind.PIN, "llama.cpp"),
        (ChangeKind.FLOOR, "cpu"),
        (ChangeKind.FLOOR, "vulkan"),
        (ChangeKind.SIZE, "cpu"),
        (ChangeKind.SIZE, "vulkan"),
    ]
