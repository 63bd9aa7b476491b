"""One repository's releases on GitHub, over PyGithub: one request for each call, and no retries.

Only PyGithub's ``Requester`` is used (authentication, its check of addresses, the pause between writes), not its
objects: those ask again by themselves for a field that an answer lacks, publish a draft whose ``draft`` was not
repeated, and hide the status of an answer that they cannot read. What came back is read from the ``Exchange`` instead,
strictly, and whatever PyGithub makes of it afterwards does not count.
"""

from __future__ import annotations

__all__ = ["GitHubRemote", "connect"]

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import github
import msgspec

from pipeline import __version__
from pipeline.errors import UsageError
from release.github import answers, downloads
from release.github.calls import PAGE, Call, Calls
from release.github.faults import UNFIT, broken, garbled, judge, server_clock
from release.github.hosts import is_loopback
from release.github.parcel import Parcel
from release.github.remote import Fault, RemoteAsset, RemoteError, RemoteRelease, RemoteRepository
from release.github.wire import Answer, Exchange, PatientRequester, address

T = TypeVar("T")

_ACCEPT = "application/vnd.github+json"
_VERSION = "2022-11-28"
_PAGES = 200  # GitHub shows no more than 10 000 entries of anything: a list that goes on is not one
_NESTED = 8  # tags of tags of tags
_CLASSIC = ("ghp_", "gho_")  # how classic tokens begin since 2021
_REPO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*)/[A-Za-z0-9._-]+")


def connect(  # noqa: PLR0913  each by name, each with a default that is right
    *,
    api: str,
    repo: str,
    token: str | None,
    user_agent: str = f"llamatrix/{__version__}",
    seconds: float = 60.0,
    pause: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> GitHubRemote:
    """Make a connection to one repository; nothing is sent yet.

    Args:
        api: The API's address: ``https://api.github.com``. Plain http only for this machine itself.
        repo: ``owner/name``.
        token: The token; None for what anybody sees.
        user_agent: How we introduce ourselves.
        seconds: The whole time of one request that is no upload or download.
        pause: Seconds between two writes. None: 1 second, which keeps clear of GitHub's limit on making content; 0
            for this machine itself.
        say: Told once a minute how far a long upload is.

    Raises:
        UsageError: The address, the repository's name or the token cannot be right.
    """
    own = _check_api(api)
    if not _REPO.fullmatch(repo):
        msg = f"not a repository's name: {repo!r}"
        raise UsageError(msg, where="--repo", hint="write it as owner/name")
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        # requests would quote it, with the header it is in.
        msg = "the token has a character that no token has: a space, a line break, or one outside ASCII"
        raise UsageError(msg, hint="set the variable again; a file's last line break does not belong to the token")
    pause = (0.0 if own else 1.0) if pause is None else pause
    requester = PatientRequester(
        auth=None if token is None else github.Auth.Token(token),
        base_url=api.rstrip("/"),
        timeout=int(seconds),
        user_agent=user_agent,
        per_page=PAGE,
        verify=True,
        retry=0,
        pool_size=None,
        seconds_between_requests=min(pause, 0.25),
        seconds_between_writes=pause,
        lazy=True,
        api_version=_VERSION,
    )
    return GitHubRemote(requester, repo=repo, token=token, seconds=seconds, say=say)


def _check_api(api: str) -> bool:
    """Refuse an address that a token must not be sent to; tell whether it is this machine itself."""
    hint = "an address looks like https://api.github.com, or https://HOST/api/v3"
    try:
        parts = urlsplit(api)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        msg = "not an address"
        raise UsageError(msg, where="--api", hint=hint) from error
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        msg = "an address with a user, a password, a query or a fragment"  # not shown: it may be a secret
        raise UsageError(msg, where="--api", hint=hint)
    own = is_loopback(host)
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and own)):
        msg = f"not an https address: {api!r}"
        raise UsageError(msg, where="--api", hint=f"{hint}; plain http only for 127.0.0.1: it would show the token")
    return own


