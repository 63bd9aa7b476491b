"""What holds in every manifest: each rule is broken once, by a manifest that is right in every other part."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from release.errors import ManifestError
from release.manifest.reading import read
from release.manifest.rules import is_placeholder
from tests.release.manifest.paper import gpu_collection, write

X86 = ("projects", "llama.cpp", "platforms", "linux-x86_64")
CPU = (*X86, "variants", "cpu")
GOOD = write(gpu_collection())
Change = Callable[[Any], object]


def at(data: Any, *path: str) -> Any:  # noqa: ANN401 - JSON, as parsed
    for key in path:
        data = data[key]
    return data


def refused(change: Change) -> str:
    """Change a good manifest, write it as we would, and give what the reader says."""
    data = json.loads(GOOD)
    change(data)
    text = json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    with pytest.raises(ManifestError) as caught:
        read(text.encode())
    return caught.value.what


def put(*path: str, to: object) -> Change:
    return lambda data: at(data, *path[:-1]).__setitem__(path[-1], to)


def test_a_good_one_is_good() -> None:
    assert read(GOOD).manifest_version == 1


PREVIOUS = {"tag": "v0.0.9", "manifest_version": 4, "sha256": "1e2d" * 16}
OTHER_URL = "https://evil.example/llama.cpp-0.1.0-linux-x86_64-cpu.tar.zst"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("generated_at", to="2026-13-40T00:00:00Z"), "is no time"),
        (put("expires_at", to="2026-11-21T10:51:32Z"), "it expires on 2026-11-21T10:51:32Z, before it was made"),
        (put("manifest_version", to=2), "manifest_version is 2 and no previous manifest is named"),
        (put("release", "previous", to=PREVIOUS | {"manifest_version": 1, "tag": "v0.1.0"}), "of the same tag v0.1.0"),
        (put("release", "previous", to=PREVIOUS | {"sha256": "0" * 64}), "previous manifest's digest is a placeholder"),
        (
            lambda data: data.update(manifest_version=4) or data["release"].update(previous=PREVIOUS),
            "manifest_version is 4, after 4",
        ),
        (put("release", "commit", to="0" * 40), f"the release's commit {'0' * 40} is a placeholder"),
        (put("provenance", "sha256", to="f" * 64), "provenance.intoto.jsonl: its digest is a placeholder"),
        (put("projects", "llama.cpp", "source", "digest", to="0" * 64), "the source's digest is a placeholder"),
        (put("projects", "llama.cpp", "source", "digest", to=None), "its source names no commit or no digest"),
        (put("projects", "llama.cpp", "source", "commit", to=None), "its source names no commit or no digest"),
        (put(*X86, "order", to=["cpu"]), "order leaves out all, cuda12, rocm-gfx1100, vulkan"),
        (lambda data: at(data, *X86)["order"].append("cuda13"), "order names cuda13, which is not released"),
        (lambda data: at(data, *X86)["order"].append("cpu"), "order names a variant twice"),
        (put(*X86, "default", to="cuda13"), "its default variant cuda13 is not released"),
        (put(*X86, "default", to="cuda12"), "its default variant cuda12 requires nvidia, libcuda.so.1"),
        (put(*CPU, "requires", "libs", to=["libgomp.so.1"]), "its default variant cpu requires libgomp.so.1"),
        (
            lambda data: at(data, "projects", "llama.cpp", "platforms").update(
                {"plan9-x86_64": at(data, "projects", "llama.cpp", "platforms").pop("linux-aarch64")}
            ),
            "nobody knows a platform plan9-x86_64",
        ),
        (put(*CPU, "artifact", "sha256", to="0" * 64), "the digest of llama.cpp-0.1.0-linux-x86_64-cpu.tar.zst is a"),
        (put(*CPU, "artifact", "urls", to=[]), "llama.cpp-0.1.0-linux-x86_64-cpu.tar.zst can be had nowhere"),
        (put(*CPU, "artifact", "urls", to=[OTHER_URL]), f"{OTHER_URL} is not in the release, where it would be https://git"),
        (put(*CPU, "artifact", "top", to="elsewhere"), "unpacks to elsewhere, which is not its name"),
        (put(*CPU, "artifact", "name", to="provenance.intoto.jsonl"), "2 assets have the name provenance.intoto.jsonl"),
        (put(*CPU, "sbom", "sha256", to="a" * 64), "the digest of llama.cpp-0.1.0-linux-x86_64-cpu.cdx.json is a"),
        (
            lambda data: at(data, *CPU)["companions"].append(at(data, *CPU)["artifact"]),
            "2 assets have the name llama.cpp-0.1.0-linux-x86_64-cpu.tar.zst",
        ),
        (put(*CPU, "requires", "macos", to="13.3"), "its floor is given for glibc and macos"),
        (lambda data: at(data, *CPU)["requires"].pop("glibc"), "its floor is given for nothing"),
        (put(*CPU, "requires", "vulkan", to={"api": "1.2"}), "its backend is cpu and requires.vulkan is there"),
        (
            lambda data: at(data, *X86, "variants", "cuda12", "requires").pop("nvidia"),
            "its backend is cuda and requires.nvidia is not there",
        ),
        (put(*CPU, "attest", "backends", to=["vulkan"]), "its backend cpu was not found inside"),
        (put(*CPU, "attest", "gates", "abi", to="waived"), "its waivers are not those of its gates"),
        (put(*CPU, "attest", "gates", to={}), "no gate was passed"),
        (put(*CPU, "attest", "bundled", to=[]), "no library was found inside"),
        (
            lambda data: at(data, *CPU, "attest", "bundled")[0].update(sha256="0" * 64),
            "the digest of libggml-base.so is a placeholder",
        ),
        (
            lambda data: at(data, *CPU, "attest", "gates").update(abi="waived")
            or at(data, *CPU, "waivers").append({"gate": "abi", "reason": "x", "until": "2026-11-20"}),
            "the waiver of gate abi ended on 2026-11-20, before the release",
        ),
        (put(*CPU, "probe", "argv", to=["/bin/sh", "-c", "true"]), "its probe runs '/bin/sh', which is not a path"),
        (put(*CPU, "probe", "argv", to=["../llama-cli"]), "its probe runs '../llama-cli', which is not a path inside"),
        (put(*CPU, "probe", "argv", to=["a\\b"]), "which is not a path inside the bundle"),
        (put(*CPU, "probe", "expect", to="("), "its probe expects '(', which is no regular expression"),
        (put(*CPU, "probe", "expect", to="a{99999999999}"), "which is no regular expression"),
        (put(*CPU, "description", to="a\u202eb"), "holds control or invisible characters"),
        (put("release", "tag", to="v0.1.0\n"), "holds control or invisible characters"),
        (lambda data: data["missing"].append(data["missing"][0]), "is missing more than once"),
        (
            lambda data: data["missing"].append({"cell": "llama.cpp/linux-x86_64/cpu", "reason": "x"}),
            "llama.cpp/linux-x86_64/cpu is missing and released",
        ),
        (
            lambda data: data["revoked"].append({"sha256": at(data, *CPU)["artifact"]["sha256"], "reason": "bad"}),
            "llama.cpp/linux-x86_64/cpu is released and revoked: bad",
        ),
        (lambda data: data["revoked"].append({"sha256": "0" * 64, "reason": "x"}), "a revoked digest is a placeholder"),
        (put("projects", "llama.cpp", "platforms", to={}), "it releases nothing"),
    ],
)  # fmt: skip
def test_each_rule_is_held(change: Change, says: str) -> None:
    assert says in refused(change)


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH"])
def test_the_loaders_variables_are_refused(name: str) -> None:
    def change(data: object) -> None:
        at(data, *X86, "variants", "rocm-gfx1100", "env")[0]["name"] = name

    assert "matching regex" in refused(change)


@pytest.mark.parametrize(
    "digest", ["0" * 64, "a" * 64, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
)
def test_placeholders(digest: str) -> None:
    assert is_placeholder(digest)


def test_a_real_digest_is_none() -> None:
    assert not is_placeholder("1e2d" * 16)
