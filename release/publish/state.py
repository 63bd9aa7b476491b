"""``state.json``: how far publishing came, written before every step that the next run must know about.

The file is a memory aid, never the truth: what is really there is asked of GitHub each time. It tells the next run two
things a listing cannot: that a draft was being made when we were stopped (lists lag behind, so one may exist unseen),
and which draft is ours even if a person edited its text.
"""

from __future__ import annotations

__all__ = ["STATE_FORMAT", "AssetState", "Phase", "State", "StateFile"]

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from release.errors import PublishError, SealError
from release.folder import replace_file
from release.model import Sealed

STATE_FORMAT = 1
_LIMIT = 4 * 1024 * 1024  # a thousand assets take 200 KB
_ROOM = "make room there, or give another place for it"


class Phase(StrEnum):
    """How far a release came; the order is the order of the work."""

    STARTED = "started"
    CREATING = "creating the draft"
    DRAFTED = "draft found"
    UPLOADED = "assets uploaded"
    VERIFIED = "draft verified"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    DONE = "verified as published"


class AssetState(StrEnum):
    """What became of one asset so far."""

    PLANNED = "planned"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of the file. ``server`` is part of the identity: a rehearsal's ids mean nothing to GitHub."""

    format: int
    server: str
    repo: str
    tag: str
    commit: str
    manifest_sha256: str
    phase: Phase = Phase.STARTED
    release_id: int | None = None
    previous: str | None = None
    """The tag of the release whose manifest this one's version follows."""
    assets: dict[str, AssetState] = {}

    @classmethod
    def fresh(cls, sealed: Sealed, *, server: str, previous: str | None) -> State:
        """The state of a release of which nothing was done yet."""
        return cls(
            format=STATE_FORMAT,
            server=server,
            repo=sealed.id.repo,
            tag=sealed.id.tag,
            commit=sealed.id.commit,
            manifest_sha256=sealed.manifest_sha256,
            previous=previous,
            assets={asset.name: AssetState.PLANNED for asset in sealed.assets},
        )

    def differs(self, other: State) -> str | None:
        """Say in what way this is the state of another release; None if it is of the same."""
        for field, words in (
            ("format", "format"),
            ("server", "server"),
            ("repo", "repository"),
            ("tag", "tag"),
            ("commit", "commit"),
            ("manifest_sha256", "manifest"),
        ):
            mine, theirs = getattr(self, field), getattr(other, field)
            if mine != theirs:
                return f"it is of another {words} ({mine})"
        return None if set(self.assets) == set(other.assets) else "it lists other assets"


class StateFile:
    """The file and what it holds now; every change is on disk before ``update`` returns."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read or written yet."""
        self.path = path
        self._state: State | None = None

    @property
    def state(self) -> State:
        """What the file holds; only after ``begin``."""
        assert self._state is not None
        return self._state

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second publisher on this machine out. The lock goes with the process: a kill leaves none behind."""
        lock = self.path.with_name(f"{self.path.name}.lock")
        with contextlib.ExitStack() as stack:
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                handle = stack.enter_context(lock.open("a+", encoding="utf-8"))
            except OSError as error:
                msg = f"the state of publishing cannot be kept: {error.strerror or error}"
                raise PublishError(msg, where=str(lock), hint=_ROOM) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                handle.seek(0)
                owner = handle.read(20).strip()
                msg = f"another process ({owner or 'unknown'}) is publishing this release"
                raise PublishError(msg, where=str(self.path), hint="wait for it to end, then run again") from error
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def begin(self, fresh: State, say: Callable[[str], None]) -> State:
        """Take up what an earlier run left for this very release, or start over and say why."""
        found, reason = self._read()
        if found is not None:
            reason = found.differs(fresh)
        if found is None or reason is not None:
            if reason is not None:
                say(f"{self.path.name} is not used: {reason}; starting over")
            self._write(fresh)
            return fresh
        # Uploads of an earlier run are looked at again in any case; the choice of the previous manifest is this run's.
        self._write(msgspec.structs.replace(found, previous=fresh.previous))
        return self.state

    def update(
        self,
        *,
        phase: Phase | None = None,
        release_id: int | None = None,
        asset: tuple[str, AssetState] | None = None,
    ) -> None:
        """Note a step; what is not given stays."""
        state = self.state
        changed = msgspec.structs.replace(
            state,
            phase=phase or state.phase,
            release_id=state.release_id if release_id is None else release_id,
            assets={**state.assets, asset[0]: asset[1]} if asset else state.assets,
        )
        if changed != state:
            self._write(changed)

    def forget_draft(self) -> None:
        """Note that there is no draft of ours any more, so that the next one starts with nothing uploaded."""
        planned = dict.fromkeys(self.state.assets, AssetState.PLANNED)
        self._write(msgspec.structs.replace(self.state, phase=Phase.STARTED, release_id=None, assets=planned))

    def _read(self) -> tuple[State | None, str | None]:
        """Give the state, or why there is none to be used (None, None: there simply is no file)."""
        try:
            with self.path.open("rb") as stream:
                data = stream.read(_LIMIT + 1)
        except FileNotFoundError:
            return None, None
        except OSError as error:
            return None, f"it cannot be read ({error.strerror or error})"
        if len(data) > _LIMIT:
            return None, "it is far too large"
        try:
            return msgspec.json.decode(data, type=State), None
        except (msgspec.DecodeError, RecursionError) as error:
            return None, f"it is damaged ({error})"

    def _write(self, state: State) -> None:
        """Replace the file in one step: a kill leaves the old text or the new one."""
        text = msgspec.json.format(msgspec.json.encode(state, order="deterministic"), indent=2)
        try:
            replace_file(self.path, text + b"\n")
        except SealError as error:
            msg = f"the state of publishing cannot be kept: {error.what}"
            raise PublishError(msg, where=error.where, hint=_ROOM) from error
        self._state = state
