"""The records as GitHub's JSON. ``hosts`` are the addresses the client uses, so that every link leads back here."""

from __future__ import annotations

__all__ = ["asset_json", "ref_json", "release_json", "repository_json", "tag_object_json", "user_json"]

import base64
from urllib.parse import quote

from tests.github.exchanges import Hosts
from tests.github.state import Access, Asset, Release, State, TagObject, Token

Json = dict[str, object]

_REPOSITORY_LINKS = """
    forks keys{/key_id} collaborators{/collaborator} teams hooks issue_events:issues/events{/number} events
    assignees{/user} branches{/branch} tags blobs:git/blobs{/sha} git_tags:git/tags{/sha} git_refs:git/refs{/sha}
    trees:git/trees{/sha} statuses/{sha} languages stargazers contributors subscribers subscription commits{/sha}
    git_commits:git/commits{/sha} comments{/number} issue_comment:issues/comments{/number} contents/{+path}
    compare/{base}...{head} merges archive:{archive_format}{/ref} downloads issues{/number} pulls{/number}
    milestones{/number} notifications{?since,all,participating} labels{/name} releases{/id} deployments
"""
_USER_LINKS = """
    followers following{/other_user} gists{/gist_id} starred{/owner}{/repo} subscriptions organizations:orgs repos
    events{/privacy} received_events
"""


def _links(prefix: str, specs: str) -> Json:
    links: Json = {}
    for spec in specs.split():
        key, _, path = spec.partition(":")
        name = key.partition("{")[0].rstrip("/")
        links[f"{name}_url"] = f"{prefix}/{path or key}"
    return links


def node_id(kind: str, number: int) -> str:
    """An opaque identifier, the same for the same thing."""
    return base64.b64encode(f"{len(kind):02d}:{kind}{number}".encode()).decode()


def user_json(state: State, login: str, hosts: Hosts) -> Json:
    """The short form of a user."""
    number = state.user_ids.setdefault(login, 1001 + len(state.user_ids))
    api = f"{hosts.api}/users/{login}"
    return {
        "login": login,
        "id": number,
        "node_id": node_id("User", number),
        "avatar_url": f"https://avatars.githubusercontent.com/u/{number}?v=4",
        "gravatar_id": "",
        "url": api,
        "html_url": f"{hosts.web}/{login}",
        **_links(api, _USER_LINKS),
        "type": "User",
        "site_admin": False,
    }


def shown_tag(release: Release) -> str:
    """The tag in web addresses: a draft's tag need not exist, so GitHub shows a stand-in."""
    return f"untagged-{release.id:020x}" if release.draft else quote(release.tag)


def asset_json(state: State, release: Release, asset: Asset, hosts: Hosts) -> Json:
    """One asset."""
    api = f"{hosts.api}/repos/{state.repo}"
    return {
        "url": f"{api}/releases/assets/{asset.id}",
        "id": asset.id,
        "node_id": node_id("ReleaseAsset", asset.id),
        "name": asset.name,
        "label": asset.label,
        "uploader": user_json(state, asset.uploader, hosts),
        "content_type": asset.content_type,
        "state": asset.state,
        "size": asset.size,
        "digest": asset.digest,
        "download_count": asset.downloads,
        "created_at": state.stamp(asset.created_at),
        "updated_at": state.stamp(asset.updated_at),
        "browser_download_url": f"{hosts.web}/{state.repo}/releases/download/{shown_tag(release)}/{quote(asset.name)}",
    }


