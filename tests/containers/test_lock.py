"""The toolchain's lock."""

from __future__ import annotations

import re
from pathlib import Path

LOCK = (Path(__file__).parents[2] / "containers" / "toolchain" / "zig.txt").read_text(encoding="utf-8")


def test_exactly_the_three_tools_are_locked_with_hashes() -> None:
    text = re.sub(r"#.*", "", LOCK).replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.strip()]

    assert sorted(line[0] for line in lines) == ["cmake==4.4.4", "ninja==1.13.2", "ziglang==0.17.0"]
    for line in lines:
        assert len(line) > 4
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in line[1:])


def test_the_lock_names_no_server() -> None:
    assert "://" not in LOCK
    assert "index-url" not in LOCK.replace("--no-emit-index-url", "")
