"""What others do in the middle of a run, and which refusals that explains."""

from __future__ import annotations

__all__ = ["EXPLAINED", "Event"]

from enum import StrEnum

from tests.release.faults.publisher import TAG
from tests.release.faults.troubles import Trouble


class Event(StrEnum):
    """What others do in the middle of our run."""

    RIVAL = "a second publisher of the same bytes runs to its end"
    RIVAL_KILLED = "a second publisher of the same bytes is killed on its way"
    OTHER_BYTES = "a second publisher publishes other bytes"
    FOREIGN_DRAFT = "somebody makes a draft for the tag by hand"
    FOREIGN_RELEASE = "somebody publishes a release for the tag by hand"
    DELETED = "somebody deletes our drafts"
    EDITED = "somebody edits the text of our drafts"
    TAG_MOVED = "somebody moves the tag"


EXPLAINED: dict[str, set[Event] | set[Trouble]] = {
    "has a draft that llamatrix did not make": {Event.FOREIGN_DRAFT, Event.EDITED},
    "is published with other content": {Event.OTHER_BYTES, Event.FOREIGN_RELEASE},
    f"the tag {TAG} leads to": {Event.TAG_MOVED},
    "assets that are not part of this release": {Trouble.RENAMED},
}
"""What a run without faults may refuse for in the end, and what explains it."""
