"""Making a key pair: two new files, complete or not there at all, and never in the place of others."""

from __future__ import annotations

__all__ = ["write_key_pair"]

import contextlib
import os
import secrets
from pathlib import Path

from release.errors import KeyFileError
from release.keys.keyfile import PublicKey, SecretKey, load_secret

_SECRET_MODE = 0o600
_PUBLIC_MODE = 0o644


def write_key_pair(secret: Path, public: Path, *, password: str | None) -> PublicKey:
    """Make a new key and write both files.

    Args:
        secret: Where the secret key goes; readable by its owner only.
        public: Where the public key goes.
        password: Encrypts the secret key; None leaves it plain, for a store of secrets that encrypts by itself.

    Raises:
        KeyFileError: One of the files exists already, or cannot be written. Neither is left half-made.
    """
    for path in (secret, public):
        if os.path.lexists(path):
            raise _exists(path)
    key = SecretKey.generate()
    text = key.file_text(password)
    # Read back before anyone relies on it.
    if load_secret(text, password).public != key.public:  # pragma: no cover  a damaged machine
        msg = "the new key does not read back"
        raise KeyFileError(msg, where=str(secret))
    _create(secret, text, _SECRET_MODE)
    try:
        _create(public, key.public.file_text(), _PUBLIC_MODE)
    except BaseException:
        # Made by us a moment ago and never used: without its public half it would only stand in the way.
        with contextlib.suppress(OSError):
            secret.unlink()
        raise
    return key.public


def _create(path: Path, text: str, mode: int) -> None:
    """Put a whole file in place, and only if there is none: a link, unlike a rename, never replaces."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(handle, "wb") as target:
                os.fchmod(target.fileno(), mode)  # whatever the umask says
                target.write(text.encode("ascii"))
                target.flush()
                os.fsync(target.fileno())
            os.link(half, path, follow_symlinks=False)
        finally:
            half.unlink()
        _sync(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        msg = f"the key cannot be written: {error.strerror}"
        raise KeyFileError(msg, where=str(path), hint="name a file in a folder of yours that has room") from error


def _sync(folder: Path) -> None:
    """Make the new name survive a power cut, where the file system can do that for a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _exists(path: Path) -> KeyFileError:
    msg = "there is a file of this name, and a key is never overwritten"
    hint = "choose another name; to replace a key that is in use, rotate it, so that users can follow"
    return KeyFileError(msg, where=str(path), hint=hint)