def release_json(state: State, release: Release, hosts: Hosts) -> Json:
    """One release; its ``assets`` hide what is not completely there."""
    api = f"{hosts.api}/repos/{state.repo}"
    url = f"{api}/releases/{release.id}"
    return {
        "url": url,
        "assets_url": f"{url}/assets",
        "upload_url": f"{hosts.uploads}/repos/{state.repo}/releases/{release.id}/assets{{?name,label}}",
        "html_url": f"{hosts.web}/{state.repo}/releases/tag/{shown_tag(release)}",
        "id": release.id,
        "author": user_json(state, release.author, hosts),
        "node_id": node_id("Release", release.id),
        "tag_name": release.tag,
        "target_commitish": release.target,
        "name": release.name,
        "draft": release.draft,
        "immutable": release.immutable,
        "prerelease": release.prerelease,
        "created_at": state.stamp(release.created_at),
        "updated_at": state.stamp(release.updated_at),
        "published_at": state.stamp(release.published_at),
        "assets": [asset_json(state, release, asset, hosts) for asset in release.assets if asset.complete],
        "tarball_url": None if release.draft else f"{api}/tarball/{quote(release.tag)}",
        "zipball_url": None if release.draft else f"{api}/zipball/{quote(release.tag)}",
        "body": release.body,
    }


def ref_json(state: State, tag: str, hosts: Hosts) -> Json:
    """A tag's reference; what it points at may be a tag object."""
    target = state.tags[tag]
    api = f"{hosts.api}/repos/{state.repo}/git"
    return {
        "ref": f"refs/tags/{tag}",
        "node_id": node_id("Ref", 1),
        "url": f"{api}/refs/tags/{quote(tag)}",
        "object": _object(target, api),
    }


def tag_object_json(state: State, tag: str, sha: str, hosts: Hosts) -> Json:
    """An annotated tag."""
    api = f"{hosts.api}/repos/{state.repo}/git"
    return {
        "node_id": node_id("Tag", 1),
        "sha": sha,
        "url": f"{api}/tags/{sha}",
        "tag": tag,
        "message": f"{tag}\n",
        "tagger": {"name": "A Maintainer", "email": "maintainer@example.org", "date": state.stamp(state.now())},
        "object": _object(state.tag_objects[sha], api),
        "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
    }


def _object(target: TagObject, api: str) -> Json:
    folder = "commits" if target.type == "commit" else "tags"
    return {"type": target.type, "sha": target.sha, "url": f"{api}/{folder}/{target.sha}"}


def repository_json(state: State, token: Token | None, hosts: Hosts) -> Json:
    """The repository; ``permissions`` only for who says who they are."""
    owner, name = state.repo.split("/")
    api, html = f"{hosts.api}/repos/{state.repo}", f"{hosts.web}/{state.repo}"
    since = "2024-01-02T03:04:05Z"
    shown: Json = {
        "id": 4242,
        "node_id": node_id("Repository", 4242),
        "name": name,
        "full_name": state.repo,
        "owner": user_json(state, owner, hosts),
        "private": state.private,
        "visibility": "private" if state.private else "public",
        "html_url": html,
        "description": None,
        "fork": False,
        "url": api,
        **_links(api, _REPOSITORY_LINKS),
        "git_url": f"git:{html.partition(':')[2]}.git",
        "ssh_url": f"git@github.com:{state.repo}.git",
        "clone_url": f"{html}.git",
        "svn_url": html,
        **dict.fromkeys(("homepage", "language", "mirror_url", "license")),
        **dict.fromkeys(("has_issues", "has_projects", "has_wiki"), True),
        **dict.fromkeys(("has_pages", "has_discussions", "archived", "disabled"), False),
        **dict.fromkeys(("forks", "forks_count", "open_issues", "open_issues_count", "network_count"), 0),
        **dict.fromkeys(("stargazers_count", "watchers", "watchers_count", "subscribers_count", "size"), 0),
        **dict.fromkeys(("created_at", "updated_at", "pushed_at"), since),
        "default_branch": state.default_branch,
        "topics": [],
    }
    if token is not None:
        push = token.access is Access.PUSH  # the user's: what the token's scopes leave of it is not said here
        shown["permissions"] = {"admin": False, "maintain": False, "push": push, "triage": push, "pull": True}
    return shown
