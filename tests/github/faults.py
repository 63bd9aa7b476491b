"""Planned misbehaviour: rules that say at which request, at which point of it, and what goes wrong.

fake.faults.add(Call.UPLOAD, status(502), point=Point.AFTER)          # it arrived, and the answer says it did not
fake.faults.add(Call.UPLOAD, leave_starter, status(502), nth=2, point=Point.AFTER)  # the second leaves a starter
fake.faults.add(Call.LIST_ASSETS, Stale(), times=3)                   # three listings lag one change behind
fake.faults.add(None, Act("kill", child.kill), nth=7)                 # SIGKILL at the seventh request
"""

from __future__ import annotations

__all__ = [
    "Act",
    "Answer",
    "Effect",
    "Faults",
    "Fired",
    "Hang",
    "Point",
    "Reset",
    "Rule",
    "Stale",
    "Tamper",
    "Truncate",
    "leave_starter",
    "never_listed",
    "null_digest",
    "primary",
    "renamed",
    "secondary",
    "status",
    "stuck",
    "wrong_bytes",
    "wrong_digest",
    "wrong_size",
]

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tests.github import refusals
from tests.github.bodies import Bodies
from tests.github.exchanges import Exchange
from tests.github.refusals import Refused
from tests.github.routes import Call
from tests.github.state import Asset


class Point(StrEnum):
    """When: ``BEFORE`` nothing is carried out, ``AFTER`` everything is and only the answer suffers.

    ``MIDDLE`` is in the middle of an upload's body, which is then not carried out; of any other call, in the middle
    of the answer's body.
    """

    BEFORE = "before commit"
    MIDDLE = "mid-body"
    AFTER = "after commit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Another answer than the true one. In the middle of an answer it cannot be given: the connection is reset."""

    status: int
    body: Mapping[str, object] | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The status, and whether it says how long to wait."""
        wait = self.headers.get("Retry-After")
        return f"{self.status}" if wait is None else f"{self.status}, Retry-After {wait}"


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset: SO_LINGER (1, 0) and close."""

    def __str__(self) -> str:
        """Its name."""
        return "reset"


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence for so many seconds (None: until released or the fake ends), then the connection is closed.

    With ``answer`` the request goes on normally after that: a slow server.
    """

    seconds: float | None = None
    answer: bool = False

    def __str__(self) -> str:
        """Its name."""
        return "slow" if self.answer else "hang"


@dataclass(frozen=True, slots=True)
class Truncate:
    """Half of the JSON. ``framed``: Content-Length agrees with it; otherwise the connection ends too early."""

    framed: bool = True

    def __str__(self) -> str:
        """Its name."""
        return "truncated" if self.framed else "cut off"


@dataclass(frozen=True, slots=True)
class Stale:
    """A read that shows the releases as they were ``behind`` changes ago."""

    behind: int = 1

    def __str__(self) -> str:
        """Its name."""
        return "stale"


@dataclass(frozen=True, slots=True)
class Tamper:
    """An upload is stored, and answered, as ``change`` makes it."""

    name: str
    change: Callable[[Asset], None]

    def __str__(self) -> str:
        """Its name."""
        return self.name


@dataclass(frozen=True, slots=True)
class Act:
    """Something happens meanwhile: somebody else does something, or the client is killed. Then all goes on."""

    name: str
    run: Callable[[], object]

    def __str__(self) -> str:
        """Its name."""
        return self.name


Effect = Answer | Reset | Hang | Truncate | Stale | Tamper | Act


def _answer(refused: Refused) -> Answer:
    return Answer(status=refused.status, body=refused.body, headers=refused.headers)


def status(code: int) -> Answer:
    """The usual body of a status: 401, 403 (a permission), 404, 422 already_exists, 5xx."""
    match code:
        case 401:
            return _answer(refusals.bad_credentials())
        case 403:
            return _answer(refusals.forbidden())
        case 404:
            return _answer(refusals.not_found())
        case 422:
            return _answer(refusals.refused_upload("0000:00000:0000000:0000000:00000000", "already_exists", "name"))
        case _:
            return _answer(refusals.server_error(code))


def secondary(code: int = 403, retry_after: int | None = None) -> Answer:
    """The secondary limit: 403 or 429, with or without Retry-After."""
    return _answer(refusals.secondary_limit(status=code, retry_after=retry_after))


def primary(code: int = 403, *, reset: int) -> Answer:
    """The hour's budget is used up until ``reset`` (seconds since 1970)."""
    return _answer(refusals.primary_limit(reset=reset, status=code))


