"""The fixture everybody's tests import: ``from tests.github.fixtures import github``; mark the test ``loopback``."""

from __future__ import annotations

__all__ = ["COMMIT", "TAG", "github"]

from collections.abc import Iterator

import pytest

from tests.github.contract import check
from tests.github.fake import FakeGitHub

TAG = "v1"
COMMIT = "c0ffee" * 6 + "abcd"


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    """A fake GitHub with repository ``o/r`` and tag ``v1``; at the end every exchange must be as described."""
    with FakeGitHub(tags={TAG: COMMIT}) as fake:
        yield fake
    check(fake.requests)
