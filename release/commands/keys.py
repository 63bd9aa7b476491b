"""keygen, rotate and pubkey."""

from __future__ import annotations

__all__ = ["keygen_command", "pubkey_command", "public_key", "rotate_command", "signing_key"]

import argparse
import datetime
import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.console import show
from pipeline.errors import UsageError
from release.errors import KeyFileError
from release.keys.generate import write_key_pair
from release.keys.keyfile import PublicKey, SecretKey
from release.keys.pem import spki_pem
from release.keys.ring import add_rotation
from release.keys.rotation import make_rotation
from release.keys.sources import KEY_VARIABLE, PASSWORD_VARIABLE, open_public, open_secret

PUBLIC_VARIABLE = "LLAMATRIX_PUBLIC_KEY"
_PUBLIC_FILE = Path("minisign.pub")


def _ask_password() -> Callable[[str], str] | None:
    """Give what asks for a password without showing it, or None where nobody could answer."""
    return getpass.getpass if sys.stdin.isatty() else None


def signing_key(file: Path | None) -> SecretKey:
    """Open the signing key, and take it out of the environment: no program that is started later inherits it."""
    try:
        return open_secret(file=file, environ=os.environ, ask=_ask_password())
    finally:
        for name in (KEY_VARIABLE, PASSWORD_VARIABLE):
            os.environ.pop(name, None)


def public_key(source: str | None, environ: Mapping[str, str], *, apart_from: Path | None = None) -> PublicKey:
    """Give the public key that was named, else the environment's, else the one in this folder.

    Args:
        source: The key or its file, as named on the command line.
        environ: The environment.
        apart_from: The folder that is to be verified. Whoever made its files made a key that lies there too.

    Raises:
        KeyFileError: There is none, it is none, or it lies in ``apart_from``.
    """
    chosen = source or environ.get(PUBLIC_VARIABLE)
    if apart_from is not None and _lies_in(Path(chosen or _PUBLIC_FILE), apart_from):
        msg = "the public key lies in the folder that is to be verified, and proves nothing there"
        hint = "take the key from somewhere else than the release: --public-key KEY with the project's own"
        raise KeyFileError(msg, where=str(chosen or _PUBLIC_FILE), hint=hint)
    if chosen:
        return open_public(chosen)
    if not _PUBLIC_FILE.is_file():
        msg = "no public key was given"
        hint = (
            f"--public-key KEY, {PUBLIC_VARIABLE}, or {_PUBLIC_FILE} here; take it from somewhere else than the release"
        )
        raise KeyFileError(msg, where=str(_PUBLIC_FILE), hint=hint)
    return open_public(_PUBLIC_FILE)


def _lies_in(file: Path, folder: Path) -> bool:
    try:
        return file.is_file() and file.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # the text of a key, which is no name of a file
        return False


def keygen_command(arguments: argparse.Namespace) -> int:
    """Make a key pair."""
    password = None if arguments.no_password else _new_password(os.environ, _ask_password())
    made = write_key_pair(arguments.key, arguments.public_key, password=password)
    show(f"wrote {arguments.key} (secret, keep it) and {arguments.public_key}\n{made.text}\n")
    return 0


def _new_password(environ: Mapping[str, str], ask: Callable[[str], str] | None) -> str:
    given = environ.get(PASSWORD_VARIABLE, "").rstrip("\r\n")
    if given:
        return given
    hint = f"set {PASSWORD_VARIABLE}, or --no-password for a key that lives in a store of secrets"
    if ask is None:
        msg = "a new key needs a password, and there is no terminal to ask on"
        raise UsageError(msg, where="keygen", hint=hint)
    first = ask("Password of the new key: ")
    if not first or first != ask("Once more: "):
        msg = "the password is empty, or was not the same twice"
        raise UsageError(msg, where="keygen", hint=hint)
    return first


def rotate_command(arguments: argparse.Namespace) -> int:
    """Let the old key name the new one."""
    old = signing_key(arguments.key)
    new = open_public(arguments.new)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    rotation = make_rotation(old, new, repo=arguments.repo, reason=arguments.reason, day=today)
    path = add_rotation(arguments.out, old.public, new, rotation)
    show(
        f"wrote {path}: {old.public.id_text} names {new.id_text}. Commit {arguments.out}/ with the new minisign.pub.\n"
    )
    return 0


def pubkey_command(arguments: argparse.Namespace) -> int:
    """Show a public key."""
    key = public_key(arguments.public_key, os.environ)
    show(spki_pem(key).decode("ascii") if arguments.pem else f"{key.text}\n")
    return 0
