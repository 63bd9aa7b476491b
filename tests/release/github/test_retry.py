from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import GitHubError
from release.github.remote import Fault, RemoteError
from release.github.retry import Budget, Patience, fault_of, refusal, upload_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.waits.append(seconds)
        self.now += seconds


def fail(fault: Fault, *, after: float | None = None, hint: str | None = None) -> RemoteError:
    return RemoteError(fault, "POST /repos/o/r/releases", fault.value, retry_after=after, hint=hint)


class Script:
    """An operation that goes through its steps: errors are raised, anything else is given back; the last for ever."""

    def __init__(self, *steps: object, clock: Clock | None = None, takes: float = 0.0) -> None:
        self.steps = list(steps)
        self.calls = 0
        self.clock = clock
        self.takes = takes

    def __call__(self) -> object:
        self.calls += 1
        if self.clock is not None:
            self.clock.now += self.takes
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, BaseException):
            raise step
        return step


def patient(
    clock: Clock,
    *,
    seconds: float = 10_000.0,
    chance: float = 0.0,
    attempts: int = 10,
    said: Callable[[str], None] = lambda _: None,
) -> Patience:
    budget = Budget(seconds, clock=clock)
    return Patience(budget=budget, attempts=attempts, say=said, sleep=clock.sleep, random=lambda: chance)


PASSING = [fault for fault in Fault if fault.temporary]
LASTING = [fault for fault in Fault if not fault.temporary]


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_tried_again(fault: Fault) -> None:
    clock = Clock()
    read = Script(fail(fault), fail(fault), "there")

    assert patient(clock).read(read, what="look") == "there"
    assert read.calls == 3
    assert len(clock.waits) >= 2


@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_is_never_tried_again_by_a_read(fault: Fault) -> None:
    clock = Clock()
    read = Script(fail(fault))

    with pytest.raises(GitHubError) as caught:
        patient(clock).read(read, what="look")

    assert read.calls == 1
    assert clock.waits == []
    assert fault_of(caught.value) is fault
    assert caught.value.what == f"look: {fault.value}"
    assert caught.value.where == "POST /repos/o/r/releases"
    assert caught.value.hint


@pytest.mark.parametrize("fault", [fault for fault in LASTING if fault is not Fault.ALREADY_EXISTS])
def test_a_lasting_fault_is_never_tried_again_by_a_write(fault: Fault) -> None:
    clock = Clock()
    write, look = Script(fail(fault)), Script(None)

    with pytest.raises(GitHubError):
        patient(clock).write(write, look, what="make")

    assert (write.calls, look.calls, clock.waits) == (1, 0, [])


@pytest.mark.parametrize("fault", [*PASSING, Fault.ALREADY_EXISTS])
def test_a_write_that_happened_all_the_same_is_not_repeated(fault: Fault) -> None:
    clock = Clock()
    write, look = Script(fail(fault)), Script("found")

    assert patient(clock).write(write, look, what="make") == "found"
    assert (write.calls, look.calls) == (1, 1)


@pytest.mark.parametrize("fault", [*PASSING, Fault.ALREADY_EXISTS])
def test_a_write_that_did_not_happen_is_repeated_after_looking(fault: Fault) -> None:
    clock = Clock()
    order: list[str] = []
    steps: list[object] = [fail(fault), "made"]

    def write() -> object:
        order.append("write")
        step = steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    def look() -> None:
        order.append("look")

    assert patient(clock).write(write, look, what="make") == "made"
    assert order == ["write", "look", "write"]


def test_a_write_that_works_is_done_once_and_nothing_is_looked_at() -> None:
    clock = Clock()
    write, look = Script("made"), Script(None)

    assert patient(clock).write(write, look, what="make") == "made"
    assert (write.calls, look.calls, clock.waits) == (1, 0, [])


def test_a_write_waits_for_lagging_lists_before_it_is_repeated() -> None:
    clock = Clock()
    write, look = Script(fail(Fault.SERVER)), Script(None, None, "late")

    assert patient(clock).write(write, look, what="make", looks=3, look_every=10.0) == "late"
    assert (write.calls, look.calls) == (1, 3)
    assert clock.waits == [0.5, 10.0, 10.0]


def test_a_look_that_fails_is_looked_again_and_does_not_count_as_seeing_nothing() -> None:
    clock = Clock()
    write, look = Script(fail(Fault.NETWORK)), Script(fail(Fault.SERVER), fail(Fault.TIMEOUT), "there")

    assert patient(clock).write(write, look, what="make") == "there"
    assert (write.calls, look.calls) == (1, 3)


