"""Our own signatures, byte for byte, and every way in which one can be wrong."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from release.errors import SignatureError
from release.keys.minisign import Signature, read_signature, sign_bytes, sign_file, verify_bytes, verify_file
from tests.release.keys.builders import COMMENT, DATA, KEY
from tests.release.keys.tampering import ACCEPTED, REFUSED, STRICTER, Case, name_of

# What Debian's minisign 0.11 writes for the same key, file and comments (test_tools.py compares again).
GOLDEN = """\
untrusted comment: signature of a llamatrix release
RUQAAQIDBAUGBwrA9RTxXEVeRceEigHsQ0a07YVxW5cGWvQgpn0B1ZsaITyhB7Y0EccV0zYWPDBEvwiHCC9IJmxVq0y9D/ixbw8=
trusted comment: repo=o/r tag=v1
fGIm4VeKo3VirspHO4Aj/V54lb8y+R70FsAESME3mqLm5gIp9l3OP099Mk5IS7NopDNKLC5FXNsI01HygfCIAQ==
"""


def _file(folder: Path, data: bytes = DATA) -> Path:
    path = folder / "SHA256SUMS"
    path.write_bytes(data)
    return path


def _signature(folder: Path, data: bytes) -> Path:
    path = folder / "SHA256SUMS.minisig"
    path.write_bytes(data)
    return path


def test_the_bytes_are_known(tmp_path: Path) -> None:
    path = _file(tmp_path)

    assert sign_file(path, KEY, trusted=COMMENT) == GOLDEN
    assert sign_bytes(DATA, KEY, trusted=COMMENT) == GOLDEN
    assert verify_file(path, GOLDEN, KEY.public) == COMMENT
    assert verify_bytes(DATA, GOLDEN, KEY.public) == COMMENT


def test_another_untrusted_comment_changes_the_first_line_only() -> None:
    mine = sign_bytes(DATA, KEY, trusted=COMMENT, untrusted="mine").splitlines()

    assert mine[0] == "untrusted comment: mine"
    assert mine[1:] == GOLDEN.splitlines()[1:]


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as target:
        target.truncate(48 * 1024 * 1024)
    tracemalloc.start()
    try:
        signature = sign_file(path, KEY, trusted=COMMENT)
        verify_file(path, signature, KEY.public)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 * 1024 * 1024


@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
def test_what_minisign_takes_is_taken(tmp_path: Path, case: Case) -> None:
    path = _file(tmp_path, case.data)
    text = read_signature(_signature(tmp_path, case.signature))

    trusted = case.signature.split(b"\n")[2].rstrip(b"\r").decode().removeprefix("trusted comment: ")
    assert verify_file(path, text, case.key) == trusted
    assert verify_bytes(case.data, text, case.key) == trusted


@pytest.mark.parametrize("case", [*REFUSED, *STRICTER], ids=name_of)
def test_every_tampering_is_refused(tmp_path: Path, case: Case) -> None:
    path = _file(tmp_path, case.data)
    signature = _signature(tmp_path, case.signature)

    with pytest.raises(SignatureError) as caught:
        verify_file(path, read_signature(signature), case.key)

    assert case.says in caught.value.what
    assert caught.value.where is not None
    assert caught.value.hint


@pytest.mark.parametrize("line", [1, 3])
def test_every_single_character_of_the_signatures_counts(line: int) -> None:
    parts = GOLDEN.split("\n")
    for at, char in enumerate(parts[line]):
        swapped = "A" if char != "A" else "B"
        broken = [*parts]
        broken[line] = parts[line][:at] + swapped + parts[line][at + 1 :]
        with pytest.raises(SignatureError):
            verify_bytes(DATA, "\n".join(broken), KEY.public)


def test_a_wrong_key_number_is_found_before_the_file_is_read(tmp_path: Path) -> None:
    wrong = next(case for case in REFUSED if case.name == "key number in the signature changed")

    with pytest.raises(SignatureError, match=r"SHA256SUMS\.minisig: signed by key .*, not by 0706050403020100"):
        verify_file(tmp_path / "SHA256SUMS", wrong.signature.decode(), KEY.public)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="the file cannot be read: No such file"):
        verify_file(tmp_path / "SHA256SUMS", GOLDEN, KEY.public)
    with pytest.raises(SignatureError, match="the file cannot be read: No such file"):
        sign_file(tmp_path / "SHA256SUMS", KEY, trusted=COMMENT)
    with pytest.raises(SignatureError, match="the signature cannot be read: No such file"):
        read_signature(tmp_path / "SHA256SUMS.minisig")


def test_a_pipe_in_the_files_place_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(SignatureError, match="not a regular file"):
        verify_file(tmp_path / "pipe", GOLDEN, KEY.public)
    with pytest.raises(SignatureError, match="not a regular file"):
        read_signature(tmp_path / "pipe")
    with pytest.raises(SignatureError, match="not a regular file"):
        read_signature(tmp_path)


def test_a_signature_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "huge.minisig"
    with path.open("wb") as target:
        target.truncate(1 << 30)

    with pytest.raises(SignatureError, match="larger than 65536 bytes"):
        read_signature(path)


def test_line_ends_are_not_translated(tmp_path: Path) -> None:
    # Path.read_text() would make four lines of this, and minisign sees one.
    path = _signature(tmp_path, GOLDEN.replace("\n", "\r").encode())

    with pytest.raises(SignatureError, match="1 of 4 lines"):
        Signature.parse(read_signature(path))


@pytest.mark.parametrize("comment", ["", " ", "a ", "a\t", " a", "a\tb", "a\nb", "a\rb", "\x1b[31m", "\u00fc", "a\0b"])
def test_comments_that_another_reader_would_read_differently_are_not_written(comment: str) -> None:
    with pytest.raises(SignatureError, match="the trusted comment is not printable ASCII"):
        sign_bytes(DATA, KEY, trusted=comment)
    with pytest.raises(SignatureError, match="the untrusted comment is not printable ASCII"):
        sign_bytes(DATA, KEY, trusted="T", untrusted=comment)


def test_comments_are_as_long_as_minisign_reads() -> None:
    longest = sign_bytes(DATA, KEY, trusted="t" * 8173, untrusted="u" * 1003)

    assert verify_bytes(DATA, longest, KEY.public) == "t" * 8173
    with pytest.raises(SignatureError, match="the trusted comment has 8174 characters, and minisign reads 8173"):
        sign_bytes(DATA, KEY, trusted="t" * 8174)
    with pytest.raises(SignatureError, match="the untrusted comment has 1004 characters, and minisign reads 1003"):
        sign_bytes(DATA, KEY, trusted="t", untrusted="u" * 1004)


def test_text_that_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(SignatureError, match="too long or not text"):
        verify_bytes(DATA, GOLDEN.replace("v1", "v\udc80"), KEY.public)
