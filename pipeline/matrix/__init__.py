"""matrix.yaml: what may stand in it, how it is read, and which cells follow from it."""

from __future__ import annotations
