"""The gates that run programs, on really built bundles and on defects planted into their copies.

``--bundles=DIR`` names a folder with unpacked bundles, each with its programs and libraries side by side.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.engines.host import HostEngine
from pipeline.gates.base import Subject
from pipeline.gates.lab import stage
from pipeline.gates.smoke import SmokeGate
from pipeline.matrix.spec import Gates
from pipeline.matrix.spec import SmokeGate as SmokeSpec
from pipeline.model import Status, machine_platform
from tests.gates.labs import COMMIT, make_subject

pytestmark = pytest.mark.bundle

_MACHINES = {62: "linux-x86_64", 183: "linux-aarch64"}
_EMULATORS = (Path("/usr/bin/qemu-aarch64-static"), Path("/usr/bin/qemu-aarch64"))


def platform_of(root: Path) -> str:
    """Read the processor out of the program's ELF header."""
    header = (root / "llama-cli").read_bytes()[:20]
    return _MACHINES[int.from_bytes(header[18:20], "little")]


def bundles(config: pytest.Config) -> list[Path]:
    folder = Path(config.getoption("--bundles"))
    found = sorted(path.parent for path in folder.rglob("llama-cli"))
    assert found, f"no unpacked bundle (a folder with llama-cli) under {folder}"
    return found


def subject_of(root: Path, tmp_path: Path) -> Subject:
    info = {"source": {"commit": COMMIT}}
    if (root / "BUILD_INFO.json").is_file():
        info = json.loads((root / "BUILD_INFO.json").read_text())
    vulkan = (root / "libggml-vulkan.so").exists()
    platform = platform_of(root)
    spec = SmokeSpec(
        image="floor",
        device="lavapipe" if vulkan else "cpu",
        devices={"vulkan": r"Vulkan\d+: llvmpipe"} if vulkan else {},
        startup="1s",
        deadline="15m",
    )
    subject = make_subject(tmp_path, Gates(smoke=spec), platform=platform, info=info)
    store = tmp_path / "store"
    store.mkdir()
    emulator = next((path for path in _EMULATORS if path.is_file()), None)
    emulators = {} if emulator is None else {"aarch64": emulator}
    return replace(subject, root=root, engine=HostEngine(store), emulators=emulators)


@pytest.fixture
def native(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Subject, Path]]:
    """Give a subject whose root is a copy that may be spoiled: hard links, so write new files only."""
    root = next((root for root in bundles(request.config) if platform_of(root) == machine_platform()), None)
    if root is None:
        pytest.fail("no bundle of this machine's processor")
    copy = stage(tmp_path / "copy", [root])
    (copy / "libggml-vulkan.so").unlink(missing_ok=True)
    yield subject_of(copy, tmp_path), copy
    shutil.rmtree(copy)


def fake_program(path: Path, script: str) -> None:
    path.unlink()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_every_bundle_passes(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for number, root in enumerate(bundles(request.config)):
        place = tmp_path / str(number)
        place.mkdir()
        verdict = SmokeGate().check(subject_of(root, place))
        assert verdict.status is Status.PASSED, (root, verdict.summary, *verdict.details)


def test_a_program_of_another_source(native: tuple[Subject, Path]) -> None:
    subject = replace(native[0], info={"source": {"commit": "f" * 40}})
    verdict = SmokeGate().check(subject)
    assert verdict.status is Status.FAILED
    assert "another source" in verdict.summary


def test_a_missing_library(native: tuple[Subject, Path]) -> None:
    subject, root = native
    for path in root.glob("libllama.so*"):
        path.unlink()
    verdict = SmokeGate().check(subject)
    assert verdict.status is Status.FAILED
    assert "program or a library not found" in verdict.summary


def test_no_cpu_library(native: tuple[Subject, Path]) -> None:
    subject, root = native
    for path in root.glob("libggml-cpu*"):
        path.unlink()
    verdict = SmokeGate().check(subject)
    assert verdict.status is Status.FAILED
    assert "llama-completion -t 1 exited with 1" in verdict.summary


def test_a_damaged_variant(native: tuple[Subject, Path]) -> None:
    subject, root = native
    path = min(root.glob("libggml-cpu-*"))
    path.unlink()
    path.write_bytes(b"not a library")
    verdict = SmokeGate().check(subject)
    assert verdict.status is Status.FAILED
    assert any(re.search("neither loaded nor refused", line) for line in verdict.details)


def test_a_library_of_another_commit_of_the_same_name(native: tuple[Subject, Path]) -> None:
    subject, root = native
    path = next(root.glob("libllama.so.*"))
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    path.chmod(0o755)
    assert SmokeGate().check(subject).status is Status.FAILED


def test_a_program_that_only_pretends(native: tuple[Subject, Path]) -> None:
    subject, root = native
    fake_program(root / "llama-completion", "echo ' zu po me he bo'")
    verdict = SmokeGate().check(subject)
    assert verdict.status is Status.FAILED
    assert "where the reference gives" in verdict.summary


def test_a_program_that_hangs(native: tuple[Subject, Path]) -> None:
    subject, root = native
    fake_program(root / "llama-completion", "sleep 600")
    spec = subject.cell.gates.smoke
    assert spec is not None
    short = SmokeSpec(image=spec.image, device="cpu", startup="1s", deadline="3s")
    verdict = SmokeGate().check(replace(subject, cell=replace(subject.cell, gates=Gates(smoke=short))))
    assert verdict.status is Status.FAILED
    assert "hung until the deadline" in verdict.summary
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(root) not in left
