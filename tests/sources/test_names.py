from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.names import collision_key, escaping_links, unsafe_name


@pytest.mark.parametrize("name", [b"a", b"README", b".gitignore", b".github", b"..a", b"git", b"caf\xc3\xa9", b"a b"])
def test_ordinary_names_are_safe(name: bytes) -> None:
    assert unsafe_name(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"", "empty"),
        (b".", "empty"),
        (b"..", "empty"),
        (b"a/b", "separator"),
        (b"a\\b", "separator"),
        (b"a\nb", "control"),
        (b"a\x7f", "control"),
        (b"a" * 256, "255"),
        (b"\xff", "UTF-8"),
        (b".git", "stands for .git"),
        (b".GIT", "stands for .git"),
        (b".git ", "stands for .git"),
        (b".git. .", "stands for .git"),
        (b".git::$INDEX_ALLOCATION", "stands for .git"),
        (b"GIT~1", "stands for .git"),
        (b"git~22", "stands for .git"),
        (".g\u200cit".encode(), "stands for .git"),
        ("\ufeff.Git\u206a".encode(), "stands for .git"),
    ],
)
def test_unsafe_names_are_refused_with_a_reason(name: bytes, reason: str) -> None:
    assert reason in (unsafe_name(name) or "")


_IGNORED = st.text(alphabet="\u200c\u200d\u202a\u206f\ufeff", max_size=2)


@given(
    st.sampled_from([".git", ".GiT", "git~1"]),
    st.lists(_IGNORED, min_size=6, max_size=6),
    st.sampled_from(["", ". ", ":x"]),
)
def test_nothing_that_is_ignored_hides_dot_git(name: str, noise: list[str], end: str) -> None:
    hidden = noise[0] + "".join(map("".join, zip(name, noise[1:], strict=False))) + end

    assert unsafe_name(hidden.encode()) is not None


@pytest.mark.parametrize(
    ("one", "two"), [(b"README", b"readme"), ("é".encode(), "e\u0301".encode()), ("ß".encode(), b"ss")]
)
def test_names_that_a_file_system_folds_together_share_a_key(one: bytes, two: bytes) -> None:
    assert collision_key(one) == collision_key(two)


def test_other_names_do_not_collide() -> None:
    assert collision_key(b"a") != collision_key(b"b")


@pytest.mark.parametrize(
    ("links", "reason"),
    [
        ({b"a": b"/etc/passwd"}, "absolute"),
        ({b"a": b".."}, "leaves"),
        ({b"d/a": b"../../x"}, "leaves"),
        ({b"a": b""}, "empty"),
        ({b"a": b"x\0y"}, "unreadable"),
        ({b"a": b"..\\x"}, "portable"),
        ({b"a": b"a"}, "never ends"),
        ({b"a": b"b", b"b": b"a"}, "never ends"),
        # By its text x/l/.. is x; through the link it is the folder above the tree.
        ({b"x/y/l": b"../..", b"out": b"x/y/l/../etc"}, "leaves"),
        ({b"abs": b"/", b"b": b"abs/etc"}, "goes through a link"),
    ],
)
def test_links_that_leave_are_found(links: dict[bytes, bytes], reason: str) -> None:
    assert any(reason in why for _, why in escaping_links(links))


@pytest.mark.parametrize(
    "links",
    [{b"a": b"b"}, {b"d/a": b"../b"}, {b"d/e/a": b"../../d/./e//f"}, {b"a": b"d", b"d2/b": b"../a/x"}, {b"a": b"."}],
)
def test_links_that_stay_are_fine(links: dict[bytes, bytes]) -> None:
    assert escaping_links(links) == []


_PARTS = st.sampled_from(["a", "b", "c", "..", "."])
_TARGETS = st.lists(_PARTS, min_size=1, max_size=5).map("/".join)
_PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(_PATHS, _TARGETS, min_size=1, max_size=4))
def test_no_link_that_is_let_through_leads_out_on_a_real_file_system(links: dict[str, str]) -> None:
    # A link cannot also be a folder: keep the longest paths only.
    kept = {path: target for path, target in links.items() if not any(other.startswith(path + "/") for other in links)}
    bad = {path.decode() for path, _ in escaping_links({p.encode(): t.encode() for p, t in kept.items()})}
    with tempfile.TemporaryDirectory() as top:
        root = Path(top).resolve() / "root"
        for path in kept:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        for path, target in kept.items():
            (root / path).symlink_to(target)
        for path in kept.keys() - bad:
            assert (root / path).resolve().is_relative_to(root)
