from __future__ import annotations

import pytest

from pipeline.matrix.spec import Mirror, Source
from release.provenance.remotes import github_name, public_remotes


def source(*remotes: str | None) -> Source:
    return Source(version="1", mirrors=tuple(Mirror(git=remote) for remote in remotes))


def test_remotes_keep_their_order() -> None:
    assert public_remotes(source("https://b.example/x.git", None, "https://a.example:8443/y")) == (
        "https://b.example/x.git",
        "https://a.example:8443/y",
    )


def test_without_a_pin_there_is_no_remote() -> None:
    assert public_remotes(None) == ()


@pytest.mark.parametrize(
    "remote",
    [
        "https://user:secret@github.com/a/b.git",
        "https://secret@github.com/a/b.git",
        "https://github.com/a/b.git?token=secret",
        "git@github.com:a/b.git",
        "ssh://git@github.com/a/b.git",
        "http://github.com/a/b.git",
        "file:///home/someone/b",
        "../b",
        "https://github.com/a b",
        "https://github.com/a\n",
    ],
)
def test_secrets_local_paths_and_what_is_no_uri_stay_here(remote: str) -> None:
    assert public_remotes(source(remote)) == ()


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        ("https://github.com/ggml-org/llama.cpp.git", ("ggml-org", "llama.cpp")),
        ("https://github.com/ggml-org/llama.cpp", ("ggml-org", "llama.cpp")),
        ("https://github.com/ggml-org/llama.cpp/", ("ggml-org", "llama.cpp")),
        ("https://github.com/a/b/c", None),
        ("https://github.com.evil.example/a/b", None),
        ("https://gitlab.example/a/b", None),
    ],
)
def test_only_a_repository_on_github_has_a_name_there(remote: str, name: tuple[str, str] | None) -> None:
    assert github_name(remote) == name
