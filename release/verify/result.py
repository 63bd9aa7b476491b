"""What a verification that found nothing wrong has established."""

from __future__ import annotations

__all__ = ["Verified"]

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A release, or a part of one, that is what it claims to be.

    ``lines`` tell people what was checked, and what was not. ``manifest_version`` is what the next verification may
    insist on (``at_least``); None if the manifest was not there. ``files`` counts those whose digests were compared.
    ``immutable`` is None for a folder.
    """

    repo: str
    tag: str
    commit: str
    key_id: str
    manifest_sha256: str
    manifest_version: int | None
    files: int
    bundles: tuple[str, ...]
    missing: tuple[str, ...]
    deep: bool
    forged: bool | None
    minisign: str | None
    immutable: bool | None
    lines: tuple[str, ...]

    def record(self) -> dict[str, object]:
        """Give it as plain values, fit for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
