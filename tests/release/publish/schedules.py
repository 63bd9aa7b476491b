"""Fault schedules: runs in which things go wrong, then runs in which nothing does, and what must hold all along.

Used by the property test, by the grid, and by whoever wants thousands of them: ``python -m
tests.release.publish.schedules 2000`` prints how they ended.
"""

from __future__ import annotations

__all__ = ["LIMIT", "Ending", "Event", "attempt", "conclude", "happen", "random_plan", "random_schedule"]

import contextlib
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from pipeline.errors import PipelineError
from release.errors import ForeignReleaseError, GitHubError, PublishError, VerifyError
from tests.release.publish.fake_remote import Killed, Plan, Trouble
from tests.release.publish.scene import TAG, Scene

LIMIT = 3 * 3600.0
"""Seconds on the fake clock that one run may take at most: its budget, plus one hanging request at the end."""


class Event(StrEnum):
    """What others do in the middle of our run."""

    RIVAL = "a second publisher of the same bytes runs to its end"
    RIVAL_KILLED = "a second publisher of the same bytes is killed on its way"
    OTHER_BYTES = "a second publisher publishes other bytes"
    FOREIGN = "somebody makes a draft for the tag by hand"
    DELETED = "somebody deletes the drafts"
    TAG_MOVED = "somebody moves the tag"
    EDITED = "somebody edits the text of the drafts"


# What a run without faults may refuse for in the end, and which interference explains it.
_EXCUSES: dict[str, set[Event] | set[Trouble]] = {
    "the tag has a draft that llamatrix did not make": {Event.FOREIGN, Event.EDITED},
    "the tag is published with other content": {Event.OTHER_BYTES},
    f"the tag {TAG} leads to": {Event.TAG_MOVED},
    "the draft holds assets that are not part of this release": {Trouble.RENAMED},
}

_REFUSALS = (ForeignReleaseError, GitHubError, PublishError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How one run ended; ``error`` is None if it published (or found that it had)."""

    error: PipelineError | None
    killed: bool
    writes: tuple[str, ...]


def attempt(scene: Scene, plan: Plan | None = None) -> Ending:
    """Make one run and hold what must hold after any run (I1 to I4 and I6)."""
    hub, began, before = scene.hub, scene.hub.clock.now, scene.hub.count
    error: PipelineError | None = None
    killed = False
    try:
        scene.publish(plan)
    except Killed:
        killed = True
    except _REFUSALS as raised:
        error = raised
    assert error is None or (error.what and error.hint)
    assert hub.clock.now - began <= LIMIT  # I6
    assert len(hub.published(TAG)) <= 1  # I1
    assert hub.crimes == []  # I2, I3, I4, and a part of I7: nothing correct is ever deleted
    return Ending(error=error, killed=killed, writes=tuple(hub.writes_since(before)))


def conclude(scene: Scene, *, runs: int = 3) -> Ending:
    """Run without faults until it is done; then once more, which must write nothing (I5)."""
    for _ in range(runs):
        ending = attempt(scene)
        if ending.error is None:
            break
    if ending.error is None:
        scene.assert_published()  # I7: nothing is lost
        again = attempt(scene)
        assert again.error is None
        assert again.writes == ()
        scene.assert_published()
    else:
        reasons = [reasons for what, reasons in _EXCUSES.items() if ending.error.what.startswith(what)]
        assert len(reasons) == 1, ending.error.what
        assert {str(reason) for reason in reasons[0]} & scene.events, ending.error.what
        assert ending.writes == () or Trouble.RENAMED in scene.events, ending.writes
    return ending


def random_plan(chance: random.Random, *, longest: int = 60) -> Plan:
    """Draw a schedule: a few faults at any requests, now and then one that never ends."""
    plan = Plan(lag=chance.randint(1, 12))
    for _ in range(chance.randint(1, 6)):
        plan.at[chance.randint(1, longest)] = chance.choice(list(Trouble))
    if chance.random() < 0.1:
        plan.always[chance.choice(["upload", "assets", "create_draft", "releases", "download", "publish"])] = (
            chance.choice(
                [Trouble.SERVER_BEFORE, Trouble.SERVER_AFTER, Trouble.LIMITED, Trouble.HANG, Trouble.WRONG_BYTES]
            )
        )
    return plan


def happen(scene: Scene, event: Event, number: int) -> None:
    """Let it happen now. ``number`` tells one from the other, and when a rival is killed."""
    hub = scene.hub
    scene.events.add(str(event))
    match event:
        case Event.RIVAL | Event.RIVAL_KILLED | Event.OTHER_BYTES:
            salt = "other" if event is Event.OTHER_BYTES else ""
            rival = Scene(scene.folder / f"rival-{number}", hub=hub, salt=salt)
            plan = Plan(at={1 + number % 30: Trouble.KILL_AFTER}) if event is Event.RIVAL_KILLED else None
            with hub.aside(), contextlib.suppress(Killed, *_REFUSALS):
                rival.publish(plan)
        case Event.FOREIGN:
            hub.add(TAG, body="by hand", files={"notes.txt": b"mine"})
        case Event.DELETED:
            for found in [each for each in hub.releases.values() if each.release.draft and not each.foreign]:
                del hub.releases[found.release.id]
        case Event.TAG_MOVED:
            hub.tags[TAG] = "d" * 40
        case Event.EDITED:
            for found in hub.releases.values():
                if found.release.draft and not found.foreign:
                    found.release = replace(found.release, body="edited by hand")
                    # Without our state nobody can know that it was ours.
                    found.foreign = not scene.state.exists()


def random_schedule(scene: Scene, chance: random.Random) -> Ending:
    """Make some runs with faults and interference, and end it."""
    scene.hub.immutable = chance.random() < 0.5
    for _ in range(chance.randint(1, 3)):
        plan = random_plan(chance)
        if chance.random() < 0.4:
            event, number = chance.choice(list(Event)), chance.randint(1, 1000)
            plan.meanwhile[chance.randint(1, 45)] = partial(happen, scene, event, number)
        scene.events |= {str(trouble) for trouble in plan.at.values()}
        attempt(scene, plan)
        if chance.random() < 0.1:
            scene.state.unlink(missing_ok=True)
    return conclude(scene)


def main(count: int, seed: int = 0) -> int:
    """Run that many random schedules; the exit code says whether all ended well."""
    endings: Counter[str] = Counter()
    for number in range(seed, seed + count):
        with tempfile.TemporaryDirectory() as folder:
            scene = Scene(Path(folder))
            try:
                ending = random_schedule(scene, random.Random(number))
            except (AssertionError, VerifyError) as error:
                endings["wrong"] += 1
                sys.stdout.write(f"schedule {number}: {error!r} {scene.hub.crimes}\n")
                continue
            endings["one correct release" if ending.error is None else f"refused: {ending.error.what[:60]}"] += 1
    for what, times in endings.most_common():
        sys.stdout.write(f"{times:6} {what}\n")
    return 1 if endings["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
