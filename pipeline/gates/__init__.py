"""Checks of a packed bundle that can fail."""
