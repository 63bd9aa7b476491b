"""How GitHub says no: statuses and bodies as in its description, its documentation and the recorded transcript."""

from __future__ import annotations

__all__ = ["Refused", "bad_credentials", "forbidden", "invalid", "not_found", "primary_limit", "secondary_limit"]

from collections.abc import Mapping

DOCS = "https://docs.github.com/rest"
_LIMITS = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"


class Refused(Exception):  # noqa: N818 - what the server answers, not an error of the server
    """The request is answered with this instead of being carried out."""

    def __init__(
        self, status: int, body: Mapping[str, object] | None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """A body of None is an empty reply."""
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def _plain(status: int, message: str, docs: str = DOCS) -> Refused:
    return Refused(status, {"message": message, "documentation_url": docs, "status": str(status)})


def bad_credentials() -> Refused:
    """An unknown token: 401, also for what everybody may read."""
    return _plain(401, "Bad credentials")


def unauthenticated() -> Refused:
    """A write without any token."""
    return _plain(401, "Requires authentication")


def not_found() -> Refused:
    """What is not there, or what this token may not know of."""
    return _plain(404, "Not Found")


def forbidden() -> Refused:
    """A fine-grained token without the permission."""
    return _plain(403, "Resource not accessible by integration")


def unparsable() -> Refused:
    """A body that is not JSON."""
    return _plain(400, "Problems parsing JSON")


def signed_twice() -> Refused:
    """The storage behind downloads: its addresses are signed, and a token beside that is one too many."""
    return _plain(400, "Authentication information is given in the address and in a header")


def length_required() -> Refused:
    """An upload that does not say how long it is."""
    return _plain(411, "Content-Length required")


def invalid(*, resource: str, code: str, field: str, message: str | None = None) -> Refused:
    """422 with one error."""
    error = {"resource": resource, "code": code, "field": field}
    if message is not None:
        error["message"] = message
    return Refused(422, {"message": "Validation Failed", "errors": [error], "documentation_url": DOCS, "status": "422"})


def refused_upload(request_id: str, code: str, field: str, message: str | None = None) -> Refused:
    """422 of the uploads host: the body of the recorded transcript, key by key."""
    error = {"resource": "ReleaseAsset", "code": code, "field": field}
    if message is not None:
        error["message"] = message
    return Refused(
        422,
        {"message": "Validation Failed", "request_id": request_id, "documentation_url": DOCS, "errors": [error]},
    )


def immutable(*, what: str) -> Refused:
    """422 for a change to an immutable release."""
    return Refused(422, {"message": what, "documentation_url": DOCS, "status": "422"})


def secondary_limit(*, status: int = 403, retry_after: int | None = None) -> Refused:
    """Too many requests of a kind; comes as 403 or 429, and not always with Retry-After."""
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    docs = f"{_LIMITS}#about-secondary-rate-limits"
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Refused(status, {"message": message, "documentation_url": docs}, headers=headers)


def primary_limit(*, reset: int, status: int = 403) -> Refused:
    """The hour's budget is used up."""
    message = "API rate limit exceeded for user ID 1001."
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
    return Refused(status, {"message": message, "documentation_url": _LIMITS}, headers=headers)


def server_error(status: int) -> Refused:
    """5xx as GitHub's front end writes it."""
    return Refused(status, {"message": "Server Error"})
