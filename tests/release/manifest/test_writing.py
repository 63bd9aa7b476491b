from __future__ import annotations

import hashlib

import msgspec
import pytest

from release.errors import ManifestError
from release.manifest.writing import digest_of, render
from tests.release.manifest.paper import manifest_of


def test_the_digest_is_that_of_the_bytes() -> None:
    manifest = manifest_of()

    assert digest_of(manifest) == hashlib.sha256(render(manifest)).hexdigest()


def test_text_that_has_no_bytes() -> None:
    broken = msgspec.structs.replace(manifest_of(), generated_at="\ud800")

    with pytest.raises(ManifestError, match="a text in it is not Unicode: surrogates not allowed"):
        render(broken)
