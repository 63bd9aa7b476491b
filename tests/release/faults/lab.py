"""Fault schedules over real HTTP: runs in which things go wrong, runs in which nothing does, and how it all ended.

How it ended is read from the server's state and from its log of every single change, never from what we say of it.
Used by the tests here and by ``benchmarks/faults.py``.
"""

from __future__ import annotations

__all__ = ["End", "Event", "Lab", "Outcome", "run_runs", "run_schedule"]

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from release.errors import ForeignReleaseError, GitHubError, PreflightError, PublishError
from release.publish import state
from release.publish.marker import text_of
from tests.github import actions, intruders
from tests.github.actions import Actor
from tests.github.fake import FakeGitHub
from tests.github.faults import Act, Point
from tests.github.invariants import unfinished, violations
from tests.github.refusals import Refused
from tests.github.state import PUSH_TOKEN, Access, Change, Release, Stored, Token
from tests.release.faults.events import EXPLAINED, Event
from tests.release.faults.outcome import End, Outcome
from tests.release.faults.publisher import COMMIT, LIMIT, REPO, TAG, Publisher, Run
from tests.release.faults.troubles import Fault, Trouble
from tests.release.faults.watch import Clock, Watch, watched

RUNS = 2
"""How often a user tries while things still go wrong, besides the times he was killed."""
HEALED = 3
"""How often once nothing does any more."""
_RIVAL = "rival-token"
_REFUSALS = (ForeignReleaseError, GitHubError, PreflightError, PublishError)


