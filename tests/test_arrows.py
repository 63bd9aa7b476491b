"""The arrows of docs/architecture.md, held by reading the imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = ROOT / "pipeline"

FORBIDDEN = {
    "model.py": ("matrix", "plan", "run", "engines", "gates", "bundle", "report", "sources"),
    "matrix": ("plan", "run", "engines", "gates", "bundle", "report"),
    "engines": ("plan", "run", "gates", "bundle", "report", "sources"),
    "bundle": ("plan", "run", "gates", "engines", "report"),
    "sources": ("plan", "run", "gates", "engines", "bundle"),
    "gates": ("plan", "run", "report", "sources"),
    "report": ("plan", "run", "gates", "engines", "bundle"),
    "plan": ("run", "gates", "bundle", "report"),
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


@pytest.mark.parametrize("part", FORBIDDEN)
def test_no_import_points_the_wrong_way(part: str) -> None:
    place = PIPELINE / part
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert files

    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in sorted(_imports(path))
        for prefix in FORBIDDEN[part]
        if _under(name, f"pipeline.{prefix}")
    ]

    assert wrong == []


def test_the_pipeline_never_imports_the_release() -> None:
    wrong = [path for path in PIPELINE.rglob("*.py") if any(_under(name, "release") for name in _imports(path))]

    assert wrong == []


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in PIPELINE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 380
    }

    assert long == {}
