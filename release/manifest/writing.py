"""The manifest's bytes: sorted keys, UTF-8, one LF at the end. The signature is over these bytes and no others."""

from __future__ import annotations

__all__ = ["digest_of", "render"]

import hashlib
import json

import msgspec

from release.errors import ManifestError
from release.manifest.records import Manifest


def render(manifest: Manifest) -> bytes:
    """Give the bytes of manifest.json; equal manifests give equal bytes."""
    text = json.dumps(msgspec.to_builtins(manifest), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError as error:
        msg = f"a text in it is not Unicode: {error.reason} at character {error.start}"
        raise ManifestError(msg, where="manifest.json", hint="look for \\ud800 and the like in matrix.yaml") from error


def digest_of(manifest: Manifest) -> str:
    """Give the SHA-256 of the manifest's bytes; a manifest that was read has exactly the bytes it is written as."""
    return hashlib.sha256(render(manifest)).hexdigest()
