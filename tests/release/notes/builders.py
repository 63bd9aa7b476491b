"""Manifests made by hand, so that a golden text depends on nothing but the notes."""

from __future__ import annotations

__all__ = ["KEY", "RELEASE", "Changer", "collection", "edited", "manifest", "variant"]

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pipeline.report.record import RunReport
from release.manifest.records import Manifest
from release.model import Collection, ReleasedBundle, ReleaseId
from tests.release.builders import EPOCH, REAL, load_matrix, make_collection

KEY = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
RELEASE = ReleaseId(repo="acme/llamatrix", tag="v0.2.0", commit="5ea1" * 10)
COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"

Raw = dict[str, object]


def variant(name: str, size: int, *, backends: tuple[str, ...] = ("cpu",), **more: Mapping[str, object]) -> Raw:
    """One variant's entry; ``more`` is merged into its parts: ``requires``, ``attest``."""
    artifact = f"llama.cpp-0.2.0-{name}.tar.zst"
    return {
        "backend": backends[-1],
        "description": "made by hand",
        "artifact": {
            "name": artifact,
            "size": size,
            "unpacked_size": size * 6,
            "sha256": f"{size:064x}",
            "urls": [f"https://github.com/acme/llamatrix/releases/download/v0.2.0/{artifact}"],
            "top": artifact.removesuffix(".tar.zst"),
        },
        "companions": [],
        "requires": {"glibc": "2.28", "cpu": "x86-64-v1", **more.get("requires", {})},
        "env": [],
        "attest": {
            "build_id": "52770a3c8006a78d",
            "source_proven": True,
            "backends": list(backends),
            "cpu_variants": ["x64", "haswell", "zen4"],
            "glibc": "2.27",
            "needed": ["libc.so.6"],
            "bundled": [{"name": "libllama.so", "size": 10, "sha256": "ab" * 32}],
            "gates": {"size": "passed", "backend": "passed"},
            **more.get("attest", {}),
        },
        "waivers": list(more.get("waivers", {}).values()),
        "probe": {"argv": ["llama-server", "--version"], "expect": "version", "timeout_s": 30},
        "sbom": {"name": f"llama.cpp-0.2.0-{name}.cdx.json", "sha256": "cd" * 32},
    }


