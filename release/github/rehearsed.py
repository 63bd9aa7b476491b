"""A GitHub that is only imagined, for a dry run: it does what the real one would, and writes down each request.

It begins with an empty repository whose tag is at the commit, remembers what it is told, and so leads the publisher
through exactly the requests of a real first run. Nothing is sent anywhere; files are read to know their digests.
"""

from __future__ import annotations

__all__ = ["RehearsedRemote"]

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from release.errors import PublishError
from release.github.calls import PAGE, Call, Calls, payload_text
from release.github.parcel import Parcel
from release.github.remote import Fault, RemoteAsset, RemoteError, RemoteRelease, RemoteRepository

_BLOCK = 1024 * 1024


@dataclass(kw_only=True)
class _Imagined:
    """A release, and where the bytes of its assets are."""

    release: RemoteRelease
    assets: dict[int, tuple[RemoteAsset, Path]] = field(default_factory=dict)


class RehearsedRemote:
    """One imagined repository; implements ``Remote``. ``requests`` holds a line for each request, in their order."""

    def __init__(
        self,
        *,
        repo: str,
        tag: str,
        commit: str,
        server: str = "https://github.com",
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``say`` is told each request's line as it is made."""
        self.where = f"{server}/{repo} (dry run)"
        self.requests: list[str] = []
        self._calls = Calls(repo)
        self._repo = repo
        self._web = f"{server}/{repo}/releases"
        self._tags = {tag: commit}
        self._say = say
        self._releases: dict[int, _Imagined] = {}
        self._last = 0
        self._strange = False

    def stranger(self) -> RehearsedRemote:
        """Give the same repository as somebody without a token sees it; its requests go to the same list."""
        other = copy.copy(self)
        other._strange = True  # noqa: SLF001  one of our own
        return other

    def repository(self) -> RemoteRepository:
        """Give the repository: public, and ours to write."""
        self._note(self._calls.repository())
        return RemoteRepository(
            full_name=self._repo, private=False, default_branch="main", can_push=True, clock_skew=0.0
        )

    def tag_commit(self, tag: str) -> str | None:
        """Give the commit of the one tag there is; it is a lightweight one."""
        self._note(self._calls.tag_ref(tag))
        return self._tags.get(tag)

    def immutable_releases(self) -> bool | None:
        """Say that it is not known: most tokens may not ask."""
        self._note(self._calls.immutable_releases())
        return None

    def releases(self) -> tuple[RemoteRelease, ...]:
        """List every release, newest first."""
        every = [each.release for _, each in sorted(self._releases.items(), reverse=True)]
        found = [release for release in every if self._sees(release)]
        self._pages(self._calls.releases, len(found))
        return tuple(found)

    def release(self, release_id: int) -> RemoteRelease | None:
        """Give one release by its number, or None."""
        self._note(self._calls.release(release_id))
        found = self._releases.get(release_id)
        return found.release if found and self._sees(found.release) else None

    def release_by_tag(self, tag: str) -> RemoteRelease | None:
        """Give the published release of a tag, or None."""
        self._note(self._calls.release_by_tag(tag))
        return self._published(tag)

    def create_draft(self, *, tag: str, commit: str, name: str, body: str, prerelease: bool) -> RemoteRelease:
        """Make a new draft."""
        self._note(self._calls.create_draft(tag=tag, commit=commit, name=name, body=body, prerelease=prerelease))
        number = self._number()
        release = RemoteRelease(
            id=number,
            tag=tag,
            name=name,
            body=body,
            draft=True,
            prerelease=prerelease,
            immutable=False,
            url=f"{self._web}/tag/untagged-{number:020x}",
        )
        self._releases[number] = _Imagined(release=release)
        return release

    def edit_draft(self, release_id: int, *, name: str, body: str, prerelease: bool) -> RemoteRelease:
        """Change a draft's text."""
        call = self._calls.edit_draft(release_id, name=name, body=body, prerelease=prerelease)
        self._note(call)
        found = self._find(release_id, call)
        found.release = replace(found.release, name=name, body=body, prerelease=prerelease)
        return found.release

    def publish(self, release_id: int, *, name: str, body: str, prerelease: bool, latest: bool) -> RemoteRelease:
        """Make a draft public."""
        call = self._calls.publish(release_id, name=name, body=body, prerelease=prerelease, latest=latest)
        self._note(call)
        found = self._find(release_id, call)
        tag = found.release.tag
        other = self._published(tag)
        if other is not None and other.id != release_id:
            raise RemoteError(Fault.ALREADY_EXISTS, str(call), Fault.ALREADY_EXISTS.value)
        found.release = replace(
            found.release, name=name, body=body, prerelease=prerelease, draft=False, url=f"{self._web}/tag/{tag}"
        )
        return found.release

    def delete_release(self, release_id: int) -> None:
        """Forget a release."""
        self._note(self._calls.delete_release(release_id))
        self._releases.pop(release_id, None)

    def assets(self, release_id: int) -> tuple[RemoteAsset, ...]:
        """List a release's assets."""
        count = len(self._releases[release_id].assets) if release_id in self._releases else 0
        self._pages(lambda page: self._calls.assets(release_id, page), count)
        found = self._find(release_id, self._calls.assets(release_id, 1))
        return tuple(asset for asset, _ in found.assets.values())

    def upload(self, release_id: int, *, name: str, path: Path, size: int, seconds: float) -> RemoteAsset:  # noqa: ARG002  nothing takes time
        """Read the file as an upload would, and remember its digest."""
        call = self._calls.upload(release_id, name=name)
        digest = hashlib.sha256()
        with Parcel(path, size) as parcel:
            for block in parcel:
                digest.update(block)
        sha256 = digest.hexdigest()
        self._write(f"POST {{uploads}}{call.target} ({_grouped(size)} bytes, sha256 {sha256})")
        found = self._find(release_id, call)
        if any(asset.name == name for asset, _ in found.assets.values()):
            raise RemoteError(Fault.ALREADY_EXISTS, str(call), Fault.ALREADY_EXISTS.value)
        asset = RemoteAsset(
            id=self._number(),
            name=name,
            size=size,
            state="uploaded",
            digest=f"sha256:{sha256}",
            download_url=f"{self._web}/download/{found.release.tag}/{name}",
        )
        found.assets[asset.id] = (asset, path)
        return asset

    def delete_asset(self, asset_id: int) -> None:
        """Forget an asset."""
        self._note(self._calls.delete_asset(asset_id))
        for each in self._releases.values():
            each.assets.pop(asset_id, None)

    def download(self, asset: RemoteAsset, *, seconds: float) -> Iterator[bytes]:  # noqa: ARG002  nothing takes time
        """Give back the bytes of the file that was uploaded."""
        call = self._calls.download(asset.id)
        if self._strange:
            self._write(f"GET {asset.download_url}")
        else:
            self._note(call)
        for each in self._releases.values():
            if asset.id in each.assets and self._sees(each.release):
                path = each.assets[asset.id][1]
                try:
                    with path.open("rb") as file:
                        while block := file.read(_BLOCK):
                            yield block
                except OSError as error:
                    what = f"cannot be read: {error.strerror}"
                    raise PublishError(what, where=str(path), hint="seal again") from error
                return
        raise RemoteError(Fault.NOT_FOUND, str(call), Fault.NOT_FOUND.value)

    def _sees(self, release: RemoteRelease) -> bool:
        return not (self._strange and release.draft)

    def _number(self) -> int:
        self._last += 1
        return self._last

    def _published(self, tag: str) -> RemoteRelease | None:
        mine = (each.release for each in self._releases.values())
        return next((release for release in mine if release.tag == tag and not release.draft), None)

    def _find(self, release_id: int, call: Call) -> _Imagined:
        try:
            return self._releases[release_id]
        except KeyError:
            raise RemoteError(Fault.NOT_FOUND, str(call), Fault.NOT_FOUND.value) from None

    def _pages(self, call_for: Callable[[int], Call], count: int) -> None:
        """Write down the requests of a list: a full last page is asked beyond."""
        for page in range(1, count // PAGE + 2):
            self._note(call_for(page))

    def _note(self, call: Call) -> None:
        text = "" if call.payload is None else f" {payload_text(call.payload)}"
        self._write(f"{call.verb} {call.target}{text}")

    def _write(self, line: str) -> None:
        self.requests.append(line)
        self._say(line)


def _grouped(number: int) -> str:
    """Write a number in groups of three digits."""
    return f"{number:,}".replace(",", " ")