class GitHubRemote:
    """One repository. Made by ``connect``; implements ``Remote``."""

    def __init__(
        self,
        requester: PatientRequester,
        *,
        repo: str,
        token: str | None,
        seconds: float,
        say: Callable[[str], None],
    ) -> None:
        """See ``connect``."""
        self.where = f"{requester.base_url}/repos/{repo}"
        self._requester = requester
        self._calls = Calls(repo)
        self._token = token
        self._seconds = seconds
        self._say = say
        self._upload_urls: dict[int, str] = {}
        self._admin = False

    def __repr__(self) -> str:
        kind = "anonymous" if self._token is None else "with a token"
        return f"<{type(self).__name__} {self.where}, {kind}>"

    def repository(self) -> RemoteRepository:
        """Give the repository and what the token may do with it."""
        before = time.time()
        call = self._calls.repository()
        answer = self._ask(call)
        after = time.time()
        found = self._read(call, answer, answers.Repository)
        clock = server_clock(answer.headers)
        self._admin = found.permissions is not None and found.permissions.admin
        return RemoteRepository(
            full_name=found.full_name,
            private=found.private,
            default_branch=found.default_branch,
            can_push=self._may_push(found, answer),
            # The server's time has whole seconds: on average it is half a second later.
            clock_skew=None if clock is None else clock + 0.5 - (before + after) / 2,
        )

    def tag_commit(self, tag: str) -> str | None:
        """Give the commit a tag leads to, annotated tags peeled (a request each); None if there is no such tag."""
        call = self._calls.tag_ref(tag)
        answer = self._ask(call, also=(404, 409))  # 409: a repository without any commit
        if answer.status != 200:  # noqa: PLR2004
            return None
        found = self._read(call, answer, answers.Ref)
        if found.ref != f"refs/tags/{tag}":
            raise garbled(str(call), f"it is about {found.ref!r}")
        leads = found.object
        for _ in range(_NESTED):
            if leads.type != "tag":
                break
            call = self._calls.tag_object(leads.sha)
            leads = self._read(call, self._ask(call), answers.TagObject).object
        if leads.type != "commit":
            what = f"the tag leads to no commit but to a {leads.type}"
            raise RemoteError(Fault.INVALID, str(call), what, hint="make the tag anew, on a commit")
        return leads.sha

    def immutable_releases(self) -> bool | None:
        """Tell whether published releases are locked here; None if the token may not ask.

        Only an administrator may. A classic token of somebody else is told what is said where the setting is off: not
        found. All other tokens are told that they may not ask.
        """
        call = self._calls.immutable_releases()
        answer = self._ask(call, also=(403, 404))
        if answer.status == 403:  # noqa: PLR2004
            error = judge(answer, str(call))
            if error.fault is not Fault.FORBIDDEN:
                raise error
            return None
        if answer.status == 404:  # noqa: PLR2004
            classic = "x-oauth-scopes" in answer.headers
            return None if self._token is None or (classic and not self._admin) else False
        return self._read(call, answer, answers.Immutable).enabled

    def releases(self) -> tuple[RemoteRelease, ...]:
        """List every release, drafts included, newest first."""
        return tuple(self._release(each) for each in self._pages(self._calls.releases, list[answers.Release]))

    def release(self, release_id: int) -> RemoteRelease | None:
        """Give one release by its number, or None."""
        return self._one(self._calls.release(release_id))

    def release_by_tag(self, tag: str) -> RemoteRelease | None:
        """Give the published release of a tag, or None; drafts are never found this way."""
        return self._one(self._calls.release_by_tag(tag))

    def create_draft(self, *, tag: str, commit: str, name: str, body: str, prerelease: bool) -> RemoteRelease:
        """Make a new draft."""
        call = self._calls.create_draft(tag=tag, commit=commit, name=name, body=body, prerelease=prerelease)
        return self._release(self._read(call, self._ask(call, creates=True), answers.Release))

    def edit_draft(self, release_id: int, *, name: str, body: str, prerelease: bool) -> RemoteRelease:
        """Change a draft's text; it stays a draft."""
        call = self._calls.edit_draft(release_id, name=name, body=body, prerelease=prerelease)
        return self._release(self._read(call, self._ask(call), answers.Release))

    def publish(self, release_id: int, *, name: str, body: str, prerelease: bool, latest: bool) -> RemoteRelease:
        """Make a draft public."""
        call = self._calls.publish(release_id, name=name, body=body, prerelease=prerelease, latest=latest)
        # 404 has the reason of a release that is made: the tag's workflow files.
        return self._release(self._read(call, self._ask(call, creates=True), answers.Release))

    def delete_release(self, release_id: int) -> None:
        """Delete a draft; one that is not there is fine."""
        self._ask(self._calls.delete_release(release_id), also=(404,))

    def assets(self, release_id: int) -> tuple[RemoteAsset, ...]:
        """List a release's assets, unfinished ones included, all pages."""
        found = self._pages(lambda page: self._calls.assets(release_id, page), list[answers.Asset])
        return tuple(each.remote() for each in found)

    def upload(self, release_id: int, *, name: str, path: Path, size: int, seconds: float) -> RemoteAsset:
        """Stream one file. ``seconds`` is the whole budget: when it is over the connection is cut (Fault.TIMEOUT).

        Of a release that this connection has not seen yet, the address for uploads is asked for first. PublishError if
        the file is not of that size, before or while it is sent.
        """
        call = self._calls.upload(release_id, name=name)
        url = self._upload_url(release_id, call)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size), "Accept": _ACCEPT}
        with Parcel(path, size, say=self._say) as parcel:
            answer = self._exchange(
                call,
                lambda: self._requester.requestMemoryBlobAndCheck(
                    call.verb,
                    url,
                    parameters=dict(call.parameters),
                    headers=headers,
                    file_like=cast("BinaryIO", parcel),  # only its read() and its length are used
                ),
                seconds=seconds,
            )
        self._check(call, answer)
        return self._read(call, answer, answers.Asset).remote()

    def delete_asset(self, asset_id: int) -> None:
        """Delete one asset; one that is not there is fine."""
        self._ask(self._calls.delete_asset(asset_id), also=(404,))

    def download(self, asset: RemoteAsset, *, seconds: float) -> Iterator[bytes]:
        """Stream one asset's content; ``seconds`` is the whole budget.

        With a token through the API, since a draft's files have no public address; without one from the address that
        users are given, which costs nothing of the 60 requests an hour that GitHub grants to strangers.
        """
        own = is_loopback(self._requester.hostname)
        headers = {"User-Agent": "llamatrix", "Accept": "application/octet-stream"}
        if self._token is None:
            return downloads.stream(asset.download_url, asset, headers=headers, seconds=seconds, own=own)
        call = self._calls.download(asset.id)
        headers |= {"X-GitHub-Api-Version": _VERSION, "Authorization": f"token {self._token}"}
        url = f"{self._requester.base_url}{call.path}"
        return downloads.stream(url, asset, headers=headers, seconds=seconds, own=own)

    def _may_push(self, found: answers.Repository, answer: Answer) -> bool:
        """Tell whether the token may write; yes, where only trying can tell.

        Of an app's token, which GITHUB_TOKEN is, GitHub says nothing here, or always no (semantic-release met both).
        Otherwise it speaks of the user; what a classic token was given of that is in a header, which others lack.
        """
        if self._token is None:
            return False
        scopes = {scope.strip() for scope in answer.headers.get("x-oauth-scopes", "").split(",")} - {""}
        classic = bool(scopes) or ("x-oauth-scopes" in answer.headers and self._token.startswith(_CLASSIC))
        if classic and scopes.isdisjoint({"repo"} if found.private else {"repo", "public_repo"}):
            return False
        permissions = found.permissions
        if permissions is None or self._token.startswith("ghs_"):
            return True
        return permissions.push or permissions.maintain or permissions.admin

    def _one(self, call: Call) -> RemoteRelease | None:
        answer = self._ask(call, also=(404,))
        return None if answer.status == 404 else self._release(self._read(call, answer, answers.Release))  # noqa: PLR2004

    def _pages(self, call_for: Callable[[int], Call], kind: type[list[answers.Numbered]]) -> list[answers.Numbered]:
        found: dict[int, answers.Numbered] = {}
        for page in range(1, _PAGES + 1):
            call = call_for(page)
            answer = self._ask(call)
            entries = self._read(call, answer, kind)
            # What moved to the next page while we turned it is listed twice.
            found |= {each.id: each for each in entries if each.id not in found}
            # A full last page is asked beyond: something on the way may have dropped the Link header.
            if not entries or (len(entries) < PAGE and 'rel="next"' not in answer.headers.get("link", "")):
                return list(found.values())
        raise garbled(str(call_for(1)), f"the list goes on after {_PAGES} pages")

    def _release(self, found: answers.Release) -> RemoteRelease:
        if found.upload_url:
            self._upload_urls[found.id] = found.upload_url.partition("{")[0]
        return found.remote()

    def _upload_url(self, release_id: int, call: Call) -> str:
        if release_id not in self._upload_urls and self.release(release_id) is None:
            raise RemoteError(Fault.NOT_FOUND, str(call), "the release is not there any more")
        url = self._upload_urls.get(release_id, "")
        parts = address(url)
        api = urlsplit(self._requester.base_url)
        host = parts.hostname or ""
        family = (api.hostname or "").removeprefix("api.")
        near = host == api.hostname or ("." in family and f".{host}".endswith(f".{family}"))
        # PyGithub would send the token over plain http as well, if only the name is right.
        if parts.scheme != api.scheme or not near:
            raise garbled(str(call), f"the address for uploads is not one of {api.hostname}: {url!r}")
        return url

    def _ask(self, call: Call, *, also: tuple[int, ...] = (), creates: bool = False) -> Answer:
        answer = self._exchange(
            call,
            lambda: self._requester.requestJson(
                call.verb,
                call.path,
                parameters=dict(call.parameters),
                headers={"Accept": _ACCEPT},
                input=None if call.payload is None else dict(call.payload),
            ),
            seconds=self._seconds,
        )
        self._check(call, answer, also=also, creates=creates)
        return answer

    def _exchange(self, call: Call, send: Callable[[], object], *, seconds: float) -> Answer:
        with Exchange(seconds) as exchange:
            try:
                with exchange.current():
                    send()
            except UNFIT as error:
                # With an answer it is only PyGithub's opinion of it.
                if exchange.answer is None:
                    raise broken(error, exchange, str(call)) from error
        if exchange.answer is None:
            raise garbled(str(call), "none came")
        return exchange.answer

    def _check(self, call: Call, answer: Answer, *, also: tuple[int, ...] = (), creates: bool = False) -> None:
        if answer.status in {200, 201, 204} or answer.status in also:
            return
        raise self._mask(judge(answer, str(call), creates=creates))

    def _mask(self, error: RemoteError) -> RemoteError:
        """Take the token out of what GitHub said, should it ever repeat it."""
        if self._token and self._token in error.what:
            error.what = error.what.replace(self._token, "***")
            error.args = (f"{error.request}: {error.what}",)
        return error

    def _read(self, call: Call, answer: Answer, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            what = "it is empty" if not answer.body else str(error)
            raise garbled(str(call), what, status=answer.status) from error
