"""The release's text, from data."""
