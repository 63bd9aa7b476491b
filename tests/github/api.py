"""The smallest client that can ask the fake anything: for the fake's own tests, and to look in from outside."""

from __future__ import annotations

__all__ = ["Api"]

from types import TracebackType
from typing import Self

import requests

from tests.github.fake import FakeGitHub
from tests.github.state import PUSH_TOKEN


class _Session(requests.Session):
    """Leaves the token behind on the way to the storage, which is another host in truth."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        if "/storage/" in (prepared_request.url or ""):
            prepared_request.headers.pop("Authorization", None)


class Api:
    """One client with one token (None: anonymous). Paths are below the repository unless they start with a slash."""

    def __init__(self, fake: FakeGitHub, token: str | None = PUSH_TOKEN) -> None:
        """Connections are kept open: close it, or use it in a with statement."""
        self.fake = fake
        self.session = _Session()
        self.session.trust_env = False
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.session.close()

    def ask(
        self, method: str, path: str, *, json: object = None, headers: dict[str, str] | None = None, follow: bool = True
    ) -> requests.Response:
        """Send one request; the answer is whatever it is."""
        full = path if path.startswith("/") else f"/repos/{self.fake.state.repo}/{path}".rstrip("/")
        return self.session.request(
            method, self.fake.url + full, json=json, headers=headers, timeout=30, allow_redirects=follow
        )

    def get(self, path: str, **headers: str) -> requests.Response:
        """GET."""
        return self.ask("GET", path, headers=headers)

    def create(self, tag: str = "v1", **fields: object) -> requests.Response:
        """POST a release; a draft unless it is said otherwise."""
        return self.ask("POST", "releases", json={"tag_name": tag, "draft": True, **fields})

    def draft(self, tag: str = "v1", **fields: object) -> int:
        """Make a draft, and give its number."""
        reply = self.create(tag, **fields)
        assert reply.status_code == 201, reply.text
        return int(reply.json()["id"])

    def publish(self, number: int, **fields: object) -> requests.Response:
        """PATCH a draft into a published release."""
        return self.ask("PATCH", f"releases/{number}", json={"draft": False, **fields})

    def upload(self, number: int, name: str, data: bytes = b"data", **more: str) -> requests.Response:
        """POST an asset to the uploads host."""
        return self.session.post(
            f"{self.fake.url}/repos/{self.fake.state.repo}/releases/{number}/assets",
            params={"name": name, **more},
            data=data,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(len(data))},
            timeout=30,
        )
