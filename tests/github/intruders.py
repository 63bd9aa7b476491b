"""Other people in the repository: what they do before, while and after we publish. Plan them with ``faults.Act``."""

from __future__ import annotations

__all__ = ["INTRUDER", "add_asset", "add_release", "delete_asset", "delete_release", "publish", "replace_asset"]

from tests.github import actions
from tests.github.actions import Actor, Upload
from tests.github.bodies import Bodies
from tests.github.state import Access, Asset, Release, State, Token

INTRUDER = Actor(token=Token(login="intruder", access=Access.PUSH, workflows=True))


def add_release(  # noqa: PLR0913 - the fields of a release, each by name
    state: State,
    tag: str,
    *,
    draft: bool = True,
    body: str = "",
    prerelease: bool = False,
    actor: Actor = INTRUDER,
) -> Release:
    """Somebody makes a release: a foreign draft, or a published one before ours is."""
    fields: actions.Fields = {"tag_name": tag, "name": tag, "body": body, "draft": draft, "prerelease": prerelease}
    with state.lock:
        return actions.create(state, actor, fields)


def add_asset(  # noqa: PLR0913 - the fields of an asset, each by name
    state: State, release: Release, name: str, data: bytes = b"", *, complete: bool = True, actor: Actor = INTRUDER
) -> Asset:
    """Somebody uploads a file; with ``complete`` False it gets no further than the starter."""
    with state.lock:
        upload = _begin(state, release, name, len(data), actor)
        if complete:
            return upload.finish(Bodies.of(data))
        state.starter_on_interruption, kept = True, state.starter_on_interruption
        upload.interrupt()
        state.starter_on_interruption = kept
        return upload.asset


def _begin(state: State, release: Release, name: str, size: int, actor: Actor) -> Upload:
    return actions.begin_upload(
        state, actor, release, name=name, label="", content_type="application/octet-stream", size=size
    )


def delete_asset(state: State, tag: str, name: str) -> None:
    """Somebody deletes a file of the first release of a tag."""
    with state.lock:
        release = _first(state, tag)
        actions.delete_asset(state, INTRUDER, release, release.asset(name))


def replace_asset(state: State, tag: str, name: str, data: bytes) -> None:
    """Somebody puts other bytes under a name."""
    with state.lock:
        delete_asset(state, tag, name)
        add_asset(state, _first(state, tag), name, data)


def publish(state: State, tag: str) -> None:
    """Somebody publishes the first draft of a tag, ready or not."""
    with state.lock:
        actions.edit(state, INTRUDER, state.drafts(tag)[0], {"draft": False})


def delete_release(state: State, tag: str) -> None:
    """Somebody deletes the first release of a tag."""
    with state.lock:
        actions.delete_release(state, INTRUDER, _first(state, tag))


def _first(state: State, tag: str) -> Release:
    return min((r for r in state.releases.values() if r.tag == tag), key=lambda r: r.id)