@pytest.mark.parametrize("fault", LASTING)
def test_a_look_that_is_refused_ends_it(fault: Fault) -> None:
    clock = Clock()
    write, look = Script(fail(Fault.NETWORK)), Script(fail(fault))

    with pytest.raises(GitHubError) as caught:
        patient(clock).write(write, look, what="make")

    assert fault_of(caught.value) is fault
    assert (write.calls, look.calls) == (1, 1)


def test_after_the_last_try_of_a_write_it_is_looked_once_more() -> None:
    clock = Clock()
    write, look = Script(fail(Fault.SERVER)), Script(None, None, "arrived after all")

    assert patient(clock, attempts=3).write(write, look, what="upload a") == "arrived after all"
    assert (write.calls, look.calls) == (3, 3)


def test_a_write_that_never_works_ends_with_what_was_tried() -> None:
    clock = Clock()
    write, look = Script(fail(Fault.SERVER)), Script(None)

    with pytest.raises(GitHubError) as caught:
        patient(clock, attempts=3).write(write, look, what="upload a")

    assert (write.calls, look.calls) == (3, 3)
    assert caught.value.what == "upload a: tried 3 times in 3.5 s, the last time: server error; that is enough"
    assert caught.value.hint == "run it again: it continues where this run stopped"
    assert fault_of(caught.value) is Fault.SERVER


def test_looks_that_always_fail_end_too() -> None:
    clock = Clock()
    write, look = Script(fail(Fault.NETWORK)), Script(fail(Fault.SERVER))

    with pytest.raises(GitHubError, match="looking for it failed too"):
        patient(clock, attempts=3).write(write, look, what="make")

    assert write.calls == 1
    assert look.calls < 10


def test_a_read_that_never_works_ends_with_what_was_tried() -> None:
    clock = Clock()
    read = Script(fail(Fault.TIMEOUT), clock=clock, takes=60.0)

    with pytest.raises(GitHubError) as caught:
        patient(clock).read(read, what="list the releases")

    assert read.calls == 10
    assert "list the releases: tried 10 times in " in caught.value.what
    assert "the last time: no answer in time" in caught.value.what


def test_waits_after_server_errors_grow_to_a_minute_and_are_jittered() -> None:
    low, high = Clock(), Clock()
    for clock, chance in ((low, 0.0), (high, 1.0)):
        with pytest.raises(GitHubError):
            patient(clock, chance=chance).read(Script(fail(Fault.SERVER)), what="look")

    assert high.waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert low.waits == [each / 2 for each in high.waits]


def test_the_server_s_own_word_is_kept_to_the_second_and_never_undercut() -> None:
    for chance in (0.0, 0.5, 1.0):
        clock = Clock()
        patient(clock, chance=chance).read(Script(fail(Fault.RATE_LIMITED, after=17.0), "there"), what="look")
        assert clock.waits == [17.0 + chance]


def test_a_server_error_may_name_its_time_as_well() -> None:
    clock = Clock()
    patient(clock).read(Script(fail(Fault.SERVER, after=30.0), "there"), what="look")

    assert clock.waits == [30.0]


def test_a_limit_without_a_time_waits_at_least_a_minute_then_longer() -> None:
    clock = Clock()
    limited = fail(Fault.RATE_LIMITED)
    patient(clock).read(Script(limited, limited, limited, "there"), what="look")

    assert sum(clock.waits) == 60 + 120 + 240
    assert clock.waits[0] == 60


def test_all_waits_of_one_operation_stay_below_a_quarter_of_an_hour() -> None:
    clock = Clock()
    read = Script(fail(Fault.RATE_LIMITED))

    with pytest.raises(GitHubError, match="another wait of 5 min 0 s would be over the 15 min 0 s allowed"):
        patient(clock, seconds=1e6).read(read, what="look")

    assert sum(clock.waits) <= 900


def test_a_wait_that_is_longer_than_allowed_is_not_begun() -> None:
    clock = Clock()

    with pytest.raises(GitHubError, match=r"tried once in 0 s.*another wait of 60 min 0 s would be over") as caught:
        patient(clock).read(Script(fail(Fault.RATE_LIMITED, after=3600.0)), what="look")

    assert clock.waits == []
    assert caught.value.hint == "run it again: it continues where this run stopped"


def test_a_wait_that_would_end_after_the_phase_is_not_begun() -> None:
    clock = Clock()

    with pytest.raises(GitHubError, match="the 50 s for all of it are over"):
        patient(clock, seconds=50.0).read(Script(fail(Fault.RATE_LIMITED)), what="look")

    assert clock.waits == []


