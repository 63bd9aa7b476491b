"""Debian's own minisign, rsign2 where it is installed, and openssl: they must agree with us in both directions.

Every program runs in a folder of its own, as its HOME too, so that no key of this machine is seen.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from release.errors import KeyFileError
from release.keys.generate import write_key_pair
from release.keys.keyfile import SecretKey, load_secret
from release.keys.minisign import read_signature, sign_file, verify_file
from release.keys.pem import spki_pem
from release.keys.sources import open_public, open_secret
from tests.release.keys.builders import COMMENT, DATA, KEY, OTHER, PASSWORD, secret_bytes, secret_text
from tests.release.keys.tampering import ACCEPTED, REFUSED, STRICTER, Case, name_of

pytestmark = pytest.mark.tools

# rsign2 trims blanks at a comment's end, and reads longer comments than minisign does.
RSIGN_STRICTER = {"a blank at the end"}
RSIGN_LAXER = {
    "trusted comment with a blank more",
    "base64 after a blank, line 2",
    "base64 before a blank, line 4",
    "NUL in the untrusted comment",
    "untrusted comment of 1004",
    "the same with CRLF",
    "trusted comment of 8174",
    "the same with CRLF, trusted",
    "lines end in CR CR LF",
}


def _run(folder: Path, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(folder), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        argv,
        cwd=folder,
        env=env,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=60,
    )


def _ok(folder: Path, *argv: str, stdin: str = "") -> str:
    done = _run(folder, *argv, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _laid_out(folder: Path, case: Case) -> Path:
    (folder / "F").write_bytes(case.data)
    (folder / "F.minisig").write_bytes(case.signature)
    return folder


def _secret_file(folder: Path, text: str) -> None:
    path = folder / "release.key"
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def rsign() -> str:
    found = shutil.which("rsign")
    if found is None:
        pytest.fail("rsign2 is not installed: it is in no Debian release yet, only in sid", pytrace=False)
    return found


# --- they check what we sign


def test_minisign_verifies_what_we_sign(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(DATA)
    (tmp_path / "SHA256SUMS.minisig").write_text(sign_file(tmp_path / "SHA256SUMS", KEY, trusted=COMMENT))
    (tmp_path / "minisign.pub").write_text(KEY.public.file_text())

    said = _ok(tmp_path, "minisign", "-Vm", "SHA256SUMS", "-P", KEY.public.text)
    assert "Signature and comment signature verified" in said
    assert f"Trusted comment: {COMMENT}" in said
    assert _ok(tmp_path, "minisign", "-VQm", "SHA256SUMS", "-p", "minisign.pub").strip() == COMMENT
    _ok(tmp_path, "minisign", "-VHm", "SHA256SUMS")  # only the prehashed kind, and ./minisign.pub by itself


@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
def test_minisign_takes_what_we_take(tmp_path: Path, case: Case) -> None:
    _ok(_laid_out(tmp_path, case), "minisign", "-Vm", "F", "-P", case.key.text)


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_minisign_refuses_every_tampering(tmp_path: Path, case: Case) -> None:
    assert _run(_laid_out(tmp_path, case), "minisign", "-Vm", "F", "-P", case.key.text).returncode in {1, 2}


@pytest.mark.parametrize("case", STRICTER, ids=name_of)
def test_where_we_are_stricter_minisign_is_not(tmp_path: Path, case: Case) -> None:
    _ok(_laid_out(tmp_path, case), "minisign", "-Vm", "F", "-P", case.key.text)


@pytest.mark.rsign
@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
def test_rsign_takes_what_we_take(tmp_path: Path, rsign: str, case: Case) -> None:
    done = _run(_laid_out(tmp_path, case), rsign, "verify", "F", "-P", case.key.text)

    assert (done.returncode == 0) is (case.name not in RSIGN_STRICTER), done.stderr


@pytest.mark.rsign
@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_rsign_refuses_every_tampering(tmp_path: Path, rsign: str, case: Case) -> None:
    done = _run(_laid_out(tmp_path, case), rsign, "verify", "F", "-P", case.key.text)

    assert (done.returncode == 0) is (case.name in RSIGN_LAXER), done.stderr


def test_minisign_refuses_keys_that_fit_everything(tmp_path: Path) -> None:

    everything = b"\x01" + bytes(31) + bytes(32)
    (tmp_path / "F").write_bytes(DATA)
    lines = ("untrusted comment: u", b64encode(b"ED" + bytes(8) + everything).decode(), "trusted comment: T")
    (tmp_path / "F.minisig").write_text("\n".join([*lines, b64encode(everything).decode(), ""]))
    trap = b64encode(b"Ed" + bytes(8) + b"\x01" + bytes(31)).decode()

    assert _run(tmp_path, "minisign", "-Vm", "F", "-P", trap).returncode == 1
    with pytest.raises(KeyFileError, match="a trap"):
        open_public(trap)


# --- the one command for users


def _release(folder: Path) -> Path:
    """Lay out two assets, their sums, and the signature."""
    assets = {"one.tar.zst": b"one", "two.tar.zst": b"two"}
    for name, data in assets.items():
        (folder / name).write_bytes(data)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in assets.items())
    (folder / "SHA256SUMS").write_text(sums)
    (folder / "SHA256SUMS.minisig").write_text(sign_file(folder / "SHA256SUMS", KEY, trusted=COMMENT))
    return folder


def _one_command(folder: Path) -> subprocess.CompletedProcess[str]:
    command = f"minisign -Vqom SHA256SUMS -P {KEY.public.text} | sha256sum -c --ignore-missing"
    return _run(folder, "sh", "-c", command)


def test_the_one_command_verifies_what_is_there(tmp_path: Path) -> None:
    folder = _release(tmp_path)

    assert _one_command(folder).stdout == "one.tar.zst: OK\ntwo.tar.zst: OK\n"
    (folder / "two.tar.zst").unlink()
    done = _one_command(folder)
    assert (done.returncode, done.stdout) == (0, "one.tar.zst: OK\n")


def test_the_one_command_fails_closed(tmp_path: Path) -> None:
    def spoil(name: str, data: bytes | None) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        _release(folder)
        if data is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(data)
        return _one_command(folder)

    sums = hashlib.sha256(b"evil").hexdigest().encode() + b"  one.tar.zst\n"
    signature = sign_file(_release(tmp_path) / "SHA256SUMS", OTHER, trusted=COMMENT).encode()
    for name, data, says in (
        ("one.tar.zst", b"evil", "one.tar.zst: FAILED"),
        ("SHA256SUMS", sums, "no properly formatted"),
        ("SHA256SUMS", b"", "no properly formatted"),
        ("SHA256SUMS", None, "no properly formatted"),
        ("SHA256SUMS.minisig", signature, "no properly formatted"),
        ("SHA256SUMS.minisig", b"", "no properly formatted"),
        ("SHA256SUMS.minisig", None, "no properly formatted"),
    ):
        done = spoil(name, data)
        assert done.returncode != 0, name
        assert says in done.stdout + done.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (tmp_path / "SHA256SUMS", tmp_path / "SHA256SUMS.minisig"):
        shutil.copy(path, empty)
    (empty / "SHA256SUMS.minisig").write_text(sign_file(empty / "SHA256SUMS", KEY, trusted=COMMENT))
    assert _one_command(empty).returncode == 1  # no listed file is there


# --- they sign with our keys


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_minisign_signs_with_our_keys_byte_for_byte(tmp_path: Path, password: str | None) -> None:
    public = write_key_pair(tmp_path / "release.key", tmp_path / "minisign.pub", password=password)
    key = load_secret((tmp_path / "release.key").read_text(), password)
    (tmp_path / "F").write_bytes(DATA)

    argv = ("minisign", "-Sm", "F", "-s", "release.key", "-t", COMMENT, "-c", "signature of a llamatrix release")
    _ok(tmp_path, *argv, stdin="" if password is None else f"{password}\n")

    assert read_signature(tmp_path / "F.minisig") == sign_file(tmp_path / "F", key, trusted=COMMENT)
    assert verify_file(tmp_path / "F", read_signature(tmp_path / "F.minisig"), public) == COMMENT
    _ok(tmp_path, "minisign", "-Vm", "F", "-p", "minisign.pub")


def test_minisign_makes_our_public_key_of_our_secret_one(tmp_path: Path) -> None:
    _secret_file(tmp_path, KEY.file_text())

    _ok(tmp_path, "minisign", "-R", "-s", "release.key", "-p", "again.pub")

    # Its 0.11 leaves out the number's leading zero in the comment; the key itself is on the second line.
    assert (tmp_path / "again.pub").read_text().splitlines()[1] == KEY.public.text


def test_minisign_refuses_our_key_with_a_wrong_password(tmp_path: Path) -> None:
    _secret_file(tmp_path, KEY.file_text(PASSWORD))
    (tmp_path / "F").write_bytes(DATA)

    assert _run(tmp_path, "minisign", "-Sm", "F", "-s", "release.key", stdin="wrong\n").returncode != 0
    assert not (tmp_path / "F.minisig").exists()


def test_minisigns_default_comment_and_its_legacy_kind(tmp_path: Path) -> None:
    _secret_file(tmp_path, KEY.file_text())
    (tmp_path / "F").write_bytes(DATA)
    _ok(tmp_path, "minisign", "-SHm", "F", "-s", "release.key")

    comment = verify_file(tmp_path / "F", read_signature(tmp_path / "F.minisig"), KEY.public)

    assert comment.startswith("timestamp:")
    assert comment.endswith("\tfile:F\thashed")


# --- we read their keys


def test_we_read_minisigns_plain_keys(tmp_path: Path) -> None:
    _ok(tmp_path, "minisign", "-GW", "-p", "minisign.pub", "-s", "release.key")

    key = open_secret(file=tmp_path / "release.key", environ={}, ask=None)

    assert key.public == open_public(tmp_path / "minisign.pub")
    assert key.public.text == (tmp_path / "minisign.pub").read_text().splitlines()[1]


def test_we_read_minisigns_encrypted_keys(tmp_path: Path) -> None:
    # 1 GiB and about five seconds, on their side and on ours.
    _ok(tmp_path, "minisign", "-G", "-p", "minisign.pub", "-s", "release.key", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    environ = {"LLAMATRIX_SIGNING_PASSWORD": PASSWORD}

    key = open_secret(file=tmp_path / "release.key", environ=environ, ask=None)

    assert key.public == open_public(tmp_path / "minisign.pub")
    assert key.public.text == (tmp_path / "minisign.pub").read_text().splitlines()[1]


def test_minisign_does_not_look_whether_the_halves_belong_together(tmp_path: Path) -> None:
    """Why we look: with a foreign public half it signs all the same, and such signatures give the seed away."""
    text = secret_text(secret_bytes(public=OTHER.public.raw))
    _secret_file(tmp_path, text)
    (tmp_path / "F").write_bytes(DATA)

    _ok(tmp_path, "minisign", "-Sm", "F", "-s", "release.key", "-t", "T")

    with pytest.raises(KeyFileError, match="its public half does not belong"):
        load_secret(text, None)


@pytest.mark.rsign
def test_rsign_and_we_read_each_others_keys(tmp_path: Path, rsign: str) -> None:
    _ok(tmp_path, rsign, "generate", "--unencrypted", "-p", "minisign.pub", "-s", "release.key")
    theirs = load_secret((tmp_path / "release.key").read_text(), None)
    assert theirs.public == open_public(tmp_path / "minisign.pub")

    (tmp_path / "F").write_bytes(DATA)
    for name, key in (("release.key", theirs), ("ours.key", SecretKey.generate())):
        (tmp_path / name).write_text(key.file_text())
        _ok(tmp_path, rsign, "sign", "-W", "-s", name, "-t", COMMENT, "-c", "unt", "F")
        # Its signatures are randomised: equal bytes are not to be had, good ones are.
        assert verify_file(tmp_path / "F", read_signature(tmp_path / "F.minisig"), key.public) == COMMENT
        (tmp_path / "F.minisig").unlink()


# --- other tools


def test_openssl_verifies_our_raw_signatures(tmp_path: Path) -> None:
    (tmp_path / "F").write_bytes(DATA)
    (tmp_path / "F.sig").write_bytes(KEY.sign(DATA))
    (tmp_path / "key.pem").write_bytes(spki_pem(KEY.public))
    argv = ("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-sigfile", "F.sig", "-in", "F")

    assert "Signature Verified Successfully" in _ok(tmp_path, *argv)
    (tmp_path / "F").write_bytes(DATA + b"!")
    assert _run(tmp_path, *argv).returncode != 0
