"""YAML in, data and positions out, or one MatrixError."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import MatrixError
from pipeline.matrix import composer
from pipeline.matrix.document import MAX_BYTES, parse, read

BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))

REFUSED = {
    "syntax": ("a: b: c\n", "1:5", "not valid YAML: mapping values are not allowed"),
    "unclosed": ("a: [1,\n", "2:1", "not valid YAML"),
    "tab": ("a:\n\tb: 1\n", "2:1", "not valid YAML"),
    "control": ("a: 1\nb: \x07\n", "2:4", "the character U+0007 cannot stand in YAML"),
    "surrogate": ("a: '\ud800'", "1:5", "the character U+D800"),
    "empty": ("", "1:1", "the file is empty"),
    "comment-only": ("# nothing\n", "1:1", "the file is empty"),
    "duplicate": ("a: 1\nb: 2\na: 3\n", "3:1", "the key 'a' stands here twice, first in line 1"),
    "duplicate-deep": ("a: {x: 1, x: 2}\n", "1:11", "the key 'x' stands here twice"),
    "number-key": ("a:\n  1: x\n", "2:3", "a key must be text, but YAML reads '1' as something else"),
    "null-key": ("~: x\n", "1:1", "a key must be text"),
    "boolean-key": ("true: x\n", "1:1", "a key must be text"),
    "list-key": ("? [a]\n: x\n", "1:3", "a key must be text"),
    "alias-key": ("a: &x b\n*x : c\n", "2:1", "a key must be text"),
    "merge": ("a: &x {b: 1}\nc:\n  <<: *x\n", "3:3", "merge keys are not supported"),
    "merge-value": ("a: <<\n", "1:4", "YAML reads '<<' as a merge key"),
    "default-value": ("a: =\n", "1:4", "YAML reads '=' as a default value key"),
    "two-documents": ("a: 1\n---\nb: 2\n", "2:1", "a second document starts here"),
    "recursive-list": ("a: &x [1, *x]\n", "1:11", "'*x' stands inside its own anchor"),
    "recursive-map": ("&x a: 1\nb: &y {c: *y}\n", "2:11", "'*y' stands inside its own anchor"),
    "unknown-alias": ("a: *nobody\n", "1:4", "nothing is anchored as '&nobody' above this line"),
    "anchor-twice": ("a: &x 1\nb: &x 2\n", "2:4", "the anchor '&x' is used twice"),
    "bomb": (BOMB, "6:50", "more than 200000 values with every alias expanded"),
    "deep": ("[" * 60 + "]" * 60, "1:51", "nested more than 50 levels deep"),
    "deep-alias": (f"a: &x {'[' * 30}{']' * 30}\nb: {'[' * 30}*x{']' * 30}\n", "2:34", "nested more than 50 levels"),
    "python-tag": (
        "a: !!python/object/apply:os.system [x]\n",
        "1:4",
        "the tag '!!python/object/apply:os.system' is not",
    ),
    "string-tag": ("a: !!str 1\n", "1:4", "the tag '!!str' is not supported"),
    "local-tag": ("a: !mine {}\n", "1:4", "the tag '!mine' is not supported"),
    "bare-tag": ("a: ! x\n", "1:4", "the tag '!' is not supported"),
    "date": ("a: 2026-12-31\n", "1:4", "YAML reads '2026-12-31' as a date"),
    "octal": ("a: 0777\n", "1:4", "YAML may read '0777' as another number"),
    "hexadecimal": ("a: 0x10\n", "1:4", "YAML may read '0x10' as another number"),
    "base-60": ("a: 1:30\n", "1:4", "YAML may read '1:30' as another number"),
    "base-60-fraction": ("a: 1:30.5\n", "1:4", "YAML may read '1:30.5' as a number that it does not look like"),
    "underscore": ("a: 1_000\n", "1:4", "YAML may read '1_000' as another number"),
    "long-number": (f"a: {'9' * 5000}\n", "1:4", "as another number (octal, hexadecimal, base 60, or too long)"),
    "huge-fraction": ("a: 1.0e+999\n", "1:4", "YAML may read '1.0e+999' as a number that it does not look like"),
    "nan": ("a: .nan\n", "1:4", "YAML may read '.nan' as a number that it does not look like"),
    "yes": ("a: yes\n", "1:4", "'yes' is a boolean in some versions of YAML and text in others"),
    "ON": ("a: ON\n", "1:4", "'ON' is a boolean in some versions of YAML and text in others"),
}


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds with libyaml and without it."""
    monkeypatch.setattr(composer, "_LOADER", getattr(yaml, request.param))


