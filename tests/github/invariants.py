"""What must hold whatever goes wrong, read from the log of changes: publishing.md's I1 to I4, and what done means."""

from __future__ import annotations

__all__ = ["unfinished", "violations"]

from collections.abc import Collection, Iterator, Mapping

from tests.github.state import Mutation, State


def violations(
    state: State,
    *,
    planned: Mapping[str, str],
    ours: str = "publisher",
    foreign: Collection[int] = (),
) -> list[str]:
    """Give every broken invariant. ``planned`` is name to SHA-256; ``ours`` the login whose changes are judged.

    What another login made is foreign, and so are the releases listed by number in ``foreign``.
    """
    return [*_twice_published(state), *_judged(state, planned, ours, set(foreign))]


def _twice_published(state: State) -> Iterator[str]:
    public: dict[int, str] = {}
    for mutation in state.history:
        public.pop(mutation.release, None)
        if mutation.public_after:
            if mutation.tag in public.values():
                yield f"I1: two published releases of {mutation.tag} after change {mutation.number}"
            public[mutation.release] = mutation.tag


def _judged(state: State, planned: Mapping[str, str], ours: str, foreign: set[int]) -> Iterator[str]:
    for mutation in state.history:
        if mutation.actor != ours:
            continue
        said = f"change {mutation.number} ({mutation.change} {mutation.asset or ''} in request {mutation.request})"
        if mutation.public_after and not mutation.public_before:
            yield from (f"I2: {said}: {problem}" for problem in _differences(mutation, planned))
        if mutation.public_before:
            yield f"I3: {said} modified a published release"
        if mutation.author != ours or mutation.release in foreign:
            yield f"I4: {said} touched release {mutation.release}, which is not ours"


def _differences(mutation: Mutation, planned: Mapping[str, str]) -> Iterator[str]:
    there = {asset.name: asset for asset in mutation.assets}
    for name in sorted(planned.keys() | there.keys()):
        if name not in there:
            yield f"{name} is missing"
        elif name not in planned:
            yield f"{name} was not planned"
        elif there[name].state != "uploaded":
            yield f"{name} is in state {there[name].state}"
        elif there[name].sha256 != planned[name]:
            yield f"{name} holds other bytes"


def unfinished(state: State, *, tag: str, planned: Mapping[str, str]) -> list[str]:
    """Give what is missing to exactly one published release of the tag with exactly the planned assets."""
    published = state.published(tag)
    if len(published) != 1:
        return [f"{len(published)} published releases of {tag}, not 1"]
    problems = [f"{draft.id} is a draft left behind" for draft in state.drafts(tag) if draft.author != "intruder"]
    there = {asset.name: asset for asset in published[0].assets}
    for name in sorted(planned.keys() | there.keys()):
        asset = there.get(name)
        if asset is None:
            problems.append(f"{name} is missing")
        elif name not in planned:
            problems.append(f"{name} was not planned")
        elif not asset.complete or asset.body is None or asset.body.sha256 != planned[name]:
            problems.append(f"{name} holds other bytes or none")
    return problems
