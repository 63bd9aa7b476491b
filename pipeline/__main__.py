"""``python -m pipeline``: the front door that nox and GitHub Actions call."""

from __future__ import annotations

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
