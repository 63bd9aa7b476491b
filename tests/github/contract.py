"""Every exchange against GitHub's own OpenAPI description: the client's requests, and the fake's replies.

The description lies outside the repository, beside the clone: ``../shared/data``.
"""

from __future__ import annotations

__all__ = ["DATA", "DESCRIPTION", "Contract", "Finding", "check", "contract", "data_file", "description", "held"]

import functools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from tests.github.exchanges import Exchange
from tests.github.gaps import GAPS, Gap, Side
from tests.github.routes import Call

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
DESCRIPTION = "github-releases.openapi.json"
held = True
"""Whether exchanges are held to the description; only ``pytest --no-contract`` turns it off, and says so."""
_VARYING = re.compile(r"[0-9a-f]{16,}|\d+")


def data_file(name: str) -> Path:
    """Find one of the reference files; a test that needs it fails without it, it is never skipped."""
    path = DATA / name
    if not path.is_file():
        msg = f"the reference data is missing: {path}; it lies beside the repository, in shared/data"
        raise AssertionError(msg)
    return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One half of an exchange that is not as described."""

    exchange: Exchange
    side: Side
    problem: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.exchange}: {self.side} is not as GitHub describes it: {self.problem}"


class Contract:
    """The description, with the gaps that are known. ``used`` collects the gaps that were needed."""

    def __init__(self, api: OpenAPI, gaps: Sequence[Gap] = GAPS) -> None:
        """Take a compiled description; ``gaps`` are tried in order."""
        self._api = api
        self._gaps = gaps
        self._good: set[tuple[object, ...]] = set()
        self.used: set[str] = set()

    def findings(self, exchanges: Iterable[Exchange]) -> list[Finding]:
        """Check every exchange. What was never answered has only a request."""
        found: list[Finding] = []
        for exchange in exchanges:
            key = _key(exchange)
            if key in self._good:
                continue
            before = len(found)
            for side in Side:
                if side is Side.REQUEST or exchange.status is not None:
                    problem = self._half(exchange, side)
                    if problem is not None:
                        found.append(Finding(exchange=exchange, side=side, problem=problem))
            if len(found) == before:
                self._good.add(key)
        return found

    def _half(self, exchange: Exchange, side: Side) -> str | None:
        if side is Side.REPLY and any(
            gap.side is Side.REQUEST and gap.excuses is not None and not _described(exchange) and gap.excuses(exchange)
            for gap in self._gaps
        ):
            return None  # a call that is not in the description has no reply in it either
        problem = self._validate(exchange, side)
        if problem is None:
            return None
        adapted = exchange
        for gap in self._gaps:
            changed = gap.adapt(adapted) if gap.adapt is not None else None
            if changed is not None:
                adapted, better = changed, self._validate(changed, side)
                if better != problem:
                    self.used.add(gap.id)
                    problem = better
                if problem is None:
                    return None
        for gap in self._gaps:
            if gap.side is side and gap.excuses is not None and gap.excuses(adapted):
                self.used.add(gap.id)
                return None
        return problem

    def _validate(self, exchange: Exchange, side: Side) -> str | None:
        upload = exchange.call is Call.UPLOAD
        sent = b"..." if upload else b"" if exchange.json is None else json.dumps(exchange.json).encode()
        request = MockRequest(
            "https://uploads.github.com" if upload else "https://api.github.com",
            exchange.method.lower(),
            exchange.path,
            args=dict(exchange.query),
            headers=dict(exchange.headers),
            data=sent,
            content_type=exchange.headers.get("Content-Type", "application/json"),
        )
        try:
            if side is Side.REQUEST:
                self._api.validate_request(request)
            else:
                kind = exchange.reply_headers.get("Content-Type", "application/json").partition(";")[0]
                data = b"" if exchange.reply is None else json.dumps(exchange.reply).encode()
                response = MockResponse(
                    data,
                    status_code=exchange.status or 0,
                    headers=dict(exchange.reply_headers),
                    content_type=kind,
                )
                self._api.validate_response(request, response)
        except OpenAPIError as error:
            return _explain(error)
        return None


def _described(exchange: Exchange) -> bool:
    return exchange.call not in {Call.TAG_OBJECT, Call.WEB_DOWNLOAD, Call.STORAGE, Call.GRAPHQL}


def _explain(error: OpenAPIError) -> str:
    cause = error.__cause__
    details = getattr(cause, "schema_errors", None) or getattr(error, "schema_errors", None) or ()
    listed = [f"{'/'.join(map(str, each.path))}: {each.message[:200]}" for each in details]
    return "; ".join(listed) or str(error)[:300]


def _key(exchange: Exchange) -> tuple[object, ...]:
    """Exchanges that differ in nothing but numbers and digests are checked once."""

    def flat(value: object) -> str:
        return _VARYING.sub("0", json.dumps(value, sort_keys=True))

    return (
        exchange.method,
        flat(exchange.path),
        flat(dict(exchange.query)),
        exchange.headers.get("Content-Type"),
        exchange.headers.get("User-Agent"),
        flat(exchange.json),
        exchange.status,
        exchange.reply_headers.get("Content-Type"),
        flat(exchange.reply),
        bool(exchange.faults),
        exchange.carried_out,
    )


@functools.cache
def description() -> OpenAPI:
    """GitHub's description, read and compiled once in a test run."""
    return OpenAPI.from_dict(json.loads(data_file(DESCRIPTION).read_bytes()))


@functools.cache
def contract() -> Contract:
    """The description with all the known gaps."""
    return Contract(description())


def check(exchanges: Iterable[Exchange]) -> None:
    """Fail with every exchange that is not as described; ``held`` tells whether anything is looked at."""
    if not held:
        return
    found = contract().findings(exchanges)
    if found:
        raise AssertionError("\n".join(["the contract with GitHub's description is broken:", *map(str, found)]))
