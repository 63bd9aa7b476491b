from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sources.upstream import Upstream

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    """A repository at tmp_path/upstream, with a work tree's layout."""
    return Upstream(tmp_path / "upstream" / ".git" / "objects")
