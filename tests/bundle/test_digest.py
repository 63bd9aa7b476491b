from __future__ import annotations

import contextlib
import hashlib
import threading

from pipeline.bundle.digest import Digest


def test_hashes_in_order() -> None:
    with Digest() as digest:
        for block in (b"a", b"", b"bc" * 4096):
            digest.feed(block)

        assert digest.hexdigest() == hashlib.sha256(b"a" + b"bc" * 4096).hexdigest()


def test_its_thread_ends_with_it() -> None:
    before = threading.active_count()
    with contextlib.suppress(KeyError), Digest() as digest:
        digest.feed(b"a")
        raise KeyError

    assert threading.active_count() == before
