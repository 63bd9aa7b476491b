"""The rules: how requests change the repository, and when GitHub refuses. Call with the state's lock held."""

from __future__ import annotations

__all__ = [
    "Actor",
    "Fields",
    "begin_upload",
    "create",
    "delete_asset",
    "delete_release",
    "edit",
    "edit_asset",
    "stored_name",
]

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.github.bodies import Body
from tests.github.refusals import immutable, invalid, not_found, refused_upload, server_error
from tests.github.state import Asset, Change, Release, State, Token

Fields = dict[str, object]
_TEXTS = ("tag_name", "target_commitish", "name", "body", "make_latest", "discussion_category_name")
_FLAGS = ("draft", "prerelease", "generate_release_notes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who asks, in which exchange; ``request_id`` is what a refused upload quotes."""

    token: Token
    request: int = 0
    request_id: str = "0000:00000:0000000:0000000:00000000"

    @property
    def login(self) -> str:
        """The name the history has."""
        return self.token.login


def stored_name(name: str) -> str:
    """The name GitHub gives an asset: special characters become dots, none stays at either end."""
    plain = re.sub(r"\.*[^A-Za-z0-9._@+-][^A-Za-z0-9_@+-]*", ".", name)
    stripped = plain.strip(".")
    return f"default.{stripped}" if plain.startswith(".") else stripped


def create(state: State, actor: Actor, fields: Fields) -> Release:
    """POST /releases: drafts are never compared with what is there, published releases are."""
    _check_types(fields)
    tag = fields.get("tag_name")
    if not isinstance(tag, str) or not tag:
        raise invalid(resource="Release", code="missing_field", field="tag_name")
    now = state.now()
    release = Release(
        id=state.next_release,
        tag=tag,
        target=_text(fields.get("target_commitish")) or state.default_branch,
        name=_text(fields.get("name")),
        body=_text(fields.get("body")),
        draft=bool(fields.get("draft", False)),
        prerelease=bool(fields.get("prerelease", False)),
        author=actor.login,
        created_at=now,
        updated_at=now,
    )
    _check(state, actor, release)
    state.remember()
    state.next_release += 1
    if not release.draft:
        _make_public(state, release, str(fields.get("make_latest", "true")))
    state.releases[release.id] = release
    state.log(Change.CREATE, release, actor=actor.login, request=actor.request, before=False)
    return release


def edit(state: State, actor: Actor, release: Release, fields: Fields) -> Release:
    """PATCH /releases/{id}: what is not named stays; ``draft: false`` publishes."""
    _check_types(fields)
    after = Release(
        id=release.id,
        tag=_text(fields.get("tag_name")) or release.tag,
        target=_text(fields.get("target_commitish")) or release.target,
        name=_text(fields.get("name", release.name)),
        body=_text(fields.get("body", release.body)),
        draft=bool(fields.get("draft", release.draft)),
        prerelease=bool(fields.get("prerelease", release.prerelease)),
        author=release.author,
        created_at=release.created_at,
        updated_at=state.now(),
    )
    if release.immutable and (after.tag, after.draft, after.prerelease) != (
        release.tag,
        release.draft,
        release.prerelease,
    ):
        raise immutable(what="Cannot change anything but the title and the notes of an immutable release")
    _check(state, actor, after)
    if fields.get("make_latest") == "true" and (after.draft or after.prerelease):
        # Of a draft that is being made it is accepted, and forgotten (kaito #1680, openclaw #139297).
        raise invalid(
            resource="Release",
            code="custom",
            field="make_latest",
            message="Latest release cannot be draft or prerelease.",
        )
    publishing = release.draft and not after.draft
    state.remember()
    before = not release.draft
    release.tag, release.target, release.name, release.body = after.tag, after.target, after.name, after.body
    release.draft, release.prerelease, release.updated_at = after.draft, after.prerelease, after.updated_at
    if publishing:
        _make_public(state, release, str(fields.get("make_latest", "true")))
    elif not release.draft and fields.get("make_latest") == "true" and not release.prerelease:
        state.latest = release.id
    change = Change.PUBLISH if publishing else Change.EDIT
    state.log(change, release, actor=actor.login, request=actor.request, before=before)
    return release


def delete_release(state: State, actor: Actor, release: Release) -> None:
    """DELETE /releases/{id}: the tag stays; an immutable release burns the tag's name for releases."""
    state.remember()
    del state.releases[release.id]
    if release.immutable:
        state.burned.add(release.tag)
    if state.latest == release.id:
        state.latest = None
    before = not release.draft
    state.log(Change.DELETE_RELEASE, release, actor=actor.login, request=actor.request, before=before)


@dataclass(kw_only=True, slots=True)
class Upload:
    """An upload under way: its asset exists as a starter until the last byte has arrived."""

    state: State
    actor: Actor
    release: Release
    asset: Asset

    def finish(self, body: Body, tampering: Sequence[Callable[[Asset], None]] = ()) -> Asset:
        """Everything arrived; the release or the starter may have been deleted meanwhile."""
        if self.release.id not in self.state.releases or self.asset not in self.release.assets:
            raise not_found()
        self.state.remember()
        self.asset.body = body
        self.asset.state = "uploaded"
        self.asset.size = body.size
        self.asset.digest = f"sha256:{body.sha256}"
        self.asset.updated_at = self.state.now()
        for change in tampering:
            change(self.asset)
        if not self.asset.listed:
            self.release.assets.remove(self.asset)
        self._log(Change.UPLOAD)
        return self.asset

    def interrupt(self) -> None:
        """The client went away: what is left is a starter, or nothing."""
        if self.state.starter_on_interruption:
            self._log(Change.STARTER)
        else:
            self.undo()

    def undo(self) -> None:
        """As if it had never begun."""
        if self.asset in self.release.assets:
            self.release.assets.remove(self.asset)

    def _log(self, change: Change) -> None:
        public = not self.release.draft
        actor = self.actor
        self.state.log(
            change, self.release, actor=actor.login, request=actor.request, before=public, asset=self.asset.name
        )


def begin_upload(  # noqa: PLR0913 - the parts of an upload's address, each by name
    state: State, actor: Actor, release: Release, *, name: str, label: str, content_type: str, size: int
) -> Upload:
    """POST /releases/{id}/assets, before the body: every reason to refuse is known by now."""
    if not name:
        raise refused_upload(actor.request_id, "missing_field", "name")
    name = stored_name(name)
    if release.immutable:
        raise immutable(what=f"Cannot upload asset {name} to an immutable release")
    if name in release.names:
        raise refused_upload(actor.request_id, "already_exists", "name")
    if len(release.assets) >= state.limits.assets:
        text = f"a release cannot have more than {state.limits.assets} assets"
        raise refused_upload(actor.request_id, "custom", "file_count", text)
    if size == state.limits.asset_size:
        # Exactly 2 GiB is not refused but breaks (community #61733).
        raise server_error(500)
    if size > state.limits.asset_size:
        text = f"size must be less than {state.limits.asset_size}"
        raise refused_upload(actor.request_id, "custom", "size", text)
    now = state.now()
    asset = Asset(
        id=state.next_asset,
        name=name,
        label=label,
        state="starter",
        content_type=content_type,
        size=0,
        digest=None,
        uploader=actor.login,
        created_at=now,
        updated_at=now,
    )
    state.next_asset += 1
    state.remember()
    release.assets.append(asset)
    return Upload(state=state, actor=actor, release=release, asset=asset)


def edit_asset(state: State, actor: Actor, release: Release, asset: Asset, fields: Fields) -> Asset:
    """PATCH /releases/assets/{id}: the name and the label."""
    if release.immutable:
        raise immutable(what="Cannot change an asset of an immutable release")
    name = stored_name(_text(fields.get("name")) or asset.name)
    if name != asset.name and name in release.names:
        raise invalid(resource="ReleaseAsset", code="already_exists", field="name")
    state.remember()
    asset.name, asset.label = name, _text(fields.get("label", asset.label)) or ""
    asset.updated_at = state.now()
    _log_asset(state, actor, release, Change.EDIT_ASSET, name)
    return asset


def delete_asset(state: State, actor: Actor, release: Release, asset: Asset) -> None:
    """DELETE /releases/assets/{id}."""
    if release.immutable:
        raise immutable(what="Cannot delete an asset of an immutable release")
    state.remember()
    release.assets.remove(asset)
    _log_asset(state, actor, release, Change.DELETE_ASSET, asset.name)


def _log_asset(state: State, actor: Actor, release: Release, change: Change, name: str) -> None:
    state.log(change, release, actor=actor.login, request=actor.request, before=not release.draft, asset=name)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _check_types(fields: Fields) -> None:
    for name in _TEXTS:
        if not isinstance(fields.get(name), str | None):
            raise invalid(resource="Release", code="invalid", field=name)
    for name in _FLAGS:
        if name in fields and not isinstance(fields[name], bool):
            raise invalid(resource="Release", code="invalid", field=name)
    if fields.get("make_latest", "true") not in {"true", "false", "legacy"}:
        raise invalid(resource="Release", code="invalid", field="make_latest")


def _check(state: State, actor: Actor, release: Release) -> None:
    """Refuse what a release may never look like after a create or an edit."""
    if release.body is not None and len(release.body) > state.limits.body:
        text = f"body is too long (maximum is {state.limits.body} characters)"
        raise invalid(resource="Release", code="custom", field="body", message=text)
    others = [r for r in state.published(release.tag) if r.id != release.id]
    if not release.draft and others:
        raise invalid(resource="Release", code="already_exists", field="tag_name")
    if release.tag in state.burned:
        raise invalid(
            resource="Release", code="custom", field="tag_name", message="tag_name was used by an immutable release"
        )
    if release.tag not in state.tags and _resolve(state, release.target) is None:
        raise invalid(resource="Release", code="invalid", field="target_commitish")
    commit = state.peeled(release.tag) or _resolve(state, release.target)
    if commit in state.workflow_commits and not actor.token.workflows:
        # A tag whose commit changes .github/workflows needs a permission of its own; without it there is no release.
        raise not_found()


def _resolve(state: State, target: str) -> str | None:
    """The commit a ``target_commitish`` names, None if it names nothing."""
    if target in {state.default_branch, f"refs/heads/{state.default_branch}"}:
        return state.head
    return target if target in state.commits or target == state.head else None


def _make_public(state: State, release: Release, make_latest: str) -> None:
    """Everything that happens at the moment a release becomes public."""
    commit = state.peeled(release.tag)
    if commit is None:
        commit = _resolve(state, release.target)
        assert commit is not None  # _check saw to it
        state.add_tag(release.tag, commit)
    release.draft = False
    release.published_at = state.now()
    release.created_at = state.commit_dates.get(commit, release.created_at)
    release.immutable = state.immutable_releases
    if not release.prerelease and make_latest == "true":
        state.latest = release.id


def latest(state: State) -> Release | None:
    """The release that counts as the latest: the one that was made so, otherwise the newest commit's."""
    full = [r for r in state.published() if not r.prerelease]
    chosen = [r for r in full if r.id == state.latest]
    newest = sorted(full, key=lambda r: (r.created_at, r.id))
    best = chosen or newest[-1:]
    return best[0] if best else None
