"""Runs llamatrix in this process and writes down what it did to the outside world, as the interpreter saw it.

``python -m benchmarks.witness FILE COMMAND...``. An audit hook sees every file that is opened, every process that is
started and every HTTP request, whichever module does it; nothing of llamatrix is asked or replaced.
"""

from __future__ import annotations

__all__ = ["Seen", "main"]

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cli import main as llamatrix


@dataclass(kw_only=True)
class Seen:
    """Archives opened, programs started, and requests that change something (Docker's API is HTTP)."""

    archives: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def hook(self, event: str, details: tuple[Any, ...]) -> None:
        """Take one event of the interpreter."""
        if event == "open" and isinstance(details[0], str | bytes | os.PathLike):
            name = os.fsdecode(details[0])
            if ".tar" in Path(name).name:
                self.archives.append(name)
        elif event in {"subprocess.Popen", "os.exec", "os.posix_spawn"}:
            self.programs.append(str(details[0]))
        elif event == "os.system":
            self.programs.append(os.fsdecode(details[0]))
        elif event == "http.client.send":
            first = bytes(details[1]).partition(b"\r\n")[0].decode("ascii", errors="replace")
            if first.startswith(("POST ", "PUT ", "DELETE ")):
                self.requests.append(first)


def main(argv: Sequence[str]) -> int:
    """Run the command under the hook."""
    place, *command = argv
    seen = Seen()
    sys.addaudithook(seen.hook)
    code = llamatrix(command)
    Path(place).write_text(json.dumps(asdict(seen)), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
