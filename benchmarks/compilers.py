"""Which C compiler a benchmark can use here: the toolchain of the store first, as builds do."""

from __future__ import annotations

__all__ = ["c_compiler"]

import importlib.util
import shutil
from pathlib import Path

from benchmarks.rows import NotRunError
from benchmarks.setting import Setting


def c_compiler(setting: Setting) -> tuple[str, ...]:
    """Give the words that start a C compiler."""
    stores = [setting.store] if setting.store else []
    for store in stores:
        for found in sorted((store / "toolchains").glob("*/bin/zig")):
            return (str(found), "cc")
    package = importlib.util.find_spec("ziglang")
    if package is not None and package.origin is not None:
        return (str(Path(package.origin).with_name("zig")), "cc")
    for name in ("zig", "clang", "gcc", "cc"):
        path = shutil.which(name)
        if path:
            return (path, "cc") if name == "zig" else (path,)
    msg = "there is no C compiler: give --store with a toolchain, or install ziglang or gcc"
    raise NotRunError(msg)
