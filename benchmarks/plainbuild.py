"""A plain CMake build of llama.cpp, as its own workflow makes it: what ours is compared with."""

from __future__ import annotations

__all__ = ["UPSTREAM", "Build", "plain_build", "source_tree"]

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import NotRunError
from benchmarks.setting import Setting
from benchmarks.timing import finish

UPSTREAM = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_BACKEND_DL=ON",
    "-DGGML_NATIVE=OFF",
    "-DGGML_CPU_ALL_VARIANTS=ON",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
)
"""The options of upstream's release workflow; its web page, which needs a download, is left out on both sides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """A finished build: where its programs are, and the wall time of configuring and compiling."""

    programs: Path
    seconds: float


def source_tree(setting: Setting) -> Path:
    """Find llama.cpp's source: the one given, else the one in the store."""
    if setting.source is not None:
        found = setting.source
    else:
        trees = sorted((setting.real_store() / "sources").glob("llama.cpp-*/tree"))
        if len(trees) != 1:
            msg = f"the store holds {len(trees)} source trees of llama.cpp; give one with --source"
            raise NotRunError(msg)
        found = trees[0]
    if not (found / "ggml" / "CMakeLists.txt").is_file():
        msg = f"{found} is not a source tree of llama.cpp"
        raise NotRunError(msg)
    return found


def plain_build(setting: Setting, name: str, *, options: Sequence[str], targets: Sequence[str]) -> Build:
    """Build once with the system's compiler below ``--work``; a build that is there already is used again."""
    if not setting.kept:
        msg = "a plain build takes minutes; --work DIR makes it and keeps it"
        raise NotRunError(msg)
    missing = [tool for tool in ("cmake", "ninja", "cc", "c++") if shutil.which(tool) is None]
    if missing:
        msg = f"a plain build needs {', '.join(missing)} on PATH"
        raise NotRunError(msg)
    source, folder = source_tree(setting), setting.folder(f"plain/{name}")
    wanted = {"source": str(source), "options": list(options), "targets": list(targets)}
    mark = folder / "done.json"
    if mark.is_file():
        done = json.loads(mark.read_bytes())
        if done["wanted"] == wanted:
            return Build(programs=folder / "build" / "bin", seconds=done["seconds"])
    setting.say(f"    plain build {name}: minutes; kept in {folder}")
    shutil.rmtree(folder / "build", ignore_errors=True)
    mark.unlink(missing_ok=True)
    started = time.perf_counter()
    finish(("cmake", "-G", "Ninja", "-S", str(source), "-B", str(folder / "build"), *options), cwd=folder)
    parallel = ("--parallel", str(os.cpu_count() or 1))
    finish(("cmake", "--build", str(folder / "build"), *parallel, "--target", *targets), cwd=folder)
    seconds = time.perf_counter() - started
    mark.write_text(json.dumps({"wanted": wanted, "seconds": seconds}), encoding="utf-8")
    return Build(programs=folder / "build" / "bin", seconds=seconds)
