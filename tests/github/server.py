"""The listening side: a threading HTTP server on 127.0.0.1 that can be stopped with nothing left behind."""

from __future__ import annotations

__all__ = ["Server"]

import contextlib
import socket
import sys
import threading
from http.server import HTTPServer

from tests.github.handler import Handler
from tests.github.world import World


class Server(HTTPServer):
    """One thread accepts, one more serves each connection; ``stop`` ends all of them, at once.

    Not ``serve_forever``: it looks every so often whether it should stop, and thousands of fakes are stopped in a run.
    """

    request_queue_size = 64

    def __init__(self, world: World, port: int) -> None:
        """Bind and listen."""
        self.world = world
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        self._stopping = False
        super().__init__(("127.0.0.1", port), Handler)
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def start(self) -> None:
        """Accept connections from now on."""
        self._accepting.start()

    def stop(self) -> None:
        """End every hang and every connection, and wait for their threads."""
        self.world.faults.release()
        self._stopping = True
        # Whoever waits for a connection is woken up by one.
        socket.create_connection(("127.0.0.1", self.server_port)).close()
        self._accepting.join()
        self.server_close()
        with self._guard:
            threads = list(self._open.values())
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)

    def handle_error(self, request: object, client_address: object) -> None:
        """A bug in the fake must not look like a fault of GitHub: it is kept, and raised at the end."""
        error = sys.exception()
        if error is not None:
            self.world.errors.append(error)

    def server_bind(self) -> None:
        """Bind, without asking a name server who 127.0.0.1 is."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def _accept(self) -> None:
        while True:
            connection, address = self.socket.accept()
            if self._stopping:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection, address), daemon=True)
            with self._guard:
                self._open[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        try:
            self.finish_request(connection, address)
        except Exception:  # noqa: BLE001 - kept, and raised when the fake is stopped
            self.handle_error(connection, address)
        finally:
            self.shutdown_request(connection)
            with self._guard:
                del self._open[connection]
