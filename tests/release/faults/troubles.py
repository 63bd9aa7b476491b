"""What can go wrong with one request, as data: a schedule of it can be drawn, printed and played again."""

from __future__ import annotations

__all__ = ["ANSWERS", "LIMITS", "REFUSALS", "STORED", "TEMPORARY", "Fault", "Trouble"]

from dataclasses import dataclass
from enum import StrEnum

from tests.github import faults as fake
from tests.github.exchanges import Exchange
from tests.github.faults import Act, Effect, Point
from tests.github.routes import Call
from tests.github.state import Asset
from tests.release.faults.watch import Watch


class Trouble(StrEnum):
    """One way to go wrong."""

    SERVER_500 = "500"
    SERVER_502 = "502"
    SERVER_503 = "503"
    RESET = "reset"
    HANG = "hang"
    TRUNCATED = "half of the JSON"
    CUT_OFF = "the end of the connection inside the JSON"
    LIMIT_403 = "403 secondary limit"
    LIMIT_403_WAIT = "403 secondary limit, Retry-After"
    LIMIT_429 = "429"
    LIMIT_429_WAIT = "429, Retry-After"
    UNAUTHORISED = "401"
    FORBIDDEN = "403 permission"
    NOT_FOUND = "404"
    CLASH = "422 already_exists"
    STARTER = "a starter is left"
    STUCK = "stuck in state new"
    WRONG_BYTES = "other bytes are stored"
    WRONG_DIGEST = "wrong digest"
    NULL_DIGEST = "null digest"
    NULL_WRONG = "null digest of other bytes"
    WRONG_SIZE = "wrong size"
    RENAMED = "renamed"
    NEVER_LISTED = "201 and never listed"
    STALE = "a list that lags"
    KILL = "killed"


TEMPORARY = (
    Trouble.SERVER_500,
    Trouble.SERVER_502,
    Trouble.SERVER_503,
    Trouble.RESET,
    Trouble.HANG,
    Trouble.TRUNCATED,
    Trouble.CUT_OFF,
    Trouble.LIMIT_403,
    Trouble.LIMIT_403_WAIT,
    Trouble.LIMIT_429,
    Trouble.LIMIT_429_WAIT,
)
"""Gone the next time; a run outlives one of them."""
LIMITS = (Trouble.LIMIT_403, Trouble.LIMIT_403_WAIT, Trouble.LIMIT_429, Trouble.LIMIT_429_WAIT)
REFUSALS = (Trouble.UNAUTHORISED, Trouble.FORBIDDEN, Trouble.NOT_FOUND, Trouble.CLASH)
ANSWERS = (*TEMPORARY, *REFUSALS)
STORED = (
    Trouble.STARTER,
    Trouble.STUCK,
    Trouble.WRONG_BYTES,
    Trouble.WRONG_DIGEST,
    Trouble.NULL_DIGEST,
    Trouble.NULL_WRONG,
    Trouble.WRONG_SIZE,
    Trouble.RENAMED,
    Trouble.NEVER_LISTED,
)
"""What becomes of an upload that is answered with 201."""

_WAIT = 30
_STATUS = {
    Trouble.SERVER_500: 500,
    Trouble.SERVER_502: 502,
    Trouble.SERVER_503: 503,
    Trouble.UNAUTHORISED: 401,
    Trouble.FORBIDDEN: 403,
    Trouble.NOT_FOUND: 404,
    Trouble.CLASH: 422,
}


def _damage(asset: Asset) -> None:
    # Another fault of the same upload may have left a starter, which has no bytes.
    if asset.body is not None:
        fake.wrong_bytes.change(asset)


_WRONG = fake.Tamper(fake.wrong_bytes.name, _damage)
_EFFECTS: dict[Trouble, tuple[Effect, ...]] = {
    Trouble.RESET: (fake.Reset(),),
    Trouble.TRUNCATED: (fake.Truncate(),),
    Trouble.CUT_OFF: (fake.Truncate(framed=False),),
    Trouble.LIMIT_403: (fake.secondary(403),),
    Trouble.LIMIT_403_WAIT: (fake.secondary(403, _WAIT),),
    Trouble.LIMIT_429: (fake.secondary(429),),
    Trouble.LIMIT_429_WAIT: (fake.secondary(429, _WAIT),),
    Trouble.STARTER: (fake.leave_starter, fake.status(502)),
    Trouble.STUCK: (fake.stuck,),
    Trouble.WRONG_BYTES: (_WRONG,),
    Trouble.WRONG_DIGEST: (fake.wrong_digest,),
    Trouble.NULL_DIGEST: (fake.null_digest,),
    Trouble.NULL_WRONG: (_WRONG, fake.null_digest),
    Trouble.WRONG_SIZE: (fake.wrong_size,),
    Trouble.RENAMED: (fake.renamed("default.renamed"),),
    Trouble.NEVER_LISTED: (fake.never_listed,),
    Trouble.STALE: (fake.Stale(),),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One trouble at the ``nth`` request of a kind (None: of any kind), and at the ``times - 1`` after it.

    ``times`` None: until the end of the run. ``asset`` narrows it to uploads of that name.
    """

    trouble: Trouble
    call: Call | None = None
    point: Point = Point.BEFORE
    nth: int = 1
    times: int | None = 1
    asset: str | None = None

    def effects(self, watch: Watch) -> tuple[Effect, ...]:
        """Say it as the fake takes it."""
        match self.trouble:
            case Trouble.HANG:
                return Act("hang", watch.hang), fake.Hang(0.0)
            case Trouble.KILL:
                return Act("kill", watch.kill), fake.Reset()
            case trouble if trouble in _STATUS:
                return (fake.status(_STATUS[trouble]),)
            case trouble:
                return _EFFECTS[trouble]

    def concerns(self, exchange: Exchange) -> bool:
        """Tell whether it is about this request."""
        return self.asset is None or exchange.query.get("name") == self.asset

    def __str__(self) -> str:
        """One line."""
        times = "always" if self.times is None else "" if self.times == 1 else f"{self.times} times"
        call = "any request" if self.call is None else str(self.call)
        parts = (f"{call} {self.nth}", str(self.point), str(self.trouble), times, self.asset or "")
        return ", ".join(part for part in parts if part)