def test_nothing_is_tried_when_the_phase_is_over() -> None:
    clock = Clock()
    patience = patient(clock, seconds=50.0)
    clock.now += 50.0
    read = Script("there")

    with pytest.raises(GitHubError, match="look: not tried, since the 50 s for all of it are over") as caught:
        patience.read(read, what="look")

    assert read.calls == 0
    assert fault_of(caught.value) is None


def test_each_wait_is_said_with_its_reason_and_long_ones_every_minute() -> None:
    clock, said = Clock(), list[str]()
    patience = patient(clock, said=said.append)
    patience.read(Script(fail(Fault.SERVER), fail(Fault.RATE_LIMITED, after=150.0), "there"), what="list")

    assert said == [
        "waiting 0.5 s: list: server error (POST /repos/o/r/releases)",
        "waiting 150 s: list: rate limited (POST /repos/o/r/releases)",
        "still waiting, 90 s more: list: rate limited (POST /repos/o/r/releases)",
        "still waiting, 30 s more: list: rate limited (POST /repos/o/r/releases)",
    ]
    assert clock.waits == [0.5, 60, 60, 30]


def test_a_wait_for_lagging_lists_is_said_too() -> None:
    clock, said = Clock(), list[str]()
    patience = patient(clock, said=said.append)
    patience.write(Script(fail(Fault.NETWORK)), Script(None, "x"), what="make the draft", looks=2)

    assert said[1] == "waiting 10 s: make the draft: no connection (POST /repos/o/r/releases)"


def test_what_is_no_failure_of_a_request_passes_through() -> None:
    clock = Clock()
    read = Script(KeyError("a bug"))

    with pytest.raises(KeyError):
        patient(clock).read(read, what="look")

    assert (read.calls, clock.waits) == (1, [])


def test_an_interrupt_passes_through_at_once() -> None:
    clock = Clock()
    write = Script(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        patient(clock).write(write, Script(None), what="make")

    assert write.calls == 1


def test_polling_gives_what_it_sees() -> None:
    clock = Clock()

    assert patient(clock).poll(Script(None, None, "seen"), what="see", every=5.0, seconds=60.0) == "seen"
    assert clock.waits == [5.0, 5.0]


def test_polling_ends() -> None:
    clock = Clock()
    look = Script(None)

    assert patient(clock).poll(look, what="see", every=5.0, seconds=20.0) is None
    assert sum(clock.waits) <= 20
    assert look.calls == 4


def test_polling_ends_with_the_phase() -> None:
    clock = Clock()

    assert patient(clock, seconds=7.0).poll(Script(None), what="see", every=5.0, seconds=60.0) is None
    assert clock.waits == [5.0]


def test_a_budget_counts_down_and_never_below_nothing() -> None:
    clock = Clock()
    budget = Budget(10.0, clock=clock)
    clock.now += 4.0
    assert (budget.spent, budget.left, budget.over) == (4.0, 6.0, False)
    assert (budget.part(2.0), budget.part(60.0)) == (2.0, 6.0)
    clock.now += 60.0
    assert (budget.left, budget.over, budget.part(1.0)) == (0.0, True, 0.0)


def test_an_upload_has_two_minutes_and_its_size_at_two_megabytes_a_second() -> None:
    assert upload_seconds(0) == 120
    assert upload_seconds(600_000_000) == 420


def test_a_refusal_shows_the_request_s_own_hint_before_that_of_its_kind() -> None:
    assert refusal(fail(Fault.NOT_FOUND, hint="ask for it"), "make").hint == "ask for it"
    assert refusal(fail(Fault.UNAUTHORISED), "make").hint == (
        "give a token that is valid for this repository; it may have expired"
    )


@given(st.lists(st.tuples(st.sampled_from(Fault), st.none() | st.floats(0, 4000)), max_size=30), st.floats(0, 1))
def test_whatever_fails_it_ends_in_time_and_never_repeats_a_write_blindly(
    faults: list[tuple[Fault, float | None]], chance: float
) -> None:
    clock, order = Clock(), list[str]()
    steps = [fail(fault, after=after) for fault, after in faults]

    def act(name: str) -> str:
        order.append(name)
        if steps:
            raise steps.pop()
        return name

    def look() -> str | None:
        return None if act("look") == "look" and len(order) % 2 else "found"

    patience = patient(clock, seconds=1200.0, chance=chance)
    with contextlib.suppress(GitHubError):
        assert patience.write(lambda: act("write"), look, what="make") in {"write", "found"}
    assert sum(clock.waits) <= 900
    assert "write write" not in " ".join(order)
