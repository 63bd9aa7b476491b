from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from release.cli import main
from release.commands.keys import signing_key
from release.keys.sources import open_public, open_secret


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LLAMATRIX_SIGNING_KEY", "LLAMATRIX_SIGNING_PASSWORD", "LLAMATRIX_PUBLIC_KEY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)


def test_a_key_pair_is_made_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--no-password"]) == 0

    public = open_public(tmp_path / "minisign.pub")
    assert open_secret(file=tmp_path / "minisign.key", environ={}, ask=None).public == public
    assert public.text in capsys.readouterr().out


def test_a_key_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keygen", "--no-password"])
    before = (tmp_path / "minisign.key").read_bytes()

    assert main(["keygen", "--no-password"]) == 21

    assert "never overwritten" in capsys.readouterr().err
    assert (tmp_path / "minisign.key").read_bytes() == before


def test_a_key_without_a_password_must_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen"]) == 2

    assert "no terminal to ask on" in capsys.readouterr().err


def test_the_environments_password_encrypts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMATRIX_SIGNING_PASSWORD", "pass word")

    assert main(["keygen"]) == 0

    key = open_secret(file=tmp_path / "minisign.key", environ={"LLAMATRIX_SIGNING_PASSWORD": "pass word"}, ask=None)
    assert key.public == open_public(tmp_path / "minisign.pub")


def test_a_password_is_typed_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed = iter(["one", "two"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(typed))

    assert main(["keygen"]) == 2

    shown = capsys.readouterr()
    assert "not the same twice" in shown.err
    assert "one" not in shown.out


def test_a_public_key_as_minisign_and_as_cosign_want_it(capsys: pytest.CaptureFixture[str]) -> None:
    main(["keygen", "--no-password"])
    capsys.readouterr()

    assert main(["pubkey"]) == 0
    text = capsys.readouterr().out.strip()
    assert main(["pubkey", "--public-key", text, "--pem"]) == 0

    assert len(text) == 56
    assert capsys.readouterr().out.startswith("-----BEGIN PUBLIC KEY-----\n")


def test_without_a_public_key_it_says_where_to_take_one_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pubkey"]) == 21

    assert "somewhere else than the release" in capsys.readouterr().err


def test_a_rotation_is_written_and_nothing_secret_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keygen", "--no-password"])
    main(["keygen", "--no-password", "--key", "new.key", "--public-key", "new.pub"])

    code = main(["rotate", "--key", "minisign.key", "--new", "new.pub", "--repo", "o/r", "--reason", "yearly"])

    assert code == 0
    assert len(list((tmp_path / "keys").glob("001-*.json"))) == 1
    secret = (tmp_path / "minisign.key").read_text().splitlines()[1]
    assert secret not in capsys.readouterr().out


def test_the_signing_key_leaves_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    main(["keygen", "--no-password"])
    monkeypatch.setenv("LLAMATRIX_SIGNING_KEY", (tmp_path / "minisign.key").read_text())
    monkeypatch.setenv("LLAMATRIX_SIGNING_PASSWORD", "unused")

    key = signing_key(None)

    assert key.public == open_public(tmp_path / "minisign.pub")
    assert not {"LLAMATRIX_SIGNING_KEY", "LLAMATRIX_SIGNING_PASSWORD"} & set(os.environ)
