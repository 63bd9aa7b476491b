"""Bundles become a published release: collect, seal, publish, verify. ``pipeline`` never imports this package."""

from __future__ import annotations

__all__: list[str] = []
