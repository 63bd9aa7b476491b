"""The program is run without a shell, without secrets, within a time limit, and any end but 0 is a no."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from release.verify.program import Opinion, find_minisign

KEY = "RWQ-key"


def program(folder: Path, body: str, *, version: str = 'echo "minisign 0.99"') -> str:
    path = folder / "minisign"
    path.write_text(f'#!/bin/sh\nif [ "$1" = "-v" ]; then {version}; exit 0; fi\n{body}\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def opinion(folder: Path, body: str, *, seconds: float = 20) -> Opinion:
    found = find_minisign(program(folder, body), seconds=seconds)
    assert found is not None
    return found.verify(folder / "SHA256SUMS", folder / "SHA256SUMS.minisig", KEY)


@pytest.mark.process
def test_it_is_asked_with_the_given_key(tmp_path: Path) -> None:
    assert opinion(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/asked') == Opinion(agrees=True)

    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert asked == ["-V", "-m", f"{tmp_path}/SHA256SUMS", "-x", f"{tmp_path}/SHA256SUMS.minisig", "-P", KEY]


@pytest.mark.process
def test_no_secret_of_the_surroundings_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMATRIX_KEY", "secret")

    assert opinion(tmp_path, f"env > {tmp_path}/env").agrees

    environment = (tmp_path / "env").read_text(encoding="utf-8")
    assert "secret" not in environment
    assert "LC_ALL=C" in environment


@pytest.mark.process
def test_a_no_is_a_no_and_says_why(tmp_path: Path) -> None:
    answer = opinion(tmp_path, 'printf "Signature verification\\033[2J failed\\n" >&2; exit 1')

    assert answer == Opinion(agrees=False, reason="exit code 1: Signature verification failed")


@pytest.mark.process
def test_a_silent_no(tmp_path: Path) -> None:
    assert opinion(tmp_path, "exit 3").reason == "exit code 3: no reason"


@pytest.mark.process
def test_it_may_not_hang(tmp_path: Path) -> None:
    answer = opinion(tmp_path, "exec sleep 60", seconds=0.3)

    assert answer == Opinion(agrees=False, reason="it did not end within 0.3 s")


@pytest.mark.process
def test_what_is_not_minisign_is_not_asked(tmp_path: Path) -> None:
    assert find_minisign(program(tmp_path, "exit 0", version="echo something else")) is None


def test_it_is_not_installed(tmp_path: Path) -> None:
    assert find_minisign(str(tmp_path / "none")) is None


@pytest.mark.process
def test_it_cannot_be_started(tmp_path: Path) -> None:
    found = find_minisign(program(tmp_path, "exit 0"))
    assert found is not None
    (tmp_path / "minisign").write_bytes(b"\x7fELF")

    answer = found.verify(tmp_path / "a", tmp_path / "b", KEY)

    assert not answer.agrees
    assert answer.reason is not None
    assert answer.reason.startswith("it cannot be started: ")


@pytest.mark.tools
def test_the_real_one(tmp_path: Path) -> None:
    secret, public, file = tmp_path / "k", tmp_path / "k.pub", tmp_path / "SHA256SUMS"
    file.write_bytes(b"00  a\n")
    subprocess.run(["minisign", "-GW", "-s", secret, "-p", public], check=True, capture_output=True)
    subprocess.run(["minisign", "-S", "-s", secret, "-m", file], check=True, capture_output=True)
    key = public.read_text(encoding="ascii").splitlines()[1]
    signature = tmp_path / "SHA256SUMS.minisig"

    found = find_minisign()

    assert found is not None
    assert found.version.startswith("0.")
    assert found.verify(file, signature, key) == Opinion(agrees=True)
    file.write_bytes(b"00  b\n")
    refused = found.verify(file, signature, key)
    assert not refused.agrees
    assert refused.reason is not None
    assert "Signature verification failed" in refused.reason
