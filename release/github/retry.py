"""Patience: which failures are tried again, after how long, and when it is enough. All our retries are here.

A request that failed may have been carried out: a 502 can be wrong, a reset can come after the commit. So a write is
never simply repeated. ``Patience.write`` takes what to do *and* how to find out whether it is done already, and asks
that question between any two tries, even after a rate limit. There is no other way to retry a write.
"""

from __future__ import annotations

__all__ = ["Budget", "Patience", "fault_of", "refusal", "upload_seconds"]

import random as _random
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from release.errors import GitHubError
from release.github.remote import Fault, RemoteError

T = TypeVar("T")

_GRACE = 120.0  # seconds any upload may take, before its size counts
_SLOWEST = 2_000_000.0  # bytes a second an upload must make beyond that
_FLOOR = 60.0  # what GitHub asks for after a secondary limit that names no time
_LONGEST_LIMIT = 300.0  # one wait after a limit that names no time
_LONGEST = 60.0  # one wait after a server error or a broken connection
_JITTER = 1.0  # on top of what the server asked for: others wait for the same second
_HEARTBEAT = 60.0
_AGAIN = "run it again: it continues where this run stopped"

_HINTS = {
    Fault.UNAUTHORISED: "give a token that is valid for this repository; it may have expired",
    Fault.FORBIDDEN: "the token needs write access to the contents of this repository",
    Fault.NOT_FOUND: "check the repository's name, and that the token may see it",
    Fault.IMMUTABLE: "a published immutable release cannot be changed, nor its tag be used again: take a new version",
    Fault.INVALID: "this is not a passing fault: trying again will not help",
}


def upload_seconds(size: int) -> float:
    """Give the whole time one upload may take: 120 s, and its size at 2 MB/s.

    Six stalled uploads once held a release of others up for hours: each file has a budget, and is cut when it is over.
    """
    return _GRACE + size / _SLOWEST


class Budget:
    """A stretch of time that starts now. ``clock`` gives seconds and only ever grows."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start it."""
        self.seconds = seconds
        self.clock = clock
        self._start = clock()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._start

    @property
    def left(self) -> float:
        """Seconds that are left, never below 0."""
        return max(0.0, self.seconds - self.spent)

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0

    def part(self, seconds: float) -> float:
        """Give that many seconds, or what is left if that is less."""
        return min(seconds, self.left)


class Patience:
    """How failed requests are tried again.

    Args:
        budget: The time of the whole phase; no wait begins that would not end inside it.
        attempts: How often one operation is tried.
        waiting: The seconds that one operation may spend waiting, all its waits together.
        say: Told about each wait, and every minute of a long one.
        sleep: Waits.
        random: Gives numbers from 0 to 1, for the jitter.
    """

    def __init__(  # noqa: PLR0913  each by name, and tests replace most
        self,
        *,
        budget: Budget,
        attempts: int = 10,
        waiting: float = 900.0,
        say: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        """See the class."""
        self.budget = budget
        self.attempts = attempts
        self.waiting = waiting
        self._say = say
        self._sleep = sleep
        self.random = random

    def read(self, operation: Callable[[], T], *, what: str) -> T:
        """Do something that changes nothing, again if it failed for a passing reason.

        Args:
            operation: One request, or several that only read.
            what: What it is for, said to people: ``list the releases``.

        Raises:
            GitHubError: GitHub refused, or gave no usable answer in time; its cause is the RemoteError.
        """
        effort = _Effort(self, what)

        def turn() -> T:
            effort.tries += 1
            return operation()

        return self._persist(effort, turn)

    def write(
        self,
        operation: Callable[[], T],
        reconcile: Callable[[], T | None],
        *,
        what: str,
        looks: int = 1,
        look_every: float = 10.0,
    ) -> T:
        """Do something that changes something; after any failure look before doing it again.

        Args:
            operation: Brings the change about. It is called again after a failure, so it clears away what a failed
                try may have left, for example an unfinished asset: deleting and uploading are one operation.
            reconcile: Looks whether the change is there already: gives the result, or None to try again.
            what: What it is for, said to people: ``upload manifest.json``.
            looks: How often to look before the change counts as missing. Lists lag behind: a draft that was made may
                not be in the first list.
            look_every: Seconds between two looks.

        Raises:
            GitHubError: GitHub refused, or the change could not be brought about in time; its cause is the
                RemoteError.
        """
        effort = _Effort(self, what)

        def turn() -> T:
            if effort.looks:
                found = reconcile()
                if found is not None:
                    return found
                effort.looks -= 1
                if effort.looks:
                    raise _LookAgainError
                if effort.tries >= self.attempts:
                    raise _ExhaustedError
            effort.tries += 1
            try:
                return operation()
            except RemoteError as error:
                effort.failed(error, looks=looks)
                raise

        effort.look_every = look_every
        return self._persist(effort, turn)

    def poll(self, look: Callable[[], T | None], *, what: str, every: float, seconds: float) -> T | None:
        """Look until there is something to see, but no longer than that many seconds; None if there never was.

        Args:
            look: Only reads; it is retried like any other.
            what: What is waited for, said to people.
            every: Seconds between two looks.
            seconds: How long to go on.
        """
        waiting = Budget(self.budget.part(seconds), clock=self.budget.clock)
        while True:
            found = self.read(look, what=what)
            if found is not None or waiting.left <= every:
                return found
            self.pause(every, what)

    def pause(self, seconds: float, reason: str) -> None:
        """Wait, and say so; during a long wait once a minute."""
        self._say(f"waiting {_seconds(seconds)}: {reason}")
        left = seconds
        while left > _HEARTBEAT:
            self._sleep(_HEARTBEAT)
            left -= _HEARTBEAT
            self._say(f"still waiting, {_seconds(left)} more: {reason}")
        self._sleep(left)

    def _persist(self, effort: _Effort, turn: Callable[[], T]) -> T:
        if self.budget.over:
            msg = f"{effort.what}: not tried, since the {_seconds(self.budget.seconds)} for all of it are over"
            raise GitHubError(msg, hint=_AGAIN)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(effort.worth_another),
            wait=effort.wait,
            stop=effort.enough,
            sleep=effort.sleep,
            reraise=True,
        )
        try:
            return retrying(turn)
        except (RemoteError, _LookAgainError, _ExhaustedError) as error:
            last = error if isinstance(error, RemoteError) else effort.last
            assert last is not None  # only a failed try leads to looking, and to having had enough
            if effort.worth_another(error) or isinstance(error, _ExhaustedError):
                raise effort.given_up(last) from last
            raise refusal(last, effort.what) from last


