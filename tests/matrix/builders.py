"""A tiny matrix that is right in every part, for tests that change one thing or need something small to build."""

from __future__ import annotations

__all__ = ["MATRIX", "MISTAKES", "RELEASE", "Mistake", "load_text", "matrix_text", "position_of"]

from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.matrix.document import parse
from pipeline.matrix.load import LoadedMatrix, load_document

MATRIX = """\
schema: 1
version: 0.1.0

axes:
  project: [llama.cpp]
  platform: [linux-x86_64]
  variant: [cpu, vulkan]

platforms:
  linux-x86_64: {os: linux, arch: x86_64, target: x86_64-linux-gnu.2.28}

variants:
  cpu: {backend: cpu, description: "every CPU"}
  vulkan: {backend: vulkan, description: "any GPU with a Vulkan driver"}

projects:
  llama.cpp: {source: llama.cpp, description: "ggml-org/llama.cpp"}

sources:
  llama.cpp:
    version: 0.5.0-dev
    commit: 0c1e57098bba43ac29e6e3b677cdceebdd22334f
    epoch: 1790820708
    mirrors:
      - git: https://github.com/ggml-org/llama.cpp.git
      - sdist: llama-cpp-python==0.3.36
        sha256: 832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
        objects: .git/modules/vendor/llama.cpp

toolchains:
  zig:
    lock: containers/toolchain/zig.txt
    wrappers: containers/toolchain
    hosts: [linux-x86_64]

images:
  build: {suite: trixie}
  floor: {suite: bullseye}
  lavapipe: {suite: trixie, packages: [libvulkan1, mesa-vulkan-drivers]}

components:
  llama.cpp/linux-x86_64/core:
    script: build/llama_cpp.sh
    toolchain: zig
    image: build
    engines: [docker, host]
    deadline: 60m
    memory: 8GiB
    libraries: [libggml-base.so, libggml.so, libllama.so]
    programs: [llama-cli, llama-server]
    tests: [test-sampling, test-gguf]
    cpu_variants: [x64, haswell, zen4]
    licences: [LICENSE]
  llama.cpp/linux-x86_64/vulkan:
    script: build/llama_cpp.sh
    toolchain: zig
    image: build
    engines: [docker]
    deadline: 40m
    memory: 8GiB
    options: {GGML_CPU: "OFF", GGML_VULKAN: "ON"}
    libraries: [libggml-vulkan.so]
    licences: [LICENSE]

profiles:
  local:
    description: "ends in minutes"
    suffix: -local
    cpu_variants: {linux-x86_64: [x64, haswell]}
    compression: 3
    repro: false
  release: {description: "what ships", suffix: "", compression: 19, repro: true}

defaults:
  gates:
    abi: {glibc: "2.28"}
    licences: {require: [LICENSE]}
    tests: {programs: [{run: test-sampling}, {run: test-gguf}], deadline: 10m}

overrides:
  - cells: "*/*/cpu"
    set:
      backends: []
      gates:
        size: {warn: 20MB, max: 30MB, max_unpacked: 120MB, growth: 15%}
        backend: {}
        closure: {allow: [libc.so.6, libm.so.6]}
        smoke: {image: floor, device: cpu, startup: 100ms, deadline: 5m}
        repro: {engine: host}
  - cells: "*/*/vulkan"
    set:
      backends: [vulkan]
      gates:
        size: {warn: 45MB, max: 60MB, max_unpacked: 250MB}
        backend: {spirv_min: 500}
        closure: {allow: [libvulkan.so.1, libc.so.6, libm.so.6]}
        smoke: {image: lavapipe, device: lavapipe, devices: {vulkan: "llvmpipe"}, startup: 100ms, deadline: 10m}
"""


RELEASE = """
release:
  epoch: 1
  lifetime_days: 180
  order: [vulkan, cpu]
  defaults: {linux-x86_64: cpu}
  requires:
    vulkan: {vulkan: "1.2"}
  environment:
    - {cells: "*/*/vulkan", name: GGML_VK_VISIBLE_DEVICES, value: "0", gfx: [gfx1101, gfx1102], reason: the first one}
    - {cells: "*/*/*", name: GGML_VK_VISIBLE_DEVICES, value: "1", gfx: [gfx1103], reason: the second one}
  revoked:
    - {sha256: 1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f, reason: it crashed}
"""
"""A release section that is right for the tiny matrix; rows of mistakes.yaml whose name starts with release have it."""


def matrix_text(*edits: tuple[str, str], release: bool = False) -> str:
    """Give the tiny matrix with the first occurrence of each old text replaced by the new one."""
    text = MATRIX + RELEASE if release else MATRIX
    for old, new in edits:
        assert old in text, f"the matrix does not contain {old!r}"
        text = text.replace(old, new, 1)
    return text


def load_text(text: str) -> LoadedMatrix:
    """Load a matrix without a file."""
    return load_document(parse(text), path=Path("matrix.yaml"), sha256="0" * 64)


def position_of(text: str, marker: str) -> str:
    """Give ``matrix.yaml:line:column`` of the first occurrence of ``marker``."""
    before = text[: text.index(marker)]
    return f"matrix.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A wrong matrix: ``§`` in ``marked`` is the place of the mistake, ``says`` is part of the message."""

    name: str
    marked: str
    says: str

    @property
    def text(self) -> str:
        return self.marked.replace("§", "")


def _mistakes() -> tuple[Mistake, ...]:
    rows = yaml.safe_load(Path(__file__).with_name("mistakes.yaml").read_text(encoding="utf-8"))
    mistakes = tuple(
        Mistake(
            name=row["name"],
            marked=matrix_text(*map(tuple, row["edits"]), release=row["name"].startswith("release-")),
            says=row["says"],
        )
        for row in rows
    )
    assert all(mistake.marked.count("§") == 1 for mistake in mistakes)
    return mistakes


MISTAKES = _mistakes()
