"""The arrows of docs/architecture.md, held by reading the imports. What only types are taken from counts as well."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = ROOT / "pipeline"
RELEASE = ROOT / "release"

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

# Keys sign and GitHub stores bytes that mean nothing to them: this is all of ours that they may know.
ALONE = {
    "keys": ("pipeline.errors", "release.errors", "release.keys"),
    "github": ("pipeline.__version__", "pipeline.errors", "release.errors", "release.github"),
}
# What publishing stands on, and what must not know that it is ever published, sealed or asked for by a command.
BELOW_PUBLISH = ("keys", "sbom", "provenance", "manifest", "notes", "verify", "github")
ABOVE = ("release.publish", "release.seal", "release.session", "release.cli")
DECLARATIONS = {"pipeline/matrix/spec.py": 420}
"""Modules that are one table, which is easier to read whole, with the lines they may have."""


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # The name may be a module of its own: from release import publish.
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
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


def _release_files(part: str) -> list[Path]:
    files = sorted((RELEASE / part).rglob("*.py"))
    assert files
    return files


@pytest.mark.parametrize("part", ALONE)
def test_keys_and_github_know_nothing_of_releases(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _release_files(part)
        for name in sorted(_imports(path))
        if name.startswith(("pipeline.", "release."))
        if not any(_under(name, allowed) for allowed in ALONE[part])
    ]

    assert wrong == []


@pytest.mark.parametrize("part", BELOW_PUBLISH)
def test_nothing_below_publishing_imports_what_is_above_it(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _release_files(part)
        for name in sorted(_imports(path))
        if any(_under(name, prefix) for prefix in ABOVE)
    ]

    assert wrong == []


def test_publishing_does_not_seal_and_knows_no_commands() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _release_files("publish")
        for name in sorted(_imports(path))
        if any(_under(name, prefix) for prefix in ABOVE if prefix != "release.publish")
    ]

    assert wrong == []


def test_modules_stay_small() -> None:
    long = {
        name: lines
        for folder in (PIPELINE, RELEASE)
        for path in folder.rglob("*.py")
        if (name := path.relative_to(ROOT).as_posix())
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > DECLARATIONS.get(name, 380)
    }

    assert long == {}
