"""One container from its start to its removal, and what it prints meanwhile.

Waiting is done by a thread of its own, because Docker's wait has no usable timeout: when it expires the container runs
on and the SDK raises a connection error. The deadline is kept by the caller's thread, which never blocks for long.
"""

from __future__ import annotations

__all__ = ["Stream", "Watch", "attach", "docker_errors", "remove_container"]

import os
import selectors
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline.engines.base import Ending
from pipeline.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.containers import Container

    from pipeline.engines.base import Cancel
    from pipeline.engines.transcript import Transcript

_STEP = 0.1
_KILL_SECONDS = 15.0
_DRAIN_SECONDS = 5.0
_FRAME_HEADER = 8
_HELD_LIMIT = 64 * 1024


class Watch:
    """One container from its start to its removal."""

    def __init__(self, container: Container) -> None:
        """Watch ``container``, which is not started yet."""
        self.code: int | None = None
        self.stopped: Ending | None = None
        self.out_of_memory = False
        self.notes: list[str] = []
        self._container = container
        self._error: Exception | None = None

    def follow(self, stream: Stream, transcript: Transcript, cancel: Cancel, deadline: float) -> None:
        """Copy output until the container ends; past the deadline or on cancellation kill it."""
        done, said = os.pipe()
        # The waiter owns its end of the pipe: a daemon that hangs may keep it waiting after we are gone.
        threading.Thread(target=self._wait, args=(said,), name="llamatrix-wait", daemon=True).start()
        give_up = deadline + _KILL_SECONDS
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(stream, selectors.EVENT_READ)
                selector.register(done, selectors.EVENT_READ)
                while done in selector.get_map():
                    for key, _ in selector.select(_STEP):
                        if key.fd == done:
                            selector.unregister(done)
                        elif not stream.copy(transcript):
                            selector.unregister(stream)
                    now = time.monotonic()
                    if self.stopped is None and (cancel.is_set() or now >= deadline):
                        self.stopped = Ending.CANCELLED if cancel.is_set() else Ending.TIMED_OUT
                        give_up = now + _KILL_SECONDS
                        self._kill()
                    elif now >= give_up:
                        self.notes.append(f"Docker did not end container {self._container.name} in time")
                        return
                until = time.monotonic() + _DRAIN_SECONDS
                while stream in selector.get_map() and time.monotonic() < until:
                    if selector.select(_STEP) and not stream.copy(transcript):
                        selector.unregister(stream)
        finally:
            os.close(done)
            stream.finish(transcript)
        if self._error is not None:
            raise self._error

    def _wait(self, said: int) -> None:
        try:
            self.code = int(self._container.wait(timeout=None)["StatusCode"])
        except Exception as error:  # noqa: BLE001 - whatever it is, the main thread raises it
            self._error = error
        finally:
            os.close(said)

    def _kill(self) -> None:
        from docker.errors import APIError  # noqa: PLC0415 - the SDK takes a fifth of a second

        try:
            self._container.kill()
        except APIError:
            # It ended by itself meanwhile, or was never started; removing it by force comes next anyway.
            return

    def inspect(self) -> None:
        """Ask how it ended."""
        self._container.reload()
        state = self._container.attrs.get("State", {})
        self.out_of_memory = bool(state.get("OOMKilled"))

    def remove(self) -> None:
        """Remove the container; a failure is told, not raised, and the next sweep tries again."""
        try:
            with docker_errors("cannot remove the container"):
                remove_container(self._container)
        except EngineError as error:
            self.notes.append(f"container {self._container.name} stays behind: {error.what}")


class Stream:
    """The attached connection: frames of standard output and error, each cut into whole lines before they are mixed.

    Docker reads the two through pipes of their own, so their order against each other is only about right; a terminal
    would keep it, but programs behave differently on one.
    """

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - the SDK gives a different object for each transport
        """Take over the attached connection."""
        self._raw = raw
        self._data = bytearray()
        self._held: dict[int, bytes] = {}

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return int(self._raw.fileno())

    def copy(self, transcript: Transcript) -> bool:
        """Read once; False at the end of the output."""
        try:
            data = os.read(self.fileno(), 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._data += data
        while len(self._data) >= _FRAME_HEADER:
            size = int.from_bytes(self._data[4:_FRAME_HEADER], "big")
            if len(self._data) < _FRAME_HEADER + size:
                break
            source = self._data[0]
            text = self._held.pop(source, b"") + self._data[_FRAME_HEADER : _FRAME_HEADER + size]
            del self._data[: _FRAME_HEADER + size]
            cut = text.rfind(b"\n") + 1
            if len(text) - cut > _HELD_LIMIT:
                cut = len(text)
            transcript.feed(text[:cut])
            self._held[source] = text[cut:]
        return bool(data)

    def finish(self, transcript: Transcript) -> None:
        """Hand over unfinished lines."""
        for text in self._held.values():
            transcript.feed(text)
        self._held.clear()

    def close(self) -> None:
        """Close the connection."""
        # The SDK hangs the HTTP response on the raw stream; closing that one closes the socket as well.
        getattr(self._raw, "_response", self._raw).close()


def attach(container: Container) -> Stream:
    """Connect to what a container prints; done before its start, nothing is lost."""
    return Stream(container.attach_socket(params={"stdout": 1, "stderr": 1, "stream": 1}))


def remove_container(container: Container) -> None:
    """Remove a container and its volumes, running or not; one that is gone already is fine."""
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - the SDK takes a fifth of a second

    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if "already in progress" not in str(error):
            raise


@contextmanager
def docker_errors(what: str, *, where: str | None = None, hint: str | None = None) -> Iterator[None]:
    """Turn whatever the SDK and its HTTP library raise into one error a person can act on."""
    from docker.errors import APIError, DockerException  # noqa: PLC0415 - the SDK takes a fifth of a second
    from requests.exceptions import RequestException  # noqa: PLC0415 - the SDK takes a fifth of a second
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - the SDK takes a fifth of a second

    def fail(error: Exception, why: str) -> NoReturn:
        msg = f"{what}: {why}"
        raise EngineError(msg, where=where, hint=hint) from error

    try:
        yield
    except APIError as error:
        fail(error, str(error.explanation or error))
    except (DockerException, RequestException, HTTPError, OSError) as error:
        fail(error, str(error) or type(error).__name__)
