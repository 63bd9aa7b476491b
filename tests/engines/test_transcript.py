from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.transcript import Transcript


def _lines(*pieces: bytes, log_limit: int = 1 << 20, line_limit: int = 100) -> tuple[list[str], str]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "deep", "log.txt")
        lines: list[str] = []
        with Transcript(log, lines.append, log_limit=log_limit, line_limit=line_limit) as transcript:
            for piece in pieces:
                transcript.feed(piece)
        return lines, log.read_bytes().decode("utf-8")


def test_lines_are_joined_across_pieces_and_the_last_unfinished_one_counts() -> None:
    lines, log = _lines(b"one\ntw", b"o\n", b"three")
    assert lines == ["one", "two", "three"]
    assert log == "one\ntwo\nthree\n"


def test_only_what_a_terminal_would_show_of_a_progress_bar_is_kept() -> None:
    assert _lines(b"10%\r20", b"%\r", b"100%\nnext\r\n", b"x\r", b"\ny\r", b"z\n")[0] == ["100%", "next", "x", "z"]


def test_undecodable_bytes_and_escapes_reach_nobody() -> None:
    assert _lines(b"\xff\xfe \x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07\ttab\n")[0] == ["�� red bell�\ttab"]


def test_an_overlong_line_is_cut_and_says_so() -> None:
    lines, _ = _lines(b"a" * 60, b"a" * 60, b"a" * 1000 + b"\nshort\n")
    assert lines == ["a" * 100 + " [cut 1020 bytes]", "short"]


def test_the_log_stays_bounded_and_keeps_its_end() -> None:
    lines, log = _lines(*(b"line %06d\n" % number for number in range(1000)), log_limit=2000)
    assert len(lines) == 1000
    assert len(log) <= 2000
    assert log.startswith("[the log was too long: about ")
    assert log.endswith("line 000998\nline 000999\n")


def test_tail_last_and_note(tmp_path: Path) -> None:
    with Transcript(tmp_path / "log", lambda _: None) as transcript:
        transcript.feed(b"".join(b"%d\n" % number for number in range(100)) + b"unfinished")
        transcript.note("ours")
        transcript.feed(b"  \n")
        assert transcript.last == "ours"
        assert transcript.tail[0] == "63"
        assert transcript.tail[-3:] == ("unfinished", "ours", "  ")
    assert (tmp_path / "log").read_text(encoding="utf-8").endswith("99\nunfinished\nours\n  \n")


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_any_bytes_make_bounded_printable_lines(pieces: list[bytes]) -> None:
    lines, log = _lines(*pieces, log_limit=4000)
    assert len(log.encode()) <= 4000
    assert all(len(line) <= 130 for line in lines)
    assert not any(character in line for line in lines for character in "\n\r\x1b\x00")


@given(st.binary(max_size=500), st.integers(1, 40))
def test_how_output_is_sliced_changes_nothing(data: bytes, size: int) -> None:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert _lines(*pieces, line_limit=10_000) == _lines(data, line_limit=10_000)
