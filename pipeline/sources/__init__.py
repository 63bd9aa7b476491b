"""Pinned upstream sources: fetched from mirrors nobody has to trust, proven to be the commit, kept by content."""
