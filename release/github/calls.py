"""The requests themselves: verb, path and payload of everything we ask of GitHub, in one place.

The client sends them and a dry run prints them, so what a dry run shows is what a real run does.
"""

from __future__ import annotations

__all__ = ["PAGE", "Call", "Calls", "payload_text"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

PAGE = 100  # entries a page: the default of 30 is the classic bug of tools that replace assets
_SHOWN = 80  # characters of a text that a printed request shows


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request. ``path`` begins after the API's address; ``payload`` is sent as JSON."""

    verb: str
    path: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    payload: Mapping[str, str | bool] | None = None

    @property
    def target(self) -> str:
        """The path with its parameters, in the order in which PyGithub sends them."""
        query = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in sorted(self.parameters.items()))
        return f"{self.path}?{query}" if query else self.path

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


class Calls:
    """The requests about one repository. Whatever has a default that publishes or hides something is always sent."""

    def __init__(self, repo: str) -> None:
        """``repo`` is ``owner/name``."""
        self.root = f"/repos/{repo}"
        self._releases = f"{self.root}/releases"

    def repository(self) -> Call:
        """Ask for the repository, and for what the token may do there."""
        return Call(verb="GET", path=self.root)

    def tag_ref(self, tag: str) -> Call:
        """Ask what a tag points at; this path, unlike ``git/refs``, does not answer with tags that only begin so."""
        return Call(verb="GET", path=f"{self.root}/git/ref/tags/{quote(tag)}")

    def tag_object(self, sha: str) -> Call:
        """Ask what an annotated tag points at."""
        return Call(verb="GET", path=f"{self.root}/git/tags/{quote(sha, safe='')}")

    def immutable_releases(self) -> Call:
        """Ask whether published releases are locked."""
        return Call(verb="GET", path=f"{self.root}/immutable-releases")

    def releases(self, page: int) -> Call:
        """List one page of releases."""
        return Call(verb="GET", path=self._releases, parameters={"per_page": PAGE, "page": page})

    def release(self, release_id: int) -> Call:
        """Ask for one release."""
        return Call(verb="GET", path=f"{self._releases}/{release_id}")

    def release_by_tag(self, tag: str) -> Call:
        """Ask for a tag's published release."""
        return Call(verb="GET", path=f"{self._releases}/tags/{quote(tag, safe='')}")

    def create_draft(self, *, tag: str, commit: str, name: str, body: str, prerelease: bool) -> Call:
        """Make a draft. The commit counts only if the tag is missing; notes are ours, never generated."""
        payload: dict[str, str | bool] = {
            "tag_name": tag,
            "target_commitish": commit,
            "name": name,
            "body": body,
            "draft": True,
            "prerelease": prerelease,
            "make_latest": "false",
            "generate_release_notes": False,
        }
        return Call(verb="POST", path=self._releases, payload=payload)

    def edit_draft(self, release_id: int, *, name: str, body: str, prerelease: bool) -> Call:
        """Change a draft's text. ``draft`` is always sent: PyGithub's own method publishes where it is forgotten."""
        payload: dict[str, str | bool] = {
            "name": name,
            "body": body,
            "draft": True,
            "prerelease": prerelease,
            "make_latest": "false",
        }
        return Call(verb="PATCH", path=f"{self._releases}/{release_id}", payload=payload)

    def publish(self, release_id: int, *, name: str, body: str, prerelease: bool, latest: bool) -> Call:
        """Make a draft public. A prerelease is never the latest: GitHub refuses the two together."""
        payload: dict[str, str | bool] = {
            "name": name,
            "body": body,
            "draft": False,
            "prerelease": prerelease,
            "make_latest": "true" if latest and not prerelease else "false",
        }
        return Call(verb="PATCH", path=f"{self._releases}/{release_id}", payload=payload)

    def delete_release(self, release_id: int) -> Call:
        """Delete a release."""
        return Call(verb="DELETE", path=f"{self._releases}/{release_id}")

    def assets(self, release_id: int, page: int) -> Call:
        """List one page of assets; the release's own list leaves unfinished ones out."""
        parameters = {"per_page": PAGE, "page": page}
        return Call(verb="GET", path=f"{self._releases}/{release_id}/assets", parameters=parameters)

    def upload(self, release_id: int, *, name: str) -> Call:
        """Upload an asset; sent to the uploads' address, not the API's."""
        return Call(verb="POST", path=f"{self._releases}/{release_id}/assets", parameters={"name": name})

    def delete_asset(self, asset_id: int) -> Call:
        """Delete an asset."""
        return Call(verb="DELETE", path=f"{self._releases}/assets/{asset_id}")

    def download(self, asset_id: int) -> Call:
        """Ask for an asset's bytes; also a draft's, which have no public address."""
        return Call(verb="GET", path=f"{self._releases}/assets/{asset_id}")


def payload_text(payload: Mapping[str, str | bool]) -> str:
    """Write a payload on one line; a long text is named by its length."""
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in payload.items()) + "}"


def _value(value: str | bool) -> str:  # noqa: FBT001  a JSON value
    if isinstance(value, bool):
        return "true" if value else "false"
    if len(value) > _SHOWN or not value.isprintable():
        return f"<{len(value)} characters>"
    return value
