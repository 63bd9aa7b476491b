from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipeline.engines.forge import elf
from pipeline.engines.forge_macho import macho
from pipeline.errors import BundleError
from pipeline.gates.contents import contents, platform_machine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.so.1").write_bytes(elf())
    (tmp_path / "lib" / "a.so").symlink_to("a.so.1")
    (tmp_path / "up").symlink_to("lib/a.so")
    (tmp_path / "mac").write_bytes(macho())
    (tmp_path / "text").write_text("x")
    (tmp_path / "empty").touch()
    return tmp_path


def test_lists_everything_once_and_sorted(root: Path) -> None:
    inside = contents(root)

    assert [item.name for item in inside.items] == ["empty", "lib/a.so", "lib/a.so.1", "mac", "text", "up"]
    assert [item.name for item in inside.folders] == ["lib"]
    assert [(item.name, item.target) for item in inside.links] == [("lib/a.so", "a.so.1"), ("up", "lib/a.so")]
    assert [item.name for item in inside.files] == ["empty", "lib/a.so.1", "mac", "text"]
    assert [binary.name for binary in inside.binaries] == ["lib/a.so.1", "mac"]


def test_finds_binaries_through_links(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    inside = contents(root)

    found = {name: inside.binary(name) for name in ("lib/a.so.1", "lib/a.so", "up", "mac", "text", "gone", "loop")}

    assert {name: binary.name if binary else None for name, binary in found.items()} == {
        "lib/a.so.1": "lib/a.so.1",
        "lib/a.so": "lib/a.so.1",
        "up": "lib/a.so.1",
        "mac": "mac",
        "text": None,
        "gone": None,
        "loop": None,
    }


def test_reads_no_binary_when_not_asked(root: Path) -> None:
    assert contents(root, binaries=False).binaries == ()


def test_names_an_odd_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # socket names are short
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind("odd")
        with pytest.raises(BundleError, match="odd: it is neither a file"):
            contents(root)


def test_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no unpacked bundle to look at"):
        contents(tmp_path / "gone")


@pytest.mark.parametrize(
    ("platform", "machine"),
    [("linux-x86_64", "x86_64"), ("linux-aarch64", "aarch64"), ("darwin-arm64", "arm64")],
)
def test_knows_a_platforms_processor(platform: str, machine: str) -> None:
    assert platform_machine(platform) == machine
