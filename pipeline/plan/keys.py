"""Content keys: the same inputs give the same key on every machine, and nothing else goes in."""

from __future__ import annotations

__all__ = ["code_digest", "content_key", "file_digest", "folder_digest", "folder_digest_now"]

import functools
import hashlib
import json
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def content_key(**inputs: object) -> str:
    """Hash named inputs (JSON values) to 32 hex digits; names count, their order does not."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@functools.cache
def file_digest(path: Path) -> str:
    """SHA-256 of a small file of ours, such as a build script."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of the files in a folder: a build script may read what lies beside it."""
    return folder_digest_now(folder)


def folder_digest_now(folder: Path) -> str:
    """Do the same for what the folder holds at this moment. Hidden files are editors' own."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@functools.cache
def code_digest(*names: str) -> str:
    """SHA-256 over the Python files of our own packages.

    A changed gate must judge again and a changed packer must pack again, without anyone having to remember to
    raise a version. Compile tasks do not use this: their logic is the build script, which is hashed as it is.
    """
    digest = hashlib.sha256()
    for name in sorted(names):
        for path in sorted((_PACKAGE / name).rglob("*.py")):
            digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