class Lab:
    """One repository, one publisher, and a plan of what goes wrong. Use it in a with statement."""

    def __init__(self, folder: Path, *, immutable: bool = False) -> None:
        """Nothing runs yet."""
        self.folder = folder
        self.clock = Clock()
        self.watch = Watch(clock=self.clock)
        self.fake = FakeGitHub(REPO, tags={TAG: COMMIT})
        self.state = self.fake.state
        self.state.immutable_releases = immutable
        self.state.tokens[_RIVAL] = Token(login="rival", access=Access.PUSH)
        self.publisher = Publisher(folder / "ours", self.fake, self.clock)
        self.events: set[str] = set()
        self.problems: list[str] = []
        self.fired: list[str] = []
        self.ends: list[End] = []
        self._rivals = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start."""
        self._stack.enter_context(self.fake)
        self._stack.enter_context(watched(self.watch))
        self._stack.enter_context(_without_disk())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._stack.close()

    def leave_drafts(self) -> None:
        """Begin with what a killed run left: a draft with a starter and wrong bytes, and a second one."""
        actor = Actor(token=self.state.tokens[PUSH_TOKEN])
        body = text_of(self.publisher.sealed)
        first = intruders.add_release(self.state, TAG, body=body, actor=actor)
        bundle, manifest, _, sums, _ = self.publisher.sealed.assets
        intruders.add_asset(self.state, first, bundle.name, complete=False, actor=actor)
        intruders.add_asset(self.state, first, manifest.name, b"?" * manifest.size, actor=actor)
        intruders.add_asset(self.state, first, sums.name, sums.path.read_bytes(), actor=actor)
        intruders.add_release(self.state, TAG, body=body, actor=actor)

    def plan(self, faults: Iterable[Fault]) -> None:
        """Take up faults for the runs to come."""
        for fault in faults:
            self.events.add(str(fault.trouble))
            self.fake.faults.add(
                fault.call,
                *fault.effects(self.watch),
                point=fault.point,
                nth=fault.nth,
                times=fault.times,
                where=fault.concerns,
            )

    def meanwhile(self, nth: int, event: Event) -> None:
        """Plan an event for the nth request from now on."""
        self.fake.faults.add(None, Act(str(event), lambda: self.happen(event)), nth=nth)

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        for fired in self.fake.faults.fired:
            self.fired.append(f"{fired.request}: {fired.call} {fired.point}: {', '.join(fired.effects)}")
        self.fake.faults.fired.clear()
        self.fake.faults.clear()

    def run(self) -> Run:
        """Make one run and hold what must hold after any run."""
        self.watch.requests = 0
        run = self.publisher.run()
        if run.bug is not None:
            self.problems.append(f"an exception that is none of ours: {run.bug!r}")
        if run.seconds > LIMIT:
            self.problems.append(f"I6: it took {run.seconds:.0f} s")
        if run.error is not None and not (isinstance(run.error, _REFUSALS) and run.error.what and run.error.hint):
            self.problems.append(f"not a clear refusal: {run.error!r}")
        if run.done:
            self.problems += [f"it said published, but {problem}" for problem in self._unfinished()]
        for violation in self._violations(self.publisher, ours="publisher"):
            if violation not in self.problems:
                self.problems.append(violation)
        self.ends.append(self.end)
        return run

    @property
    def end(self) -> End:
        """How it stands now, by the server's state."""
        if self.problems:
            return End.WRONG
        return End.REFUSED if self._unfinished() else End.PUBLISHED

    def explained(self, run: Run) -> bool:
        """Tell whether a refusal of a run without faults is the right answer to what others did."""
        said = str(run.error)
        return any(words in said and {str(each) for each in why} & self.events for words, why in EXPLAINED.items())

    def happen(self, event: Event) -> None:
        """Let it happen now."""
        self.events.add(str(event))
        github = self.state
        match event:
            case Event.RIVAL | Event.RIVAL_KILLED | Event.OTHER_BYTES:
                self._rival(event)
            case Event.FOREIGN_DRAFT:
                draft = intruders.add_release(github, TAG, body="by hand")
                intruders.add_asset(github, draft, "notes.txt", b"mine")
            case Event.FOREIGN_RELEASE:
                with contextlib.suppress(Refused):  # there is a published one already
                    intruders.add_release(github, TAG, body="by hand", draft=False)
            case Event.DELETED:
                for draft in self._our_drafts():
                    actions.delete_release(github, intruders.INTRUDER, draft)
            case Event.EDITED:
                for draft in self._our_drafts():
                    actions.edit(github, intruders.INTRUDER, draft, {"body": "edited by hand"})
            case Event.TAG_MOVED:
                with github.lock:
                    github.add_tag(TAG, "d" * 40)

    def _our_drafts(self) -> list[Release]:
        return [draft for draft in self.state.drafts(TAG) if draft.author != "intruder"]

    def _rival(self, event: Event) -> None:
        self._rivals += 1
        other = event is Event.OTHER_BYTES
        rival = Publisher(
            self.folder / f"rival-{self._rivals}",
            self.fake,
            Clock(),
            salt="other" if other else "",
            token=_RIVAL if other else PUSH_TOKEN,
        )
        if event is Event.RIVAL_KILLED:
            self.plan([Fault(trouble=Trouble.KILL, nth=10 + 7 * self._rivals, point=Point.AFTER)])
        run = rival.run()
        if run.bug is not None:
            self.problems.append(f"the rival failed: {run.bug!r}")
        if other:
            self.problems += self._violations(rival, ours="rival")

    def _violations(self, publisher: Publisher, *, ours: str) -> list[str]:
        found = violations(self.state, planned=publisher.planned, ours=ours)
        return [*(each for each in found if not self._harmless(each)), *self._lost()]

    def _lost(self) -> Iterator[str]:
        """Give every deletion of an asset that was complete and correct; after a look that lagged it is no wonder."""
        if self.events & {Trouble.STALE, Event.RIVAL, Event.RIVAL_KILLED, Event.OTHER_BYTES}:
            return
        good = {(asset.name, asset.size, asset.sha256) for asset in self.publisher.sealed.assets}
        there: dict[int, dict[str, Stored]] = {}
        for mutation in self.state.history:
            before = there.get(mutation.release, {}).get(mutation.asset or "")
            there[mutation.release] = {stored.name: stored for stored in mutation.assets}
            if mutation.change is not Change.DELETE_ASSET or mutation.actor != "publisher" or before is None:
                continue
            correct = before.state == "uploaded" and (before.name, before.size, before.sha256) in good
            if correct and before.digest in {None, f"sha256:{before.sha256}"}:
                yield f"I7: change {mutation.number} in request {mutation.request} deleted a correct {before.name}"

    def _harmless(self, violation: str) -> bool:
        """Tell whether it only looks like a violation, because others did what we do.

        A draft of another seal carries our marker, whoever's token made it, and is removed. And between our last look
        and the request that publishes, another publisher can publish the same draft with the same bytes: the request
        then changes nothing, and nothing on GitHub could keep it from being made.
        """
        if not violation.startswith(("I3", "I4")):
            return False
        number = int(violation.partition("change ")[2].partition(" ")[0])
        mutation = self.state.history[number - 1]
        removed = mutation.change is Change.DELETE_RELEASE and not mutation.public_before
        if violation.startswith("I4"):
            return removed and {mutation.actor, mutation.author} == {"publisher", "rival"}
        before = next(each for each in reversed(self.state.history[: number - 1]) if each.release == mutation.release)
        return bool(
            mutation.change is Change.EDIT
            and before.change is Change.PUBLISH
            and before.assets == mutation.assets
            and self.events & {Event.RIVAL, Event.RIVAL_KILLED}
        )

    def _unfinished(self) -> list[str]:
        return unfinished(self.state, tag=TAG, planned=self.publisher.planned)


