"""Which addresses are this machine's own: plain http goes nowhere else, and neither do forged bundles."""

from __future__ import annotations

__all__ = ["is_loopback", "is_own_address"]

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself, by its address or as ``localhost``; other names are not resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_own_address(url: str) -> bool:
    """Tell the same of a whole address; what is none is not ours."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
