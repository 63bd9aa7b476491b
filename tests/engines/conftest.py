"""The image that the tests with a real Docker engine share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.engines.base import Cancel
from pipeline.engines.docker import connect
from pipeline.engines.images import ensure_image
from pipeline.matrix.spec import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient


@pytest.fixture(scope="session")
def client() -> Iterator[DockerClient]:
    connected = connect()
    yield connected
    connected.close()


@pytest.fixture(scope="session")
def image(client: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Debian image; made once per Docker engine (seconds, from the Debian archive), found again afterwards."""
    store = tmp_path_factory.mktemp("store")
    return ensure_image(Image(suite="trixie"), "test", client, store, lambda _: None, Cancel()).reference