@pytest.mark.parametrize(("text", "place", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, place: str, says: str) -> None:
    with pytest.raises(MatrixError) as caught:
        parse(text)
    assert caught.value.where == f"matrix.yaml:{place}"
    assert says in caught.value.what or says == "not valid YAML: mapping values are not allowed"
    assert "\n" not in f"{caught.value} {caught.value.hint}"


def test_what_every_reader_agrees_on_gets_through() -> None:
    text = """\
text: plain words
number-like: 1.2.3
quoted: "2.28"
number: 42
negative: -7
fraction: 0.5
scientific: 1.5e+3
yes-no: [true, false]
nothing: [null, ~, ]
list: [a, [b]]
folded: >-
  two
  lines
"<<": text
empty:
"""
    assert parse(text).data == {
        "text": "plain words",
        "number-like": "1.2.3",
        "quoted": "2.28",
        "number": 42,
        "negative": -7,
        "fraction": 0.5,
        "scientific": 1500.0,
        "yes-no": [True, False],
        "nothing": [None, None],
        "list": ["a", ["b"]],
        "folded": "two lines",
        "<<": "text",
        "empty": None,
    }


def test_positions_of_keys_values_and_items() -> None:
    document = parse("a: 1\nb:\n  cé: [x,  {d: 'y'}]\n")
    assert document.where() == "matrix.yaml:1:1"
    assert document.where("a") == "matrix.yaml:1:4"
    assert document.where_key("a") == "matrix.yaml:1:1"
    assert document.where("b") == "matrix.yaml:3:3"
    assert document.where_key("b", "cé") == "matrix.yaml:3:3"
    assert document.where("b", "cé", 1, "d") == "matrix.yaml:3:16"
    assert document.where_key("b", "cé", 1, "d") == "matrix.yaml:3:13"
    assert document.where_key("b", "cé", 1) == "matrix.yaml:3:12"


def test_a_path_that_is_not_there_gives_the_nearest_place() -> None:
    document = parse("a: {b: [1]}\n")
    assert document.where("a", "nope", "deeper") == document.where("a")
    assert document.where_key("a", "nope") == document.where("a")
    assert document.where("a", "b", 7) == document.where("a", "b")
    assert document.where_key() == "matrix.yaml:1:1"


def test_an_alias_stands_where_it_is_used_and_its_content_where_it_was_written() -> None:
    document = parse("a: &x {k: v}\nb: *x\n")
    assert document.data == {"a": {"k": "v"}, "b": {"k": "v"}}
    assert document.where("b") == "matrix.yaml:2:4"
    assert document.where("b", "k") == "matrix.yaml:1:11"


def test_a_byte_order_mark_does_not_shift_columns() -> None:
    assert parse(b"\xef\xbb\xbfa: b\n").where("a") == "matrix.yaml:1:4"


def test_read_gives_the_digest_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_bytes(b"a: b\n")
    document, sha256 = read(path)
    assert sha256 == hashlib.sha256(b"a: b\n").hexdigest()
    assert document.where("a") == "other.yaml:1:4"


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "matrix.yaml"
    path.write_bytes("a: 1\nbé: ".encode() + b"\xff\xfe")
    with pytest.raises(MatrixError, match="the file is not UTF-8: byte 0xff at offset 10") as caught:
        read(path)
    assert caught.value.where == "matrix.yaml:2:5"


def test_utf16_is_not_utf8() -> None:
    with pytest.raises(MatrixError, match="not UTF-8"):
        parse("a: b\n".encode("utf-16"))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="there is no such file") as caught:
        read(tmp_path / "matrix.yaml")
    assert caught.value.where == str(tmp_path / "matrix.yaml")
    assert caught.value.hint is not None


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="this is not a file"):
        read(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "matrix.yaml")
    with pytest.raises(MatrixError, match="this is not a file"):
        read(tmp_path / "matrix.yaml")


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MatrixError, match="cannot read this file: Permission denied"):
        read(tmp_path / "matrix.yaml")


def test_a_path_no_system_accepts() -> None:
    with pytest.raises(MatrixError, match="cannot read this file"):
        read(Path("a" * 5000))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "matrix.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(MatrixError, match="larger than 1048576 bytes"):
        read(path)


def refusal(content: str | bytes) -> MatrixError | None:
    try:
        parse(content)
    except MatrixError as error:
        return error
    return None


_SOUP = st.text(alphabet="ab:-[]{},&*!|>'\"?#%@`<~ \n\t01.xé=\u2028\x85\ufeff", max_size=60)


@settings(deadline=None, max_examples=200)
@given(st.one_of(_SOUP, st.text(max_size=60), st.binary(max_size=60)))
def test_anything_is_read_or_refused_with_a_place(content: str | bytes) -> None:
    found = refusal(content)
    if found is not None:
        name, line, column = (found.where or "").split(":")
        assert name == "matrix.yaml"
        assert int(line) >= 1
        assert int(column) >= 1
        assert "\n" not in str(found)


_TREE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.text("abc 0123:.-~yes", max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text("abcxyz019", max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=100)
@given(_TREE)
def test_what_yaml_writes_is_read_back(tree: object) -> None:
    assert parse(yaml.safe_dump(tree)).data == tree
