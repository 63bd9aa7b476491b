"""A git remote as a mirror: exactly one commit, no history, no git program, no questions asked.

Only https and http are spoken. Whatever arrives is proven by its ids afterwards, so the transport needs no trust.
"""

from __future__ import annotations

__all__ = ["Patience", "fetch_commit"]

import os
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3
from dulwich.client import HTTPUnauthorized, Urllib3HttpGitClient, default_urllib3_manager
from dulwich.errors import NotGitRepository
from dulwich.object_store import ObjectStoreGraphWalker
from dulwich.objects import ObjectID

from pipeline.sources.explain import explain
from pipeline.sources.limits import DEFAULT_LIMITS, Limits, TooLargeError, UnprovenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.sources.objects import ObjectFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long to wait for a server, in seconds: for each answer, and for everything together."""

    answer: float = 30.0
    total: float = 1800.0


class _Flow:
    """Writes what arrives, within the limits of size and time."""

    def __init__(self, write: Callable[[bytes], int], limit: int, patience: Patience) -> None:
        self.write = write
        self.limit = limit
        self.size = 0
        self.total = patience.total
        self.deadline = time.monotonic() + patience.total

    def data(self, chunk: bytes) -> int:
        self.size += len(chunk)
        if self.size > self.limit:
            msg = f"the server sends more than {self.limit} bytes"
            raise TooLargeError(msg)
        self.progress(chunk)
        return self.write(chunk)

    def progress(self, _chunk: bytes) -> None:
        if time.monotonic() > self.deadline:
            msg = f"the server was not done after {self.total:.0f} s"
            raise UnprovenError(msg)


def fetch_commit(  # noqa: PLR0913 - keywords with defaults
    url: str,
    commit: str,
    objects: ObjectFolder,
    *,
    work: Path,
    limits: Limits = DEFAULT_LIMITS,
    patience: Patience | None = None,
) -> None:
    """Fetch ``commit`` alone from the remote at ``url`` into ``objects``; ``work`` is for temporary files.

    Raises:
        UnprovenError: there is no answer, or not the one that was asked for.
    """
    patience = patience or Patience()
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        msg = f"only https and http remotes are fetched, not {url!r}"
        raise UnprovenError(msg)
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    with closing(_client(base, patience)) as client, tempfile.TemporaryFile(dir=work) as pack:
        flow = _Flow(pack.write, limits.download, patience)

        def wants(refs: object, depth: int | None = None) -> list[ObjectID]:
            del refs, depth
            if client.dumb:
                # The old protocol of plain files would walk the whole history.
                raise _dumb(parts.hostname)
            return [ObjectID(commit.encode())]

        try:
            client.fetch_pack(
                parts.path,
                wants,
                ObjectStoreGraphWalker([], lambda _: [], shallow=set()),
                flow.data,
                progress=flow.progress,
                depth=1,
                # Without a prefix the server lists every ref, tens of thousands for llama.cpp.
                ref_prefix=[b"HEAD"],
            )
        except UnprovenError:
            raise
        except HTTPUnauthorized as error:
            msg = f"{parts.hostname} asks for a password: no such public repository"
            raise UnprovenError(msg) from error
        except NotGitRepository as error:
            msg = f"{parts.hostname} has no repository {parts.path}"
            raise UnprovenError(msg) from error
        except Exception as error:  # dulwich lets through what urllib3 and its own parsers raise
            raise (_dumb(parts.hostname) if client.dumb else UnprovenError(explain(error, parts.hostname))) from error
        if not flow.size:
            msg = f"{parts.hostname} sent nothing for this commit"
            raise UnprovenError(msg)
        pack.seek(0, os.SEEK_SET)
        objects.add_pack(pack)


def _dumb(host: str | None) -> UnprovenError:
    return UnprovenError(f"{host} does not speak git's smart protocol")


class _Client(Urllib3HttpGitClient):
    """dulwich's client, closing the connections it opened."""

    def close(self) -> None:
        super().close()
        self.pool_manager.clear()


def _client(base: str, patience: Patience) -> _Client:
    # No configuration is given, so nobody's ~/.gitconfig, credential helper or proxy command takes part.
    manager = default_urllib3_manager(None, base_url=base, timeout=patience.answer)
    manager.connection_pool_kw["retries"] = urllib3.Retry(total=5, connect=1, read=0, status=0, redirect=4)
    return _Client(base, pool_manager=manager, timeout=patience.answer, thin_packs=False, quiet=True)
