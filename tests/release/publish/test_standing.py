from __future__ import annotations

import pytest

from release.github.remote import RemoteRelease
from release.publish.standing import is_latest


def release(tag: str, *, draft: bool = False, prerelease: bool = False) -> RemoteRelease:
    return RemoteRelease(
        id=1, tag=tag, name=tag, body="", draft=draft, prerelease=prerelease, immutable=False, url="https://x.test"
    )


@pytest.mark.parametrize(
    ("tag", "others", "expected"),
    [
        ("v1.0.0", [], True),
        ("v1.2.0", ["v1.1.9", "v1.0.0"], True),
        ("v1.10.0", ["v1.9.0"], True),
        ("v1.1.10", ["v1.2.0"], False),
        ("1.1.10", ["v1.2.0"], False),
        ("v1.2.0", ["v1.2.0"], True),
        ("v1.2.0", ["nightly", "v9", "v9.9.9-rc1"], True),
        ("v1.2.0-rc1", [], False),
    ],
)
def test_only_the_highest_version_is_the_latest(tag: str, others: list[str], expected: bool) -> None:
    assert is_latest(tag, [release(other) for other in others]) is expected


def test_drafts_and_prereleases_do_not_count() -> None:
    assert is_latest("v1.0.0", [release("v2.0.0", draft=True), release("v3.0.0", prerelease=True)])
