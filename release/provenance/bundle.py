"""``provenance.intoto.jsonl``: the signed statement as a Sigstore bundle v0.3 on one line, for cosign without network.

It is signed with the release's own Ed25519 key, so there is no certificate and no entry of a transparency log in it.
"""

from __future__ import annotations

__all__ = ["MAX_PAYLOAD_BYTES", "MEDIA_TYPE", "Bundle", "sign_statement", "verify_provenance"]

import base64
from typing import NoReturn

import msgspec
from msgspec import Struct

from pipeline.report.text import clean
from release.errors import SealError, SignatureError
from release.keys.keyfile import PublicKey, SecretKey
from release.keys.pem import hint
from release.provenance.dsse import PAYLOAD_TYPE, Envelope, Signature, pae
from release.provenance.records import Statement, encode
from release.provenance.statement import read_statement

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_PAYLOAD_BYTES = 16 << 20
"""A release of 60 bundles with the packages of ten images has less than a tenth of it."""

_MAX_BUNDLE_BYTES = MAX_PAYLOAD_BYTES // 3 * 4 + 8192
_SIGNATURE_BYTES = 64
_SHOWN = 300


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Base of the bundle's records: a field that is not understood could change what the rest means."""


class PublicKeyHint(_Strict, frozen=True, kw_only=True):
    """Names the key; it says which one to try and never which one to trust."""

    hint: str


class VerificationMaterial(_Strict, frozen=True, kw_only=True):
    """What else a verifier needs: for a signature by key, nothing."""

    public_key: PublicKeyHint
    # The elements are not read: with a key there are none, and an entry nobody checks must not look like a proof.
    tlog_entries: tuple[msgspec.Raw, ...]


class Bundle(_Strict, frozen=True, kw_only=True):
    """A Sigstore bundle v0.3 with a DSSE envelope and a key."""

    media_type: str
    verification_material: VerificationMaterial
    dsse_envelope: Envelope


def sign_statement(statement: bytes, key: SecretKey) -> bytes:
    """Sign a statement; gives the file's bytes, one line of JSON.

    Raises:
        SealError: It is larger than what is read again.
    """
    if len(statement) > MAX_PAYLOAD_BYTES:
        msg = f"the provenance has {len(statement)} bytes; at most {MAX_PAYLOAD_BYTES} are read by those who verify"
        raise SealError(msg, where="provenance", hint="release fewer bundles at once")
    signature = key.sign(pae(PAYLOAD_TYPE, statement))
    bundle = Bundle(
        media_type=MEDIA_TYPE,
        verification_material=VerificationMaterial(public_key=PublicKeyHint(hint=hint(key.public)), tlog_entries=()),
        dsse_envelope=Envelope(
            payload=_encoded(statement),
            payloadType=PAYLOAD_TYPE,
            # No keyid: cosign skips a signature whose keyid is not the one it computes, and DSSE leaves it optional.
            signatures=(Signature(sig=_encoded(signature)),),
        ),
    )
    return encode(bundle) + b"\n"


def verify_provenance(data: bytes, key: PublicKey, *, where: str) -> Statement:
    """Check the signature first and read the statement then; ``data`` may come from anybody.

    Raises:
        SignatureError: It is no bundle of ours, names another key, or the signature is not good.
        VerifyError: The signature is good, and what was signed is no provenance of llamatrix.
    """
    if len(data) > _MAX_BUNDLE_BYTES:
        _refuse(f"it has {len(data)} bytes; at most {_MAX_BUNDLE_BYTES} are read", where)
    bundle = _bundle(data, where)
    problem = _problem_of(bundle, key)
    if problem is not None:
        _refuse(problem, where)
    payload = _decoded(bundle.dsse_envelope.payload, "its payload", where)
    signature = _decoded(bundle.dsse_envelope.signatures[0].sig, "its signature", where)
    if len(payload) > MAX_PAYLOAD_BYTES:
        _refuse(f"its payload has {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are read", where)
    if len(signature) != _SIGNATURE_BYTES:
        _refuse(f"its signature has {len(signature)} bytes; Ed25519's have {_SIGNATURE_BYTES}", where)
    # A key that is there twice, a second line, blanks: another reader might take such bytes for something else.
    if data != encode(bundle) + b"\n":
        _refuse("it is not in the one form in which llamatrix writes it", where)
    try:
        key.verify(pae(PAYLOAD_TYPE, payload), signature)
    except SignatureError as error:
        _refuse(error.what, where)
    return read_statement(payload, where=where)


def _bundle(data: bytes, where: str) -> Bundle:
    try:
        return msgspec.json.decode(data, type=Bundle)
    except msgspec.ValidationError as error:
        _refuse(f"it is no Sigstore bundle signed with a key: {error}", where)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        _refuse(f"it is not JSON: {error}", where)


def _problem_of(bundle: Bundle, key: PublicKey) -> str | None:
    """Find what keeps a well-formed bundle from being one of ours, before anything is computed."""
    material, envelope = bundle.verification_material, bundle.dsse_envelope
    count = len(envelope.signatures)
    checks = (
        (bundle.media_type == MEDIA_TYPE, f"its media type is {bundle.media_type!r} and not {MEDIA_TYPE}"),
        (
            envelope.payloadType == PAYLOAD_TYPE,
            f"its payload's type is {envelope.payloadType!r} and not {PAYLOAD_TYPE}",
        ),
        (not material.tlog_entries, "it has entries of a transparency log, and nothing here could check them"),
        (material.public_key.hint == hint(key), f"it was signed with another key than {key.text}"),
        (count == 1, f"it has {count} signatures; ours have exactly one"),
        (not any(one.keyid for one in envelope.signatures), "its signature names a key of its own"),
    )
    return next((problem for good, problem in checks if not good), None)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decoded(text: str, what: str, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        _refuse(f"{what} is not base64: {error}", where)
    # b64decode ignores the bits beyond the last byte, so several texts would stand for the same bytes.
    if _encoded(data) != text:
        _refuse(f"{what} is not base64 in its one canonical form", where)
    return data


def _refuse(problem: str, where: str) -> NoReturn:
    hint_text = "take it from the release again, and the public key from the project's repository"
    raise SignatureError(clean(problem, _SHOWN), where=where, hint=hint_text)