def _set(called: str, /, **values: object) -> Tamper:
    def change(asset: Asset) -> None:
        for key, value in values.items():
            setattr(asset, key, value)

    return Tamper(called, change)


def _damage(asset: Asset) -> None:
    assert asset.body is not None
    asset.body = Bodies.of(bytes(byte ^ 1 for byte in asset.body.data) or b"?")
    asset.digest, asset.size = f"sha256:{asset.body.sha256}", asset.body.size


def _misstate(asset: Asset) -> None:
    asset.size += 1


wrong_bytes = Tamper("wrong bytes", _damage)  # other bytes are stored, and size and digest say so
wrong_digest = _set("wrong digest", digest="sha256:" + "0" * 64)
null_digest = _set("null digest", digest=None)
wrong_size = Tamper("wrong size", _misstate)
leave_starter = _set("starter left", state="starter", size=0, digest=None, body=None)
stuck = _set("stuck in new", state="new")
never_listed = _set("never listed", listed=False)


def renamed(name: str) -> Tamper:
    """The asset gets another name than was asked for."""
    return _set("renamed", name=name)


@dataclass(kw_only=True, slots=True)
class Rule:
    """Effects for the ``nth`` matching request and the ``times - 1`` after it; ``times`` None: for ever."""

    call: Call | None
    effects: tuple[Effect, ...]
    nth: int = 1
    times: int | None = 1
    point: Point = Point.BEFORE
    where: Callable[[Exchange], bool] | None = None
    seen: int = 0

    def hit(self, exchange: Exchange) -> bool:
        """Count a request, and tell whether it is one of those."""
        if self.call is not None and self.call is not exchange.call:
            return False
        if self.where is not None and not self.where(exchange):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fired:
    """What was done to one request."""

    request: int
    call: Call
    point: Point
    effects: tuple[str, ...]


class Faults:
    """The schedule. Without rules a request costs one look at an empty list."""

    def __init__(self) -> None:
        """Nothing is planned."""
        self.rules: list[Rule] = []
        self.fired: list[Fired] = []
        self.released = threading.Event()
        self._lock = threading.Lock()

    def add(
        self,
        call: Call | None,
        *effects: Effect,
        nth: int = 1,
        times: int | None = 1,
        point: Point = Point.BEFORE,
        where: Callable[[Exchange], bool] | None = None,
    ) -> Rule:
        """Plan effects for a kind of call, None: for any; ``where`` narrows it further (an asset's name ...).

        Raises:
            ValueError: An upload is to be tampered with that another effect keeps from being carried out.
        """
        kinds = {type(effect) for effect in effects}
        if Tamper in kinds and point is not Point.AFTER and kinds & {Answer, Reset, Truncate}:
            msg = "what is never carried out cannot be tampered with: use point=Point.AFTER"
            raise ValueError(msg)
        rule = Rule(call=call, effects=effects, nth=nth, times=times, point=point, where=where)
        with self._lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """From now on nothing goes wrong."""
        with self._lock:
            self.rules.clear()

    def release(self) -> None:
        """End every hang, those to come too."""
        self.released.set()

    def due(self, exchange: Exchange) -> list[tuple[Point, Effect]]:
        """What is planned for this request, in the order it was planned. Every rule counts every request."""
        if not self.rules:
            return []
        due: list[tuple[Point, Effect]] = []
        with self._lock:
            for rule in self.rules:
                if not rule.hit(exchange):
                    continue
                due += [(rule.point, effect) for effect in rule.effects]
                names = tuple(str(effect) for effect in rule.effects)
                self.fired.append(Fired(request=exchange.number, call=exchange.call, point=rule.point, effects=names))
        return due

    @property
    def lagging(self) -> bool:
        """Whether earlier states must be remembered."""
        return any(isinstance(effect, Stale) for rule in self.rules for effect in rule.effects)


def for_asset(name: str) -> Callable[[Exchange], bool]:
    """Narrow a rule to uploads of one name."""
    return lambda exchange: exchange.query.get("name") == name
