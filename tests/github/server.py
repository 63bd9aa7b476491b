"""The listening side: a threading HTTP server on 127.0.0.1 that can be stopped with nothing left behind."""

from __future__ import annotations

__all__ = ["Server"]

import contextlib
import socket
import sys
import threading
from http.server import ThreadingHTTPServer

from tests.github.handler import Handler
from tests.github.world import World


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1; ``stop`` ends every connection and every thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, world: World, port: int) -> None:
        """Bind; ``serve_forever`` is run by whoever made it."""
        self.world = world
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve one connection, and know about it while it lasts."""
        assert isinstance(request, socket.socket)
        with self._guard:
            self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                del self._open[request]

    def handle_error(self, request: object, client_address: object) -> None:
        """A bug in the fake must not look like a fault of GitHub: it is kept, and raised at the end."""
        error = sys.exception()
        if error is not None:
            self.world.errors.append(error)

    def stop(self) -> None:
        """End every hang and every connection, and wait for their threads."""
        self.world.faults.release()
        self.shutdown()
        with self._guard:
            threads = list(self._open.values())
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        self.server_close()
