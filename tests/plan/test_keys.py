from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.keys import code_digest, content_key, file_digest, folder_digest

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), _JSON, min_size=2))
def test_the_order_of_inputs_does_not_matter_and_their_names_and_values_do(inputs: dict[str, object]) -> None:
    key = content_key(**inputs)

    assert key == content_key(**dict(reversed(inputs.items())))
    assert key != content_key(**inputs, zzzzzzzzz=1)
    assert len(key) == 32


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a")
    two.write_bytes(b"b")

    assert file_digest(one) != file_digest(two)


def test_code_digests_tell_packages_apart() -> None:
    assert code_digest("gates") != code_digest("bundle")
    assert code_digest("gates", "bundle") == code_digest("bundle", "gates")


def test_a_folder_is_known_by_the_names_and_bytes_of_its_files(tmp_path: Path) -> None:
    def digest(name: str, **files: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        return folder_digest(folder)

    same = digest("one", script="a", beside="b")

    assert digest("two", beside="b", script="a") == same
    assert (
        len(
            {
                same,
                digest("three", script="a"),
                digest("four", script="a", beside="c"),
                digest("five", script="a", other="b"),
            }
        )
        == 4
    )