class _LookAgainError(Exception):
    """The change is not to be seen yet."""


class _ExhaustedError(Exception):
    """The change is not there after the last try."""


class _Effort:
    """One operation: what was tried, what came of it, and how long we waited."""

    def __init__(self, patience: Patience, what: str) -> None:
        self.what = what
        self.tries = 0
        self.looks = 0
        self.look_every = 0.0
        self.last: RemoteError | None = None  # of the operation
        self._latest: RemoteError | None = None  # of the operation, or of looking
        self._patience = patience
        self._start = patience.budget.spent
        self._failures = 0
        self._limits = 0
        self._waited = 0.0
        self._stopped = ""

    def failed(self, error: RemoteError, *, looks: int) -> None:
        """A write failed: from now on look before trying again."""
        self.last = error
        self.looks = looks

    def worth_another(self, error: BaseException) -> bool:
        """Tell whether another turn can help."""
        if isinstance(error, RemoteError):
            # What is in the way is found and cleared by looking; only a write of ours can meet it.
            clash = error.fault is Fault.ALREADY_EXISTS and error is self.last
            return error.fault.temporary or clash
        return isinstance(error, _LookAgainError)

    def wait(self, state: tenacity.RetryCallState) -> float:
        """Give the seconds until the next turn."""
        error = _outcome(state)
        if not isinstance(error, RemoteError):
            return self.look_every
        self._latest = error
        if error.fault is Fault.RATE_LIMITED:
            self._limits += 1
        else:
            self._failures += 1
        chance = self._patience.random()
        if error.retry_after is not None:
            return error.retry_after + chance * _JITTER
        if error.fault is Fault.RATE_LIMITED:
            # Never shorter than the floor: asking too early prolongs a secondary limit.
            return min(_FLOOR * 2.0 ** (self._limits - 1), _LONGEST_LIMIT) * (1 + chance / 10)
        return min(2.0 ** (self._failures - 1), _LONGEST) * (0.5 + chance / 2)

    def enough(self, state: tenacity.RetryCallState) -> bool:
        """Tell whether the next wait or the next try would be too much, and keep why."""
        patience = self._patience
        wait = state.upcoming_sleep
        if not self.looks and self.tries >= patience.attempts:
            self._stopped = "that is enough"
        elif self.looks and self._failures + self._limits >= 2 * patience.attempts:
            self._stopped = "and looking for it failed too"
        elif self._waited + wait > patience.waiting:
            self._stopped = f"another wait of {_seconds(wait)} would be over the {_seconds(patience.waiting)} allowed"
        elif wait >= patience.budget.left:
            self._stopped = f"the {_seconds(patience.budget.seconds)} for all of it are over"
        return bool(self._stopped)

    def sleep(self, seconds: float) -> None:
        """Wait, and say why."""
        self._waited += seconds
        self._patience.pause(seconds, self._reason())

    def given_up(self, error: RemoteError) -> GitHubError:
        """Make the error of an effort that ran out of time or tries."""
        times = "once" if self.tries == 1 else f"{self.tries} times"
        spent = _seconds(self._patience.budget.spent - self._start)
        stopped = self._stopped or "that is enough"
        what = f"{self.what}: tried {times} in {spent}, the last time: {error.what}; {stopped}"
        return GitHubError(what, where=error.request, hint=error.hint or _AGAIN)

    def _reason(self) -> str:
        error = self._latest
        return self.what if error is None else f"{self.what}: {error.what} ({error.request})"


def refusal(error: RemoteError, what: str) -> GitHubError:
    """Say as an error for people that GitHub refused, and what to do about it."""
    return GitHubError(f"{what}: {error.what}", where=error.request, hint=error.hint or _HINTS.get(error.fault, _AGAIN))


def fault_of(error: GitHubError) -> Fault | None:
    """Tell what kind of failure is behind an error of ours; None if no request was made."""
    cause = error.__cause__
    return cause.fault if isinstance(cause, RemoteError) else None


def _outcome(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _seconds(seconds: float) -> str:
    """Write seconds as people read them."""
    if seconds < 10 and seconds != int(seconds):  # noqa: PLR2004  below that, tenths matter
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes >= 5 else f"{round(seconds)} s"  # noqa: PLR2004  60 s is said so