@contextlib.contextmanager
def _without_disk() -> Iterator[None]:
    """Write the state without waiting for the disk: nothing here loses power, and thousands of runs wait for it."""

    def write(path: Path, data: bytes, **_: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    kept = vars(state)["replace_file"]
    vars(state)["replace_file"] = write
    try:
        yield
    finally:
        vars(state)["replace_file"] = kept


def run_schedule(  # noqa: PLR0913  what a schedule is made of, each by name
    faults: Sequence[Fault] = (),
    kills: Sequence[int] = (),
    *,
    events: Sequence[tuple[int, Event]] = (),
    leftovers: bool = False,
    immutable: bool = False,
    folder: Path | None = None,
    seen: Callable[[Lab], None] | None = None,
) -> Outcome:
    """Publish again and again as a user would, while things go wrong; then until nothing does; then once more.

    Args:
        faults: What goes wrong, counted over all the faulty runs together.
        kills: At which requests, counted the same way, the publisher is killed: odd ones when the request was carried
            out already, even ones before.
        events: What others do, and at which request.
        leftovers: Whether an earlier run left drafts.
        immutable: Whether published releases are locked.
        folder: Where to work.
        seen: Looks at the lab in the end, before it is gone.
    """
    deaths = [Fault(trouble=Trouble.KILL, nth=kill, point=Point.AFTER if kill % 2 else Point.BEFORE) for kill in kills]

    def play(lab: Lab) -> list[Run]:
        lab.plan((*faults, *deaths))
        for nth, event in events:
            lab.meanwhile(nth, event)
        runs: list[Run] = []
        while len(runs) < RUNS + len(kills) and not (runs and runs[-1].done):
            runs.append(lab.run())
        return runs

    return _conclude(play, leftovers=leftovers, immutable=immutable, folder=folder, seen=seen)


def run_runs(
    runs: Sequence[Sequence[Fault]],
    *,
    leftovers: bool = False,
    immutable: bool = False,
    folder: Path | None = None,
    seen: Callable[[Lab], None] | None = None,
) -> Outcome:
    """Make one run for each list of faults, which are over with it; then go on as ``run_schedule`` does."""

    def play(lab: Lab) -> list[Run]:
        made = []
        for faults in runs:
            lab.plan(faults)
            made.append(lab.run())
            lab.heal()
        return made

    return _conclude(play, leftovers=leftovers, immutable=immutable, folder=folder, seen=seen)


def _conclude(
    play: Callable[[Lab], list[Run]],
    *,
    leftovers: bool,
    immutable: bool,
    folder: Path | None,
    seen: Callable[[Lab], None] | None,
) -> Outcome:
    with contextlib.ExitStack() as stack:
        where = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llamatrix-faults-")))
        lab = stack.enter_context(Lab(where, immutable=immutable))
        if leftovers:
            lab.leave_drafts()
        faulty = play(lab)
        lab.heal()
        healed: list[Run] = []
        last = faulty[-1]
        while len(healed) < HEALED and not (last.done or (healed and lab.explained(last))):
            last = lab.run()
            healed.append(last)
        if not last.done and not lab.explained(last):
            lab.problems.append(f"I7: nothing goes wrong any more, and it is not published: {last}")
        again = lab.run()
        healed.append(again)
        if again.writes:
            lab.problems.append(f"I5: a run after the last one made {again.writes} changes")
        if not again.done and not lab.explained(again):
            lab.problems.append(f"a run after the last one ended otherwise: {again}")
        if seen is not None:
            seen(lab)
        return Outcome(
            end=lab.end,
            first=lab.ends[0],
            faulty=tuple(faulty),
            healed=tuple(healed),
            problems=tuple(lab.problems),
            requests=len(lab.fake.requests),
            fired=tuple(lab.fired),
        )
