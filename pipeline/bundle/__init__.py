"""Composing, packing and reading bundles."""
