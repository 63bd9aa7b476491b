"""Where keys come from, what is refused, and that no refusal gives a secret away."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from release.errors import KeyFileError
from release.keys.keyfile import SecretKey
from release.keys.sources import KEY_VARIABLE, PASSWORD_VARIABLE, open_public, open_secret
from tests.release.keys.builders import HIDDEN, PASSWORD, assert_says_nothing, secret_text

PLAIN = HIDDEN.file_text()
ENCRYPTED = HIDDEN.file_text(PASSWORD)
SECRET_LINE = PLAIN.splitlines()[1]


def damaged(**changes: bytes) -> bytes:
    raw = b64decode(SECRET_LINE)
    parts = {"seed": raw[62:94], "public": raw[94:126], "checksum": raw[126:], **changes}
    return raw[:62] + parts["seed"] + parts["public"] + parts["checksum"]


def _never(prompt: str) -> str:
    raise AssertionError(prompt)


def _key_file(folder: Path, text: str = PLAIN, mode: int = 0o600) -> Path:
    path = folder / "release.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def _open(
    file: Path | None = None, ask: Callable[[str], str] | None = None, environ: Mapping[str, str] | None = None
) -> SecretKey:
    return open_secret(file=file, environ=environ or {}, ask=ask)


def _refused(
    says: str,
    file: Path | None = None,
    ask: Callable[[str], str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> KeyFileError:
    with pytest.raises(KeyFileError, match=says) as caught:
        _open(file, ask, environ)
    assert caught.value.hint
    assert_says_nothing(caught.value, SECRET_LINE, ENCRYPTED.splitlines()[1], PASSWORD)
    return caught.value


# --- the secret key


def test_a_key_from_a_file(tmp_path: Path) -> None:
    assert _open(_key_file(tmp_path), _never).public == HIDDEN.public
    assert _open(_key_file(tmp_path), _never, environ={KEY_VARIABLE: ""}).public == HIDDEN.public


@pytest.mark.parametrize(
    "text",
    [PLAIN, SECRET_LINE, f"  {SECRET_LINE}\n\n", PLAIN.replace("\n", "\r\n"), PLAIN.rstrip()],
)
def test_a_key_from_the_environment(text: str) -> None:
    assert _open(None, _never, environ={KEY_VARIABLE: text}).public == HIDDEN.public


@pytest.mark.parametrize("password", [PASSWORD, f"{PASSWORD}\n", f"{PASSWORD}\r\n"])
def test_the_password_from_the_environment(tmp_path: Path, password: str) -> None:
    environ = {PASSWORD_VARIABLE: password}

    assert _open(_key_file(tmp_path, ENCRYPTED), _never, environ).public == HIDDEN.public
    assert _open(None, _never, {KEY_VARIABLE: ENCRYPTED, **environ}).public == HIDDEN.public


@pytest.mark.parametrize("environ", [{}, {PASSWORD_VARIABLE: ""}])
def test_the_password_is_asked_for(tmp_path: Path, environ: dict[str, str]) -> None:
    path = _key_file(tmp_path, ENCRYPTED)
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return PASSWORD

    assert _open(path, ask, environ).public == HIDDEN.public
    assert asked == [f"Password of {path}: "]


def test_nobody_is_asked_for_a_plain_keys_password(tmp_path: Path) -> None:
    assert _open(_key_file(tmp_path), _never, environ={PASSWORD_VARIABLE: "left over"}).public == HIDDEN.public


def test_no_key() -> None:
    error = _refused("no signing key was given$")
    assert "--key FILE" in str(error.hint)

    _refused("no signing key was given: LLAMATRIX_SIGNING_KEY is set, but empty", environ={KEY_VARIABLE: ""})
    _refused("is set, but empty", environ={KEY_VARIABLE: " \n"})


def test_two_keys(tmp_path: Path) -> None:
    path = _key_file(tmp_path)

    error = _refused("two signing keys were given: --key .*release.key and", path, environ={KEY_VARIABLE: PLAIN})

    assert error.hint == "leave one of them out"


def test_a_wrong_password(tmp_path: Path) -> None:
    path = _key_file(tmp_path, ENCRYPTED)
    wrong = "Tr0ub4dor and a few more"

    for error in (
        _refused("wrong password", path, environ={PASSWORD_VARIABLE: wrong}),
        _refused("wrong password", path, lambda prompt: wrong),
        _refused("wrong password", environ={KEY_VARIABLE: ENCRYPTED, PASSWORD_VARIABLE: wrong}),
    ):
        assert_says_nothing(error, wrong)


def _no_terminal(prompt: str) -> str:
    raise EOFError


def _broken_terminal(prompt: str) -> str:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("ask", [None, _no_terminal, _broken_terminal, lambda prompt: ""])
def test_no_password(tmp_path: Path, ask: Callable[[str], str] | None) -> None:
    error = _refused("encrypted, and no password was given", _key_file(tmp_path, ENCRYPTED), ask)

    assert "LLAMATRIX_SIGNING_PASSWORD" in str(error.hint)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o610, 0o644, 0o666, 0o777, 0o1644])
def test_a_file_that_others_can_reach(tmp_path: Path, mode: int) -> None:
    path = _key_file(tmp_path, mode=mode)

    error = _refused(f"open to others: its mode is {mode:04o}", path)

    assert error.hint == f"chmod 600 {path}"
    assert error.where == str(path)
    path.chmod(0o600)
    assert _open(path).public == HIDDEN.public


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_only_its_owner_can_reach(tmp_path: Path, mode: int) -> None:
    assert _open(_key_file(tmp_path, mode=mode)).public == HIDDEN.public


def test_the_command_in_the_hint_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "a folder; with $(odd) signs"
    folder.mkdir()
    path = _key_file(folder, mode=0o644)

    assert _refused("open to others", path).hint == f"chmod 600 '{path}'"


def test_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _key_file(tmp_path)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        assert _open(path).public == HIDDEN.public  # root's files are as good as ours
        os.chown(path, 4711, -1)

    error = _refused("the secret key belongs to another user", path)

    assert error.hint == f"chown {owner + 1} {path}"


def test_links_of_ours_are_followed(tmp_path: Path) -> None:
    _key_file(tmp_path)
    (tmp_path / "one").symlink_to("release.key")
    (tmp_path / "two").symlink_to(tmp_path / "one")

    assert _open(tmp_path / "two").public == HIDDEN.public
    (tmp_path / "release.key").chmod(0o644)
    assert _refused("open to others", tmp_path / "two").hint == f"chmod 600 {tmp_path.resolve() / 'release.key'}"


@pytest.mark.parametrize(("mode", "followed"), [(0o777, False), (0o770, False), (0o1777, True), (0o755, True)])
def test_links_that_others_can_change(tmp_path: Path, mode: int, followed: bool) -> None:
    _key_file(tmp_path)
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "link").symlink_to("../release.key")
    folder.chmod(mode)
    try:
        if followed:
            assert _open(folder / "link").public == HIDDEN.public
        else:
            error = _refused("reached through a link that others can change", folder / "link")
            assert f"chmod go-w {folder.resolve()}" in str(error.hint)
    finally:
        folder.chmod(0o755)


def test_links_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _key_file(tmp_path)
    link = tmp_path / "link"
    link.symlink_to("release.key")
    monkeypatch.setattr(os, "geteuid", lambda: link.lstat().st_uid + 1)
    if link.lstat().st_uid == 0:
        os.chown(link, 4711, -1, follow_symlinks=False)

    _refused("reached through a link that others can change", link)


def test_links_in_a_folder_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _key_file(tmp_path)
    (tmp_path / "link").symlink_to("release.key")
    real, folder = os.stat, tmp_path.resolve()

    def elsewhere(path: Path, **options: bool) -> os.stat_result:
        status = real(path, **options)
        return os.stat_result((*status[:4], 4711, *status[5:])) if path == folder else status

    monkeypatch.setattr(os, "stat", elsewhere)

    _refused("reached through a link that others can change", tmp_path / "link")


def test_a_circle_of_links(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")

    _refused("behind more than 8 links", tmp_path / "one")


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    _refused("the secret key cannot be read: No such file or directory", tmp_path / "nothing")
    _refused("the secret key cannot be read: not a regular file", tmp_path)
    _refused("the secret key cannot be read: not a regular file", tmp_path / "pipe")
    _refused("the secret key cannot be read: that is not a name", tmp_path / "a\0b")
    huge = _key_file(tmp_path)
    with huge.open("wb") as target:
        target.truncate(1 << 30)
    _refused("the secret key cannot be read: it is not a minisign secret key", huge)
    huge.write_bytes(b"\xff" + SECRET_LINE.encode())
    _refused("the secret key cannot be read: it is not a minisign secret key", huge)


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*args: object, **kwargs: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = _key_file(tmp_path)
    monkeypatch.setattr(os, "open", locked)

    _refused("the secret key cannot be read: Permission denied", path)


def test_a_keys_text_in_the_place_of_a_files_name_is_not_repeated() -> None:
    for text in (SECRET_LINE, PLAIN, f" {SECRET_LINE}", SECRET_LINE[:100]):
        error = _refused("the secret key cannot be read", Path(text))
        assert error.where == "(not shown: it looks like a key)"
    _refused("two signing keys were given", Path(SECRET_LINE), environ={KEY_VARIABLE: PLAIN})


@pytest.mark.parametrize(
    "text",
    [
        SECRET_LINE[:-4],
        PLAIN.replace("RWQ", "RWR"),
        secret_text(damaged(checksum=b"\1" * 32)),
        secret_text(damaged(public=bytes(32))),
        f"{PLAIN}{PLAIN}",
        "\udcff\udcfe" + SECRET_LINE,
    ],
)
def test_damaged_keys_in_the_environment_are_not_repeated(text: str) -> None:
    error = _refused("secret key", environ={KEY_VARIABLE: text})

    assert error.where == KEY_VARIABLE
    assert_says_nothing(error, max(text.split(), key=len))


# --- the public key


def test_a_public_key_from_its_text_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "minisign.pub"
    path.write_text(HIDDEN.public.file_text())

    for source in (HIDDEN.public.text, f" {HIDDEN.public.text}\n", HIDDEN.public.file_text(), path, str(path)):
        assert open_public(source) == HIDDEN.public
    path.write_bytes(HIDDEN.public.file_text().replace("\n", "\r\n").encode())
    assert open_public(path) == HIDDEN.public


def test_public_keys_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff")
    with (tmp_path / "huge").open("wb") as target:
        target.truncate(1 << 30)

    for source, says in (
        (tmp_path / "nothing", "cannot be read: No such file"),
        (str(tmp_path / "nothing"), "cannot be read: No such file"),
        (tmp_path / "pipe", "cannot be read: not a regular file"),
        (tmp_path / "binary", "cannot be read: it is not a minisign public key"),
        (tmp_path / "huge", "cannot be read: it is not a minisign public key"),
        ("", "cannot be read: not a regular file"),
        ("a\0b", "cannot be read: that is not a name"),
        (HIDDEN.public.text + "A", "this is not a minisign public key"),
    ):
        with pytest.raises(KeyFileError, match=says) as caught:
            open_public(source)
        assert caught.value.hint


def test_a_secret_key_as_the_public_one_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "minisign.pub"
    path.write_text(PLAIN)

    for source in (SECRET_LINE, PLAIN, path, Path(SECRET_LINE), SECRET_LINE[:-9], f"  {PLAIN}"):
        with pytest.raises(KeyFileError) as caught:
            open_public(source)
        assert_says_nothing(caught.value, SECRET_LINE)
