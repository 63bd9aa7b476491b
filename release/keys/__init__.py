"""Minisign keys and signatures: the release's one secret."""
