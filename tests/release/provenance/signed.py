"""Envelopes as an attacker would make them: any content, any key, any form."""

from __future__ import annotations

__all__ = ["KEY", "OTHER_KEY", "Parts", "statement_of"]

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from release.keys.keyfile import SecretKey
from release.keys.pem import hint
from release.provenance.bundle import MEDIA_TYPE
from release.provenance.dsse import PAYLOAD_TYPE, pae

KEY = SecretKey(key_id=b"llamatrx", seed=bytes(range(32)))
OTHER_KEY = SecretKey(key_id=b"llamatrx", seed=bytes(range(1, 33)))


@dataclass(kw_only=True)
class Parts:
    """A bundle by its parts; ``line`` signs the payload as it is and writes the line as we do."""

    payload: bytes
    key: SecretKey = KEY
    payload_type: str = PAYLOAD_TYPE
    edit: Callable[[dict[str, Any]], object] = lambda _: None

    def line(self) -> bytes:
        content = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint(self.key.public)}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [{"sig": base64.b64encode(self.key.sign(pae(self.payload_type, self.payload))).decode()}],
            },
        }
        self.edit(content)
        return json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode() + b"\n"


def statement_of(line: bytes) -> dict[str, Any]:
    """Take the statement out of a bundle, unchecked."""
    content: dict[str, Any] = json.loads(base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"]))
    return content
