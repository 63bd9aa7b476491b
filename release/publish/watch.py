"""What goes on beside a long piece of work: a sign of life every minute."""

from __future__ import annotations

__all__ = ["heartbeat"]

import contextlib
import threading
from collections.abc import Callable, Iterator

_EVERY = 60.0


@contextlib.contextmanager
def heartbeat(say: Callable[[str], None], what: str, *, every: float = _EVERY) -> Iterator[None]:
    """Say once a minute that the work in this block still goes on; ``say`` is called from another thread."""
    over = threading.Event()

    def beat() -> None:
        minutes = 0
        while not over.wait(every):
            minutes += 1
            say(f"{what}: still at it after {minutes} min")

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
