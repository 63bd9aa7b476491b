"""Which release is meant: repository, tag, commit and the forge's addresses, from the command line or the CI."""

from __future__ import annotations

__all__ = ["Forge", "find_commit", "identify"]

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dulwich.errors import NotGitRepository
from dulwich.objects import Tag
from dulwich.refs import Ref
from dulwich.repo import Repo

from pipeline.errors import UsageError
from release.github.hosts import is_own_address
from release.model import ReleaseId

_REPO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}", re.ASCII)
_TAG = re.compile(r"v?\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_MAX_PEELS = 8
_API = "https://api.github.com"
_SERVER = "https://github.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Forge:
    """Where requests go: ``api`` and ``server`` are base addresses without a slash at the end."""

    api: str
    server: str

    @property
    def loopback(self) -> bool:
        """Whether this is a stand-in on this machine, which alone may receive forged bundles."""
        return is_own_address(self.api) and is_own_address(self.server)

    @classmethod
    def of(cls, api: str | None, environ: Mapping[str, str]) -> Forge:
        """Take ``--api``, else what GitHub Actions says, else github.com."""
        chosen = (api or environ.get("GITHUB_API_URL") or _API).rstrip("/")
        # A stand-in serves everything at one address, and github.com's is known: GITHUB_SERVER_URL of a runner that
        # belongs to another forge must not leak into either.
        if is_own_address(chosen):
            default = chosen
        elif chosen == _API:
            default = _SERVER
        else:
            default = environ.get("GITHUB_SERVER_URL") or _SERVER
        return cls(api=chosen, server=default.rstrip("/"))


def identify(  # noqa: PLR0913  each by name
    *, tag: str, repo: str | None, commit: str | None, forge: Forge, environ: Mapping[str, str], root: Path
) -> ReleaseId:
    """Put together which release is meant, or raise UsageError saying which part is missing or impossible."""
    name = repo or environ.get("GITHUB_REPOSITORY") or ""
    if not _REPO.fullmatch(name):
        what = f"{name!r} is no repository" if name else "no repository was named"
        raise UsageError(what, where="--repo", hint="write --repo OWNER/NAME")
    if not _TAG.fullmatch(tag):
        msg = f"{tag!r} is no tag of a version"
        raise UsageError(msg, where="--tag", hint="write the version with a v, for example v0.1.0")
    local, ci = find_commit(root, tag), environ.get("GITHUB_SHA") or None
    if commit is None and None not in {local, ci} and local != ci:
        # A workflow that was started by hand runs on a branch, whose commit GITHUB_SHA names.
        msg = f"the tag {tag} here leads to commit {local}, and GITHUB_SHA is {ci}"
        raise UsageError(msg, where="--commit", hint="run the workflow on the tag, or name the commit with --commit")
    found = commit or ci or local
    if found is None:
        msg = f"there is no tag {tag} in the repository here"
        raise UsageError(msg, where="--tag", hint=f"make it (git tag {tag}), or name the commit with --commit")
    if not _COMMIT.fullmatch(found):
        msg = f"{found!r} is no full commit id"
        raise UsageError(msg, where="--commit", hint="give all 40 hex digits")
    return ReleaseId(repo=name, tag=tag, commit=found, server=forge.server)


def find_commit(root: Path, tag: str) -> str | None:
    """Give the commit a local tag leads to, annotated tags peeled; None without a repository or such a tag."""
    try:
        repository = Repo.discover(str(root))
    except NotGitRepository:
        return None
    with repository:
        try:
            name = repository.refs[Ref(f"refs/tags/{tag}".encode())]
            for _ in range(_MAX_PEELS):
                found = repository[name]
                if not isinstance(found, Tag):
                    return name.decode("ascii")
                name = found.object[1]
        except KeyError:
            return None
    return None
