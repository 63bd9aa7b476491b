"""One request from its first line to its answer, and everything that may go wrong in between, as planned."""

from __future__ import annotations

__all__ = ["Handler"]

import json
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, urlsplit

from tests.github import endpoints, refusals, render
from tests.github.actions import Upload, begin_upload
from tests.github.bodies import Interrupted
from tests.github.exchanges import DroppedError, Exchange, Reply
from tests.github.faults import Act, Answer, Effect, Hang, Point, Reset, Stale, Tamper, Truncate
from tests.github.refusals import Refused
from tests.github.routes import Call, find
from tests.github.wire import Wire

_SECRET = {"authorization", "cookie", "proxy-authorization"}
Due = Sequence[tuple[Point, Effect]]


class _EarlyError(Exception):
    """The answer is given before the body has been read."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Handler(Wire):
    """One connection."""

    def _serve(self) -> None:
        exchange = self._exchange()
        self.unread = int(self.headers.get("Content-Length") or 0)
        self.world.exchanges.append(exchange)
        if self.headers.get("Connection", "").lower() == "close":
            self.close_connection = True
        self._remember()
        due = self.world.faults.due(exchange)
        exchange.faults = tuple(f"{effect} {point}" for point, effect in due)
        try:
            self._play(exchange, due)
        except DroppedError:
            self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 - http.server's names

    def _remember(self) -> None:
        """From the first request on, where a planned read will lag behind."""
        if self.world.state.past is None and self.world.faults.rules and self.world.faults.lagging:
            self.world.state.past = []

    def _exchange(self) -> Exchange:
        # A client that takes us for a proxy sends the whole address: gh can be pointed at us that way.
        target = urlsplit(self.path)
        path = target.path or "/"
        number = next(self.world.numbers)
        state = self.world.state
        return Exchange(
            number=number,
            method=self.command,
            path=path,
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers={key.title(): value for key, value in self.headers.items() if key.lower() not in _SECRET},
            route=find(self.command, path, self.headers.get("Accept", "")),
            host=self.headers.get("Host", "127.0.0.1"),
            token=state.tokens.get(self._credential() or ""),
            reply_headers={"X-GitHub-Request-Id": f"FA4E:{number:05X}:0000000:0000000:00000000"},
        )

    def _credential(self) -> str | None:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        return value.strip() if scheme.lower() in {"token", "bearer"} else scheme or None

    def _play(self, exchange: Exchange, due: Due) -> None:
        if exchange.call is not Call.UPLOAD:
            self.read_json(exchange)
        try:
            reply = self._before(due)
            if reply is None:
                reply = self._after(due, self._carry_out(exchange, due))
        except _EarlyError as early:
            reply = _reply(early.answer)
        self.drain()
        halves = exchange.call is not Call.UPLOAD and any(point is Point.MIDDLE for point, _ in due)
        self._send(exchange, reply, due if halves else ())

    def _before(self, due: Due) -> Reply | None:
        for point, effect in due:
            if point is Point.BEFORE:
                match effect:
                    case Answer():
                        return _reply(effect)
                    case Truncate():
                        self.drain()
                        self.truncated(Reply(status=200, json={"id": 1, "name": "cut"}), framed=effect.framed)
                    case _:
                        self._happen(effect)
        return None

    def _after(self, due: Due, reply: Reply) -> Reply:
        for point, effect in due:
            if point is Point.AFTER:
                match effect:
                    case Answer():
                        return _reply(effect)
                    case Truncate():
                        self.truncated(reply, framed=effect.framed)
                    case _:
                        self._happen(effect)
        return reply

    def _happen(self, effect: Effect) -> None:
        """What has nothing to do with the answer's text."""
        match effect:
            case Act():
                effect.run()
            case Reset():
                self.reset()
            case Hang():
                self.world.faults.released.wait(effect.seconds)
                if not effect.answer:
                    raise DroppedError
            case _:
                pass  # Stale and Tamper act where the request is carried out

    def _carry_out(self, exchange: Exchange, due: Due) -> Reply:
        try:
            reply = self._obey(exchange, due)
        except Refused as refused:
            return Reply(status=refused.status, json=refused.body, headers=refused.headers)
        exchange.carried_out = True
        return reply

    def _obey(self, exchange: Exchange, due: Due) -> Reply:
        state = self.world.state
        effects = [effect for _, effect in due]
        if self.headers.get("Authorization"):
            # gh takes GH_ENTERPRISE_TOKEN, which it needs to talk to us, along to every host but github.com.
            if exchange.call is Call.STORAGE and not exchange.headers.get("User-Agent", "").startswith("GitHub CLI"):
                raise refusals.signed_twice()
            if exchange.token is None:
                raise refusals.bad_credentials()
        self._limit(exchange)
        if exchange.call is Call.UPLOAD:
            return self._upload(exchange, due)
        with state.lock:
            behind = [effect.behind for effect in effects if isinstance(effect, Stale)]
            reads = state.lagging(behind[0]) if behind and not exchange.call.writes else state.releases
            return endpoints.answer(state, exchange, reads)

    def _limit(self, exchange: Exchange) -> None:
        """The secondary limit for what creates content, where a test asked for it."""
        allowed = self.world.state.limits.writes_per_minute
        if allowed is None or not exchange.call.writes:
            return
        now = self.world.state.now()
        recent = [moment for moment in self.world.writes if now - moment < 60]
        if len(recent) >= allowed:
            raise refusals.secondary_limit(retry_after=int(60 - (now - recent[0])) + 1)
        self.world.writes[:] = [*recent, now]

    def _upload(self, exchange: Exchange, due: Due) -> Reply:
        state = self.world.state
        length = self.headers.get("Content-Length")
        with state.lock:
            endpoints.allow(state, exchange)
            release = endpoints.find_release(exchange, state.releases)
            if length is None:
                self.close_connection = True
                raise refusals.length_required()
            upload = begin_upload(
                state,
                endpoints.actor(exchange),
                release,
                name=exchange.query.get("name", ""),
                label=exchange.query.get("label", ""),
                content_type=self.headers.get("Content-Type", "application/octet-stream"),
                size=int(length),
            )
        self._receive(exchange, upload, due)
        with state.lock:
            shown = render.asset_json(state, release, upload.asset, exchange.hosts)
        return Reply(status=201, json=shown, headers={"Location": str(shown["url"])})

    def _receive(self, exchange: Exchange, upload: Upload, due: Due) -> None:
        state = self.world.state
        length, self.unread = self.unread, 0

        def halfway() -> None:
            self.unread = length - length // 2
            for point, effect in due:
                if point is Point.MIDDLE:
                    match effect:
                        case Answer():
                            raise _EarlyError(effect)
                        case Truncate():
                            raise DroppedError
                        case _:
                            self._happen(effect)
            self.unread = 0

        disturbed = any(point is Point.MIDDLE for point, _ in due)
        try:
            body = self.world.bodies.receive(self.rfile, length, halfway=halfway if disturbed else None)
        except (_EarlyError, DroppedError, Interrupted, OSError) as gone:
            with state.lock:
                upload.interrupt()
            if isinstance(gone, _EarlyError):
                raise
            raise DroppedError from gone
        exchange.uploaded = (body.size, body.sha256)
        with state.lock:
            upload.finish(body, [effect.change for _, effect in due if isinstance(effect, Tamper)])

    def _send(self, exchange: Exchange, reply: Reply, middle: Due) -> None:
        data = b"" if reply.json is None else json.dumps(reply.json, separators=(",", ":")).encode()
        length = reply.length if reply.stream is not None else len(data)
        exchange.reply_headers = self.reply_headers(exchange, reply, length)
        exchange.reply = reply.json
        # Noted before the client can know: whoever has the answer finds the exchange complete.
        exchange.status = reply.status
        head = self.head(reply.status, exchange.reply_headers)
        if self.command == "HEAD":
            self.wfile.write(head)
            return
        chunks: Iterable[bytes] = reply.stream if reply.stream is not None else [data]
        if not middle:
            self.write(head, chunks)
            return
        exchange.status = None
        if not length:
            head = head[:9]  # nothing to cut but the head, and clients forgive all but a broken first line
        self.write(head, _first(chunks, length // 2))
        for _, effect in middle:
            self._happen(effect)
            if isinstance(effect, Answer):
                self.reset()
            if isinstance(effect, Truncate):
                raise DroppedError
        raise DroppedError


def _first(chunks: Iterable[bytes], length: int) -> Iterable[bytes]:
    for chunk in chunks:
        yield chunk[:length]
        length -= len(chunk)
        if length <= 0:
            return


def _reply(answer: Answer) -> Reply:
    return Reply(status=answer.status, json=answer.body, headers=dict(answer.headers))
