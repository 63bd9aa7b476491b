"""Compare with a file under tests/golden/, or rewrite it with --update-golden."""

from __future__ import annotations

__all__ = ["compare"]

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "golden"


def compare(name: str, text: str, *, update: bool) -> None:
    path = _FOLDER / name
    if update:
        path.write_text(text, encoding="utf-8", newline="\n")
    assert path.is_file(), f"{path} is missing: run pytest with --update-golden and read what it wrote"
    assert text == path.read_text(encoding="utf-8"), f"{name} changed: if that is meant, run with --update-golden"
