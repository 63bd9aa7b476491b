"""What the manifest claims of a bundle is measured again; every claim has a planted lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines.base import Cancel, Folder, Job
from pipeline.engines.device_code import hip_fatbin, nv_fatbin, spirv_module
from pipeline.engines.forge import forge
from pipeline.errors import InternalError
from pipeline.model import LibraryKind, Output
from release.inspection import inspect
from release.verify.remeasure import _NoEngine
from tests.release.verify.sealed import (
    CPU,
    VARIANTS,
    VULKAN,
    copy_of,
    edit_json,
    edit_manifest,
    problems,
    repack,
    resign,
    seal_it,
    verify,
)
from tests.release.verify.unsigned import assert_found

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_of(seal_it(), tmp_path / "release")


def claim(folder: Path, variant: str, change: Change) -> None:
    """Let the manifest say something else of a variant."""

    def edit(manifest: dict[str, Any]) -> None:
        found = manifest
        for step in (*VARIANTS, variant):
            found = found[step]
        change(found)

    edit_manifest(folder, edit)


def library(name: str, *, needed: tuple[str, ...] = ("libc.so.6",), sections: dict[str, bytes] | None = None) -> bytes:
    return forge(
        Output(
            path=name,
            kind=LibraryKind.LIBRARY,
            soname=name,
            exports=("ggml_backend_init", "ggml_backend_score"),
            needed=needed,
            sections=tuple((sections or {}).items()),
        )
    )


def put(name: str, data: bytes) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        (root / name).write_bytes(data)
        (root / name).chmod(0o755)

    return change


def info(change: Change) -> Callable[[Path], object]:
    def edit(root: Path) -> None:
        path = root / "BUILD_INFO.json"
        data = json.loads(path.read_bytes())
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")

    return edit


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (info(lambda data: data.update(version="9.9.9")), "its version is 9.9.9, manifest.json says 0.1.0"),
        (
            info(lambda data: data.update(variant="vulkan")),
            "its cell is llama.cpp/linux-x86_64/vulkan, manifest.json says llama.cpp/linux-x86_64/cpu",
        ),
        (info(lambda data: data["profile"].update(name="local")), "its profile is local, manifest.json says release"),
        (info(lambda data: data["toolchain"].update(lock_sha256="5e" * 32)), "its toolchain is 5e5e5e5e5e5e"),
        (info(lambda data: data.update(build_id="00ff")), "its build id is 00ff, manifest.json says 52770a3c8006a78d"),
        (info(lambda data: data["source"].update(name="x")), "its source is x, manifest.json says llama.cpp"),
        (info(lambda data: data["source"].update(version="1")), "its source version is 1, manifest.json says "),
        (
            info(lambda data: data["source"].update(commit="12" * 20)),
            f"its source commit is {'12' * 20}, manifest.json",
        ),
        (
            info(lambda data: data["source"].update(digest="12" * 32)),
            f"its source digest is {'12' * 32}, manifest.json",
        ),
        (
            info(lambda data: data["source"].update(proven=False)),
            "its proof of its source is False, manifest.json says",
        ),
        (
            put("libllama.so", b"not a library"),
            "the library libllama.so has 13 bytes and the SHA-256 .*, not as in man",
        ),
        (put("libevil.so", library("libevil.so")), "the library libevil.so is inside, and manifest.json does not list"),
        (
            put("libggml-evil.so", library("libggml-evil.so")),
            "gate backend: libggml-evil.so is in the bundle and BUILD_INFO.json does not name it",
        ),
        (
            lambda root: (root / "libggml.so").unlink(),
            "manifest.json lists the library libggml.so, which is not inside",
        ),
        (
            lambda root: (root / "libggml-cpu-haswell.so").unlink(),
            "gate backend: the CPU variant libggml-cpu-haswell.so is promised and is not there",
        ),
        (
            lambda root: (root / "licenses" / "LICENSE").unlink(),
            "gate licences: licenses/LICENSE, required by .*, is not in the bundle",
        ),
        (
            put("llama-cli", library("llama-cli", needed=("libssl.so.3",))),
            "gate closure: llama-cli needs libssl.so.3, which is neither in the bundle nor allowed outside",
        ),
    ],
)
def test_a_bundle_with_something_else_inside(folder: Path, change: Callable[[Path], object], wanted: str) -> None:
    repack(folder, CPU, change)

    assert_found(problems(folder), [f"^{CPU}.tar.zst: {wanted}"])


def test_a_bundle_with_another_top_folder(folder: Path) -> None:
    repack(folder, CPU, lambda _: None, top="elsewhere")

    assert_found(problems(folder), [f"^{CPU}.tar.zst: its top folder is elsewhere, manifest.json says {CPU}$"])


@pytest.mark.parametrize(
    ("variant", "change", "wanted"),
    [
        (
            "cpu",
            lambda entry: entry["attest"]["cpu_variants"].append("zen5"),
            "its CPU variants measured again: haswell x64 zen4; manifest.json says haswell x64 zen4 zen5",
        ),
        (
            "cpu",
            lambda entry: entry["attest"]["backends"].append("vulkan"),
            "gate backend: matrix.yaml asks for spirv_min and no libggml-vulkan library is promised",
        ),
        (
            "cpu",
            lambda entry: entry["attest"].update(sass=["sm_86"]),
            "its sass measured again: none; manifest.json says sm_86",
        ),
        (
            "cpu",
            lambda entry: entry["attest"].update(metallib=7),
            "its Metal library measured again: none; manifest.json says 7",
        ),
        (
            "cpu",
            lambda entry: entry["attest"].update(glibc="2.5"),
            "its highest glibc symbol measured again: 2.17; manifest.json says 2.5",
        ),
        (
            "cpu",
            lambda entry: entry["attest"].update(macos="13.3"),
            "its highest macOS measured again: none; manifest.json says 13.3",
        ),
        (
            "cpu",
            lambda entry: entry["requires"].update(glibc="2.5"),
            "gate abi: .* needs GLIBC_2.17 of libc.so.6, above the floor GLIBC_2.5",
        ),
        (
            "cpu",
            lambda entry: entry["attest"]["needed"].append("libcuda.so.1"),
            "its needs from the system measured again: libc.so.6; manifest.json says libc.so.6 libcuda.so.1",
        ),
        ("cpu", lambda entry: entry["attest"].update(needed=[]), "gate closure: .* needs libc.so.6, which is neither"),
        ("cpu", lambda entry: entry["attest"].update(needed=[]), "gate closure: and [0-9]+ more"),
        (
            "vulkan",
            lambda entry: entry["attest"].update(spirv_modules=1515),
            "its SPIR-V modules measured again: 1024; manifest.json says 1515",
        ),
        (
            "vulkan",
            lambda entry: entry["attest"].update(backends=["vulkan"]),
            "its backends measured again: cpu vulkan; manifest.json says vulkan",
        ),
        (
            "vulkan",
            lambda entry: entry["attest"]["bundled"].pop(),
            "the library .* is inside, and manifest.json does not list it",
        ),
        (
            "vulkan",
            lambda entry: entry["attest"]["bundled"].append({"name": "libx.so", "size": 1, "sha256": "12" * 32}),
            "manifest.json lists the library libx.so, which is not inside",
        ),
    ],
)
def test_a_manifest_that_claims_something_else(folder: Path, variant: str, change: Change, wanted: str) -> None:
    claim(folder, variant, change)

    stem = {"cpu": CPU, "vulkan": VULKAN}[variant]
    assert_found(problems(folder), [f"^{stem}.tar.zst: {wanted}"])


def test_a_vulkan_bundle_without_vulkan(folder: Path) -> None:
    """The failure this whole program is about: the name says GPU, and nothing is inside."""
    repack(
        folder, VULKAN, put("libggml-vulkan.so", library("libggml-vulkan.so", needed=("libvulkan.so.1", "libc.so.6")))
    )

    assert_found(problems(folder), [f"^{VULKAN}.tar.zst: gate backend: .*SPIR-V", "measured again: 0; manifest.json"])


def with_cuda_and_rocm(root: Path) -> None:
    put("libggml-cuda.so", library("libggml-cuda.so", sections={".nv_fatbin": nv_fatbin(["sm_86"], ["sm_75"])}))(root)
    put("libggml-hip.so", library("libggml-hip.so", sections={".hip_fatbin": hip_fatbin(["gfx1100"])}))(root)

    def promise(data: dict[str, Any]) -> None:
        data["backends"] = ["vulkan", "cuda12", "rocm-gfx1100"]
        data["components"][-1]["libraries"] += ["libggml-cuda.so", "libggml-hip.so"]

    info(promise)(root)


def list_libraries(folder: Path, stem: str) -> Change:
    files = inspect(folder / f"{stem}.tar.zst").files

    def change(entry: dict[str, Any]) -> None:
        entry["attest"]["bundled"] = [
            {"name": file.path, "size": file.size, "sha256": file.sha256} for file in files if ".so" in file.path
        ]

    return change


@pytest.mark.parametrize(
    ("lie", "wanted"),
    [
        ({}, None),
        ({"sass": ["sm_86", "sm_90"]}, "its sass measured again: sm_86; manifest.json says sm_86 sm_90"),
        ({"ptx": ["sm_80"]}, "its ptx measured again: sm_75; manifest.json says sm_80"),
        ({"gfx": ["gfx1030"]}, "gate backend: libggml-hip.so lacks code for gfx1030"),
    ],
)
def test_device_code_of_every_kind(folder: Path, lie: dict[str, object], wanted: str | None) -> None:
    repack(folder, VULKAN, with_cuda_and_rocm)
    truth = {
        "backends": ["cpu", "cuda", "rocm", "vulkan"],
        "sass": ["sm_86"],
        "ptx": ["sm_75"],
        "gfx": ["gfx1100"],
    }
    claim(folder, "vulkan", list_libraries(folder, VULKAN))
    claim(folder, "vulkan", lambda entry: entry["attest"].update(truth | lie))

    found = [problem for problem in problems(folder) if problem.startswith(f"{VULKAN}.tar.zst: ")]

    if wanted is None:
        assert found == []
    else:
        assert_found(tuple(found), [wanted])


def test_a_library_of_the_system_that_is_named_is_fine(folder: Path) -> None:
    repack(folder, CPU, put("llama-cli", library("llama-cli", needed=("libstdc++.so.6", "libc.so.6"))))
    claim(folder, "cpu", lambda entry: entry["attest"]["needed"].append("libstdc++.so.6"))

    assert not [problem for problem in problems(folder) if "gate abi" in problem or "gate closure" in problem]


def test_a_waived_gate_is_known_not_to_pass_and_that_is_said(folder: Path) -> None:
    def waive(entry: dict[str, Any]) -> None:
        entry["attest"]["gates"]["abi"] = "waived"
        entry["attest"]["glibc"] = "2.99"
        entry["waivers"] = [{"gate": "abi", "reason": "known", "until": "2026-12-31"}]

    claim(folder, "cpu", waive)
    assert problems(folder) == (
        "report.json: llama.cpp/linux-x86_64/cpu: gate abi is passed, manifest.json says waived",
    )

    def agree(report: dict[str, Any]) -> None:
        cell = next(cell for cell in report["cells"] if cell["id"] == "llama.cpp/linux-x86_64/cpu")
        next(verdict for verdict in cell["verdicts"] if verdict["gate"] == "abi")["status"] = "waived"

    edit_json(folder / "report.json", agree)
    resign(folder)
    lines = verify(folder).lines
    assert f"{CPU}.tar.zst: waived, so not held against it: abi" in lines
    assert any(line.endswith("measured again: licences, backend, abi, closure, but what is waived") for line in lines)


def test_what_is_not_genuine_is_not_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def refuse(archive: Path, dest: Path, **_: object) -> Path:
        opened.append(archive.name)
        return dest

    monkeypatch.setattr("release.verify.contents.unpack", refuse)
    monkeypatch.setattr("release.verify.contents.remeasure", lambda *_: ())
    with (folder / f"{CPU}.tar.zst").open("ab") as file:
        file.write(b"\0")

    assert problems(folder)
    assert len(opened) == 3
    assert f"{CPU}.tar.zst" not in opened


def test_nothing_of_a_bundle_is_ever_run(tmp_path: Path) -> None:
    engine = _NoEngine()
    job = Job(
        title="a program",
        argv=("x",),
        folders=(Folder(name="OUT", path=tmp_path),),
        log=tmp_path / "log",
        deadline=1,
        memory=1,
        cpus=1,
    )

    with pytest.raises(InternalError, match="verifying never runs anything, and a program was asked for"):
        engine.run(job, on_line=lambda _: None, cancel=Cancel())
    assert engine.sweep() == ()
    engine.close()


def test_modules_are_counted_as_the_gate_counts_them(folder: Path) -> None:
    twice = spirv_module() * 2048
    repack(
        folder,
        VULKAN,
        put(
            "libggml-vulkan.so",
            library("libggml-vulkan.so", needed=("libvulkan.so.1", "libc.so.6"), sections={".rodata": twice}),
        ),
    )

    assert_found(problems(folder), ["its SPIR-V modules measured again: 2048; manifest.json says 1024"])
