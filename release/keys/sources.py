"""Where keys come from: ``--key FILE`` or the environment for the secret one, text or a file for the public one."""

from __future__ import annotations

__all__ = ["KEY_VARIABLE", "PASSWORD_VARIABLE", "open_public", "open_secret"]

import os
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from release.errors import KeyFileError
from release.keys.files import open_regular, read_small
from release.keys.keyfile import PublicKey, SecretKey, StoredKey, parse_secret

KEY_VARIABLE = "LLAMATRIX_SIGNING_KEY"
PASSWORD_VARIABLE = "LLAMATRIX_SIGNING_PASSWORD"  # noqa: S105  a variable's name

_LIMIT = 8 * 1024
_HOPS = 8
# A key's own text, whichever key, whole or not; no path of anybody's looks like this.
_KEY_TEXT = re.compile(r"untrusted comment:|RW[A-Za-z0-9+/=\s]{54,}\Z")


def open_secret(*, file: Path | None, environ: Mapping[str, str], ask: Callable[[str], str] | None) -> SecretKey:
    """Give the signing key.

    Args:
        file: The file of ``--key``, or None.
        environ: The environment. GitHub Actions gives an empty text for a secret that is not there, so an empty
            variable counts as none.
        ask: Asks for the password without showing it (``getpass``); None where there is no terminal.

    Raises:
        KeyFileError: No key, two keys, a file that others can read, a damaged key, or a wrong password.
    """
    text = environ.get(KEY_VARIABLE, "").strip()
    if file is not None and text:
        msg = f"two signing keys were given: --key {_shown(file)} and the environment's {KEY_VARIABLE}"
        raise KeyFileError(msg, hint="leave one of them out")
    if file is not None:
        stored = parse_secret(_read_secret(file), where=str(file))
    elif text:
        stored = parse_secret(text, where=KEY_VARIABLE)
    else:
        msg = "no signing key was given"
        if KEY_VARIABLE in environ:
            msg = f"no signing key was given: {KEY_VARIABLE} is set, but empty"
        hint = (
            f"--key FILE, or the file's content in {KEY_VARIABLE} (GitHub leaves it empty where the secret is missing)"
        )
        raise KeyFileError(msg, hint=hint)
    return stored.unlock(_password(stored, environ, ask))


def open_public(source: str | Path) -> PublicKey:
    """Give the public key out of its one-line text, or out of a ``minisign.pub``.

    Raises:
        KeyFileError: It is neither.
    """
    if isinstance(source, str) and _KEY_TEXT.match(source.strip()):
        return PublicKey.parse(source.strip())
    path = Path(source)
    text: str | None = None
    problem = "it is not a minisign public key"
    try:
        with open_regular(path) as opened:
            text = _text(read_small(opened, _LIMIT))
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except ValueError:  # a NUL in the name
        problem = "that is not a name"
    # Raised out here, without a cause: the cause's text would be the name in full, which may be a pasted secret.
    if text is None:
        msg = f"the public key cannot be read: {problem}"
        hint = "give a minisign.pub, or the key's own text of 56 characters"
        raise KeyFileError(msg, where=_shown(path), hint=hint)
    return PublicKey.parse(text, where=str(path))


def _password(stored: StoredKey, environ: Mapping[str, str], ask: Callable[[str], str] | None) -> str | None:
    if not stored.encrypted:
        return None
    given = environ.get(PASSWORD_VARIABLE, "").rstrip("\r\n")
    if given or ask is None:
        return given
    try:
        return ask(f"Password of {stored.where}: ")
    except (EOFError, OSError):
        return None


def _read_secret(path: Path) -> str:
    text: str | None = None
    problem = "it is not a minisign secret key"
    try:
        target = _follow(path)
        with open_regular(target, follow=False) as opened:
            # Of the file that is open, not of the name: what is checked is what is read.
            _check_private(os.fstat(opened.fileno()), target, where=str(path))
            text = _text(read_small(opened, _LIMIT))
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except ValueError:  # a NUL in the name
        problem = "that is not a name"
    # Raised out here, without a cause: see open_public.
    if text is None:
        msg = f"the secret key cannot be read: {problem}"
        raise KeyFileError(msg, where=_shown(path), hint="--key names the file that python -m release keygen made")
    return text


def _text(data: bytes | None) -> str | None:
    """Give the text, None if it is none. The error would carry the bytes along, so it ends here."""
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def _check_private(status: os.stat_result, path: Path, *, where: str) -> None:
    """Refuse a file that another user may read, change or own."""
    if status.st_uid not in {os.geteuid(), 0}:
        msg = f"the secret key belongs to another user (number {status.st_uid})"
        raise KeyFileError(msg, where=where, hint=f"chown {os.geteuid()} {_quoted(path)}")
    if status.st_mode & 0o077:
        msg = f"the secret key is open to others: its mode is {stat.S_IMODE(status.st_mode):04o}"
        raise KeyFileError(msg, where=where, hint=f"chmod 600 {_quoted(path)}")


def _follow(path: Path) -> Path:
    """Follow links, as long as nobody else can turn one of them to another file."""
    current = path
    for _ in range(_HOPS):
        status = os.lstat(current)
        if not stat.S_ISLNK(status.st_mode):
            return current
        folder = current.parent.resolve(strict=True)
        within = os.stat(folder)  # noqa: PTH116  beside lstat above, the same kind of call
        ours = {os.geteuid(), 0}
        # In a folder with the sticky bit only the link's owner can replace it.
        open_to_others = bool(within.st_mode & 0o022) and not within.st_mode & stat.S_ISVTX
        if status.st_uid not in ours or within.st_uid not in ours or open_to_others:
            msg = f"the secret key is reached through a link that others can change: {current}"
            raise KeyFileError(msg, where=str(path), hint=f"name the file itself, or: chmod go-w {_quoted(folder)}")
        current = folder / current.readlink()
    msg = f"the secret key is behind more than {_HOPS} links"
    raise KeyFileError(msg, where=str(path), hint="name the file itself")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _shown(path: Path) -> str:
    """Give a path for a message, unless it is a key that was pasted in a path's place."""
    text = str(path)
    return "(not shown: it looks like a key)" if _KEY_TEXT.match(text.strip()) else text