def raw_manifest() -> Raw:
    """A manifest with every kind of backend."""
    waiver = {"gate": "size", "reason": "cuBLAS grew; trim its kernels", "until": "2026-12-31"}
    return {
        "$schema": "urn:llamatrix:manifest:1",
        "schema_version": 1,
        "kind": "llamatrix-manifest",
        "min_reader": 1,
        "epoch": 1,
        "manifest_version": 7,
        "generated_at": "2026-11-21T07:00:00Z",
        "expires_at": "2027-05-20T07:00:00Z",
        "release": {
            "server": "https://github.com",
            "repo": RELEASE.repo,
            "tag": RELEASE.tag,
            "commit": RELEASE.commit,
            "version": "0.2.0",
            "previous": {"tag": "v0.1.0", "manifest_version": 6, "sha256": "ef" * 32},
        },
        "projects": {
            "llama.cpp": {
                "description": "ggml-org/llama.cpp",
                "source": {
                    "name": "llama.cpp",
                    "version": "0.5.0-dev",
                    "commit": COMMIT,
                    "digest": "12" * 32,
                    "purl": f"pkg:github/ggml-org/llama.cpp@{COMMIT}",
                },
                "platforms": {
                    "linux-x86_64": {
                        "default": "cpu",
                        "order": ["cuda12", "rocm-gfx1100", "vulkan", "cpu"],
                        "variants": {
                            "cpu": variant("linux-x86_64-cpu", 6_790_957),
                            "cuda12": variant(
                                "linux-x86_64-cuda12",
                                180_000_000,
                                backends=("cpu", "cuda"),
                                requires={
                                    "glibc": "2.31",
                                    "nvidia": {
                                        "driver_min": "525.60.13",
                                        "ptx_driver_min": "550.54.14",
                                        "sass": ["sm_86", "sm_89"],
                                        "ptx": ["sm_50"],
                                    },
                                },
                                attest={"sass": ["sm_86", "sm_89"], "ptx": ["sm_50"]},
                                waivers={"size": waiver},
                            ),
                            "rocm-gfx1100": variant(
                                "linux-x86_64-rocm-gfx1100",
                                200_000_000,
                                backends=("cpu", "rocm"),
                                requires={"amd": {"gfx": ["gfx1100"], "kernel_driver": "amdgpu"}},
                                attest={"gfx": ["gfx1100"]},
                            ),
                            "vulkan": variant(
                                "linux-x86_64-vulkan",
                                12_733_222,
                                backends=("cpu", "vulkan"),
                                requires={"vulkan": {"api": "1.2"}},
                                attest={"spirv_modules": 1515},
                            ),
                        },
                    },
                    "darwin-arm64": {
                        "default": "metal",
                        "order": ["metal"],
                        "variants": {
                            "metal": variant(
                                "darwin-arm64-metal",
                                9_000_000,
                                backends=("cpu", "metal"),
                                requires={"glibc": None, "macos": "13.3", "cpu": "apple-m1"},
                                attest={"glibc": None, "macos": "13.3", "metallib": 1_200_000},
                            ),
                        },
                    },
                },
            },
            "ollama": {
                "description": "ollama/ollama",
                "source": {"name": "ollama", "version": "0.30.0", "commit": None, "digest": None, "purl": None},
                "platforms": {},
            },
        },
        "missing": [
            {"cell": "llama.cpp/linux-x86_64/cuda13", "reason": "needs a CUDA 13 toolchain from wheels"},
            {"cell": "ollama/linux-x86_64/vulkan", "reason": "needs an Ollama source that can be proved"},
            {"cell": "ollama/linux-x86_64/cpu", "reason": "needs an Ollama source that can be proved"},
        ],
        "revoked": [],
        "provenance": {"name": "provenance.intoto.jsonl", "sha256": "34" * 32},
    }


def manifest() -> Manifest:
    """The manifest as a record."""
    return msgspec.convert(raw_manifest(), Manifest)


class Changer:
    """Reaches into a manifest as plain data: ``change["missing"] = []``, ``change.at("projects", "ollama")``."""

    def __init__(self) -> None:
        self.raw = raw_manifest()

    def at(self, *path: str) -> Raw:
        """Give the mapping at that place."""
        found = self.raw
        for step in path:
            inner = found[step]
            assert isinstance(inner, dict)
            found = inner
        return found

    def variant(self, name: str, platform: str = "linux-x86_64") -> Raw:
        """Give a variant of llama.cpp."""
        return self.at("projects", "llama.cpp", "platforms", platform, "variants", name)

    def done(self) -> Manifest:
        """Read it back."""
        return msgspec.convert(self.raw, Manifest)


def edited(*path: str, **values: object) -> Manifest:
    """Change some values at one place."""
    change = Changer()
    change.at(*path).update(values)
    return change.done()


def collection(folder: Path, *, forged: bool = False, bundles: bool = True) -> Collection:
    """A collection whose digests do not depend on how archives are packed."""
    if not bundles:
        matrix = load_matrix()
        empty = RunReport(
            version="0.2.0", profile="release", engine=REAL, engine_reason="", machine="", tool="", started=0, ended=0,
            tasks=(), cells=(), left_out=(),
        )  # fmt: skip
        none: tuple[ReleasedBundle, ...] = ()
        return Collection(
            folder=folder, version="0.2.0", epoch=EPOCH, forged=forged, matrix=matrix.file, report=empty, bundles=none,
            missing=(),
        )  # fmt: skip
    return dataclasses.replace(make_collection(folder), forged=forged)
