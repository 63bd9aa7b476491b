from __future__ import annotations

from pathlib import Path

import pytest

from release.cli import main, parser
from release.manifest.schema import render

COMMANDS = ["publish", "preflight", "seal", "verify", "keygen", "rotate", "pubkey", "schema"]


def test_the_commands_are_these() -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["--help"])

    assert caught.value.code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([command, "--help"])

    assert caught.value.code == 0
    assert "--debug" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["publish"], ["verify"], ["publish", "--tag", "v1.0.0", "--token", "x"]]
)
def test_what_cannot_be_understood_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2

    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("secret", ["--password", "--token", "--signing-key"])
def test_no_secret_is_taken_from_the_command_line(secret: str) -> None:
    for command in parser()._subparsers._group_actions[0].choices.values():  # type: ignore[union-attr]
        assert secret not in command._option_string_actions


def test_the_schema_is_written_where_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["schema"]) == 0

    assert (tmp_path / "schema" / "manifest.schema.json").read_text(encoding="utf-8") == render()
    assert "manifest.schema.json" in capsys.readouterr().out
