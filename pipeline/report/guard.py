"""Boards must not break a build: what goes wrong inside one is kept, not raised."""

from __future__ import annotations

__all__ = ["Guarded", "guarded"]

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
G = TypeVar("G", bound="Guarded")


class Guarded:
    """Something whose methods swallow errors; ``trouble`` keeps the first one for whoever wants to know."""

    trouble: str | None = None


def guarded(method: Callable[Concatenate[G, P], None]) -> Callable[Concatenate[G, P], None]:
    """Keep the first exception of ``method`` in ``trouble`` instead of letting it out."""

    @wraps(method)
    def wrapper(self: G, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a closed terminal or a bug here must not end a build
            if self.trouble is None:
                self.trouble = f"{type(error).__name__}: {error}"

    return wrapper
