"""The comment that binds a signature to its release."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import SignatureError
from release.keys.minisign import sign_bytes, verify_bytes
from release.keys.trusted import Trusted, parse
from tests.release.keys.builders import DATA, KEY

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "ab" * 32
TRUSTED = Trusted(
    repo="o/r", tag="v1.2.3", commit=COMMIT, manifest_sha256=DIGEST, file="SHA256SUMS", epoch=1_700_000_000
)
TEXT = f"repo=o/r tag=v1.2.3 commit={COMMIT} manifest=sha256:{DIGEST} file:SHA256SUMS ts=1700000000"


def test_the_text_is_known() -> None:
    assert TRUSTED.text == TEXT
    assert parse(TEXT) == TRUSTED
    assert parse(verify_bytes(DATA, sign_bytes(DATA, KEY, trusted=TEXT), KEY.public)) == TRUSTED


NAMES = "AZaz09"


@given(
    st.builds(
        Trusted,
        repo=st.builds(
            "{}/{}".format, st.text(NAMES + "-", max_size=38).map("o".__add__), st.text(NAMES + "._-", min_size=1)
        ),
        tag=st.text(NAMES + "+=_-", max_size=199).map("v".__add__),
        commit=st.binary(min_size=20, max_size=20).map(bytes.hex),
        manifest_sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
        file=st.text(NAMES + "._+-", max_size=254).map("F".__add__),
        epoch=st.integers(0, 999_999_999_999),
    )
)
def test_what_is_composed_is_parsed(trusted: Trusted) -> None:
    assert parse(trusted.text) == trusted
    assert len(trusted.text) < 8000  # minisign's limit is 8173


@given(st.text(alphabet="repotagcmnifs=:/ 0123456789abcdef\n\t\u0661", max_size=300) | st.text(max_size=300))
def test_nothing_else_is_parsed(text: str) -> None:
    try:
        trusted = parse(text)
    except SignatureError:
        return
    assert trusted.text == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has 1 fields instead of 6"),
        (TEXT + " ", "has 7 fields instead of 6"),
        (TEXT + " more=1", "has 7 fields instead of 6"),
        (TEXT.replace(" ", "  ", 1), "has 7 fields instead of 6"),
        (TEXT.replace(" ", "\t"), "has 1 fields instead of 6"),
        (" ".join(TEXT.split(" ")[:5]), "has 5 fields instead of 6"),
        (" ".join(reversed(TEXT.split(" "))), "no 'repo=' where it belongs"),
        (TEXT.replace("tag=", "repo="), "no 'tag=' where it belongs"),
        (TEXT.replace("sha256:", "sha512:"), "no 'manifest=sha256:' where it belongs"),
        (TEXT.replace("file:", "file="), "no 'file:' where it belongs"),
        (TEXT.replace("o/r", "o"), "repo does not have its form"),
        (TEXT.replace("o/r", "o/r/x"), "repo does not have its form"),
        (TEXT.replace("o/r", "-o/r"), "repo does not have its form"),
        (TEXT.replace(COMMIT, COMMIT[:-1]), "commit does not have its form"),
        (TEXT.replace(COMMIT, COMMIT.upper()), "commit does not have its form"),
        (TEXT.replace(DIGEST, DIGEST + "a"), "manifest sha256 does not have its form"),
        (TEXT.replace("SHA256SUMS", "../SHA256SUMS"), "file does not have its form"),
        (TEXT.replace("SHA256SUMS", ""), "file does not have its form"),
        (TEXT.replace("SHA256SUMS", ".hidden"), "file does not have its form"),
        (TEXT.replace("ts=1", "ts=01"), "epoch does not have its form"),
        (TEXT.replace("ts=1", "ts=+1"), "epoch does not have its form"),
        (TEXT.replace("ts=1", "ts=-1"), "epoch does not have its form"),
        (TEXT.replace("ts=1", "ts=\u0661"), "epoch does not have its form"),
        (TEXT + "\n", "epoch does not have its form"),
        (TEXT + "00000000000", "epoch does not have its form"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(SignatureError, match=says) as caught:
        parse(text, where="SHA256SUMS.minisig")

    assert caught.value.where == "SHA256SUMS.minisig"
    assert caught.value.hint


BAD_TAGS = [
    "-",
    "-v1",
    ".v1",
    "/v1",
    "v1/",
    "v1.",
    "v1.lock",
    "v..1",
    "v//1",
    "v/.1",
    "v@{1",
    "v~1",
    "v^1",
    "v:1",
    "v?",
    "v*",
    "v[",
    "v\\1",
]


@pytest.mark.parametrize("tag", ["", *BAD_TAGS, "v 1", "v\t1", "v1\n", "v\u00fc", "v" * 201])
def test_tags_that_git_or_a_reader_would_not_take(tag: str) -> None:
    with pytest.raises(SignatureError, match="tag does not have its form") as caught:
        _ = replace(TRUSTED, tag=tag).text
    assert "printable ASCII without blanks" in str(caught.value.hint)


@pytest.mark.parametrize("tag", ["v1", "1.0.0-rc.1+build", "release/2031-12", "a=b", "@", "v" * 200])
def test_tags_that_are_taken(tag: str) -> None:
    assert parse(replace(TRUSTED, tag=tag).text).tag == tag


def test_a_time_before_1970_is_not_composed() -> None:
    with pytest.raises(SignatureError, match="epoch does not have its form"):
        _ = replace(TRUSTED, epoch=-1).text


def test_every_difference_is_given() -> None:
    assert TRUSTED.check() == ()
    assert TRUSTED.check(repo="o/r", tag="v1.2.3", commit=COMMIT, manifest_sha256=DIGEST, file="SHA256SUMS") == ()
    assert TRUSTED.check(epoch=1_700_000_000) == ()
    assert TRUSTED.check(
        repo="o/other", tag="v2", commit="f" * 40, manifest_sha256="0" * 64, file="manifest.json", epoch=0
    ) == (
        "the signature is for repository o/r, not for o/other",
        "the signature is for tag v1.2.3, not for v2",
        f"the signature is for commit {COMMIT}, not for {'f' * 40}",
        f"the signature is for manifest's SHA-256 {DIGEST}, not for {'0' * 64}",
        "the signature is for file SHA256SUMS, not for manifest.json",
        "the signature is for time 1700000000, not for 0",
    )


def test_an_empty_expectation_is_one() -> None:
    assert TRUSTED.check(tag="") == ("the signature is for tag v1.2.3, not for ",)
