"""The folder ``keys/`` of a project: its old public keys and the statements that lead from each key to the next."""

from __future__ import annotations

__all__ = ["add_rotation", "known_keys", "read_rotations"]

import re
from pathlib import Path

from release.errors import KeyFileError
from release.keys.keyfile import PublicKey
from release.keys.rotation import SignedRotation, follow, read_rotation
from release.keys.sources import open_public

_NAME = re.compile(r"(\d{3})-[0-9A-F]{16}-[0-9A-F]{16}\.json", re.ASCII)
_MOST = 999
_LIMIT = 64 * 1024


def read_rotations(folder: Path) -> tuple[SignedRotation, ...]:
    """Read the statements, oldest first; none when there is no such folder."""
    if not folder.is_dir():
        return ()
    names = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    return tuple(
        SignedRotation(statement=_read(path), signature=_read(_signature(path)).decode("ascii", errors="replace"))
        for path in names
    )


def add_rotation(folder: Path, old: PublicKey, new: PublicKey, rotation: SignedRotation) -> Path:
    """Put a statement behind the others, and the old public key beside them; nothing is overwritten."""
    earlier = read_rotations(folder)
    last = read_rotation(earlier[-1].statement).new_id if earlier else old.id_text
    if last != old.id_text:
        msg = f"the last statement there leads to key {last}, not to {old.id_text}"
        raise KeyFileError(msg, where=str(folder), hint="rotate from the key that is in use")
    number = len(earlier) + 1
    if number > _MOST:
        msg = "there are 999 rotations already"
        raise KeyFileError(msg, where=str(folder), hint="begin another folder")
    path = folder / f"{number:03d}-{old.id_text}-{new.id_text}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        public = folder / f"{old.id_text}.pub"
        if not public.exists():
            public.write_text(old.file_text(), encoding="ascii")
        # The signature first: a statement without one would be a file that nobody can check.
        _signature(path).write_text(rotation.signature, encoding="ascii")
        with path.open("xb") as stream:
            stream.write(rotation.statement)
    except OSError as error:
        msg = f"the statement cannot be written: {error.strerror or error}"
        raise KeyFileError(msg, where=str(path), hint="check the folder, then run again") from error
    return path


def known_keys(folder: Path, current: PublicKey, *, repo: str) -> tuple[PublicKey, ...]:
    """Give the current key, and every old one from which the statements lead to it.

    Raises:
        SignatureError: The statements do not lead from an old key that lies there to the current one.
        KeyFileError: A file there cannot be read.
    """
    rotations = read_rotations(folder)
    found = [current]
    for path in sorted(folder.glob("*.pub")) if folder.is_dir() else ():
        old = open_public(path)
        if old.text != current.text and follow(old, rotations, repo=repo).text == current.text:
            found.append(old)
    return tuple(found)


def _signature(path: Path) -> Path:
    return path.with_name(f"{path.name}.minisig")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except OSError as error:
        msg = f"it cannot be read: {error.strerror or error}"
        raise KeyFileError(msg, where=str(path), hint="each statement has its signature beside it") from error
    if len(data) > _LIMIT:
        msg = "it is too long for a statement"
        raise KeyFileError(msg, where=str(path), hint="it was not written by python -m release rotate")
    return data
