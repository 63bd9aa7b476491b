from __future__ import annotations

import hashlib
import shutil
import string
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import SealError, VerifyError
from release.sums import MAX_SUMS_BYTES, parse_sums, write_sums

A = "a" * 64
B = "b" * 64


@dataclass(frozen=True)
class Item:
    name: str
    sha256: str


def refusal(data: bytes) -> VerifyError:
    with pytest.raises(VerifyError) as caught:
        parse_sums(data, where="SHA256SUMS")
    assert caught.value.where == "SHA256SUMS"
    assert caught.value.hint
    return caught.value


def test_lines_are_sorted_by_name_and_end_with_a_line_feed() -> None:
    expected = f"{B}  a.tar.zst\n{A}  b.json\n".encode()

    assert expected == write_sums([Item("b.json", A), Item("a.tar.zst", B)])


_first = st.sampled_from(string.ascii_letters + string.digits + "_")
_rest = st.text(string.ascii_letters + string.digits + "._-", max_size=40)
_names = st.builds(str.__add__, _first, _rest)
_digests = st.binary(min_size=32, max_size=32).filter(any).map(bytes.hex)


@given(st.dictionaries(_names, _digests, min_size=1, max_size=30))
def test_what_is_written_reads_back_equal(digests: dict[str, str]) -> None:
    data = write_sums(Item(name, digest) for name, digest in digests.items())

    assert digests == parse_sums(data, where="SHA256SUMS")


@given(st.binary(max_size=400) | st.text("ab01 \n\r\\*.\t", max_size=400).map(str.encode))
def test_whatever_is_read_is_refused_in_words_or_is_what_we_would_write(data: bytes) -> None:
    try:
        digests = parse_sums(data, where="SHA256SUMS")
    except VerifyError:
        return
    assert data == write_sums(Item(name, digest) for name, digest in digests.items())


@given(st.integers(0, 145), st.integers(1, 255))
def test_any_one_changed_byte_is_refused_or_changes_what_is_read(position: int, flip: int) -> None:
    data = bytearray(write_sums([Item("aaa.zst", A), Item("bbb.zst", B)]))
    data[position] ^= flip

    try:
        read = parse_sums(bytes(data), where="SHA256SUMS")
    except VerifyError:
        return
    assert read != {"aaa.zst": A, "bbb.zst": B}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"\n", "line 1 is no digest"),
        (f"{A}  a".encode(), "its last line does not end"),
        (f"{A}  a\n\n".encode(), "line 2 is no digest"),
        (f"{A}  a\r\n".encode(), "line 1 is no digest"),
        (f"{A} *a\n".encode(), "line 1 is no digest"),
        (f"{A} a\n".encode(), "line 1 is no digest"),
        (f"\\{A}  a\n".encode(), "line 1 is no digest"),
        (f"SHA256 (a) = {A}\n".encode(), "line 1 is no digest"),
        (f"{A.upper()}  a\n".encode(), "line 1 is no digest"),
        (f"{A[:-1]}  a\n".encode(), "line 1 is no digest"),
        (f"{A}  ../a\n".encode(), "line 1 is no digest"),
        (f"{A}  /a\n".encode(), "line 1 is no digest"),
        (f"{A}  .\n".encode(), "line 1 is no digest"),
        (f"{A}  -\n".encode(), "line 1 is no digest"),
        (f"{A}  a b\n".encode(), "line 1 is no digest"),
        (f"{A}  a\x0cb\n".encode(), "line 1 is no digest"),
        (f"{A}  \u0430\n".encode(), "line 1 is no digest"),
        (f"{A}  {'a' * 256}\n".encode(), "line 1 is no digest"),
        (f"\ufeff{A}  a\n".encode(), "line 1 is no digest"),
        (f"{A}  a\n{B}  a\n".encode(), "line 2 names a a second time"),
        (f"{A}  b\n{B}  a\n".encode(), "line 2 is out of order: a after b"),
        (f"{'0' * 64}  a\n".encode(), "line 1 gives a an all-zero digest"),
    ],
)
def test_another_form_is_refused(data: bytes, said: str) -> None:
    assert said in str(refusal(data))


def test_a_huge_file_is_refused_unread() -> None:
    assert "at most 1048576 are read" in str(refusal(b"a" * (MAX_SUMS_BYTES + 1)))


def test_every_wrong_line_is_listed_up_to_a_limit() -> None:
    assert len(refusal(f"x\n{A}  a\ny\n".encode()).problems) == 2
    endless = refusal(b"\n" * MAX_SUMS_BYTES)

    assert len(endless.problems) == 11
    assert endless.problems[-1] == "reading stopped here"


def test_hostile_text_is_shown_escaped_and_short() -> None:
    text = str(refusal(b"\x1b[2J\xff" + b"x" * 1000 + b"\n"))

    assert "\x1b" not in text
    assert len(text) < 200


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([], "there is nothing to sum up"),
        ([Item("a b", A)], "the name holds something else"),
        ([Item("../a", A)], "the name holds something else"),
        ([Item(".a", A)], "the name holds something else"),
        ([Item("a" * 256, A)], "the name holds something else"),
        ([Item("a", "A" * 64)], "is no SHA-256 digest"),
        ([Item("a", "0" * 64)], "an all-zero digest is a placeholder"),
        ([Item("a", A), Item("a", B)], "two assets have this name"),
    ],
)
def test_what_cannot_stand_in_the_file_is_not_written(items: list[Item], said: str) -> None:
    with pytest.raises(SealError, match=said) as caught:
        write_sums(items)
    assert caught.value.where
    assert caught.value.hint


@pytest.mark.process
def test_the_real_sha256sum_agrees(tmp_path: Path) -> None:
    program = shutil.which("sha256sum")
    assert program is not None
    items = []
    for name in ("a.tar.zst", "_b", "C-1.json"):
        (tmp_path / name).write_bytes(name.encode())
        items.append(Item(name, hashlib.sha256(name.encode()).hexdigest()))
    data = write_sums(items)
    (tmp_path / "SHA256SUMS").write_bytes(data)

    def check(*options: str) -> subprocess.CompletedProcess[str]:
        argv = [program or "", "-c", "--strict", *options, "SHA256SUMS"]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    listed = subprocess.run(
        [program, "--", *sorted(i.name for i in items)], cwd=tmp_path, capture_output=True, check=True
    )
    assert data == listed.stdout
    good = check()
    assert (good.returncode, good.stdout) == (0, "C-1.json: OK\n_b: OK\na.tar.zst: OK\n")

    (tmp_path / "_b").unlink()
    assert check("--ignore-missing").returncode == 0
    assert check().returncode == 1

    (tmp_path / "a.tar.zst").write_bytes(b"changed")
    changed = check("--ignore-missing")
    assert changed.returncode == 1
    assert "a.tar.zst: FAILED" in changed.stdout
