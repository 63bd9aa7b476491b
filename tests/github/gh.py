"""Debian's real ``gh`` against the fake: another client, by other people, that reads what we published.

gh speaks plain HTTP to ``github.localhost`` only, and to port 80. A proxy spares us port 80, /etc/hosts and a network
namespace with root: gh sends it every request with the whole address, and the fake, taken for the proxy, answers.
"""

from __future__ import annotations

__all__ = ["HOST", "gh_version", "run_gh"]

import os
import re
import shutil
import subprocess
from pathlib import Path

HOST = "github.localhost"


def _gh() -> str:
    path = shutil.which("gh")
    if path is None:
        msg = "gh is not installed: apt-get install gh; a test that needs it is marked tools and never skipped"
        raise AssertionError(msg)
    return path


def run_gh(url: str, *arguments: str, token: str, folder: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run gh in ``folder`` against the fake at ``url``; its settings stay in ``folder/.gh``.

    Raises:
        AssertionError: gh is not installed, or failed although ``check`` was asked for.
    """
    home = folder / ".gh"
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GH_CONFIG_DIR": str(home),
        "GH_HOST": HOST,
        "GH_TOKEN": token,
        "GH_ENTERPRISE_TOKEN": token,
        "HTTP_PROXY": url,
        "GH_NO_UPDATE_NOTIFIER": "1",
        "GH_PROMPT_DISABLED": "1",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        [_gh(), *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    if check and done.returncode:
        msg = f"gh {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        raise AssertionError(msg)
    return done


def gh_version() -> tuple[int, int]:
    """The installed version."""
    text = subprocess.run([_gh(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"gh version (\d+)\.(\d+)", text)
    assert found is not None, text
    return int(found[1]), int(found[2])
