from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import release.provenance.bundle as module
from pipeline.report.text import clean
from release.errors import SealError, SignatureError, VerifyError
from release.keys.pem import hint
from release.provenance.bundle import MAX_PAYLOAD_BYTES, sign_statement, verify_provenance
from release.provenance.statement import make_statement
from tests.release.builders import COMMIT, RELEASE, make_collection
from tests.release.provenance.signed import KEY, OTHER_KEY, Parts, statement_of

Json = dict[str, Any]
PUBLIC = KEY.public


@pytest.fixture(name="statement", scope="module")
def _statement(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_statement(make_collection(tmp_path_factory.mktemp("dist")), RELEASE)


@pytest.fixture(name="line", scope="module")
def _line(statement: bytes) -> bytes:
    return sign_statement(statement, KEY)


def refusal(data: bytes) -> str:
    with pytest.raises(SignatureError) as caught:
        verify_provenance(data, PUBLIC, where="p.jsonl")
    assert caught.value.where == "p.jsonl"
    assert caught.value.hint
    assert caught.value.what == clean(caught.value.what, 400)
    return caught.value.what


def test_what_is_signed_verifies(line: bytes, tmp_path: Path) -> None:
    statement = verify_provenance(line, PUBLIC, where="p.jsonl")

    assert statement.subjects == {
        bundle.asset: bundle.inspection.sha256 for bundle in make_collection(tmp_path).bundles
    }
    assert statement.commit == COMMIT


def test_it_is_one_line_of_ascii_and_the_same_each_time(statement: bytes, line: bytes) -> None:
    assert line == sign_statement(statement, KEY)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")


def test_the_form_is_a_sigstore_bundle_without_certificate_or_log(statement: bytes, line: bytes) -> None:
    content = json.loads(line)
    (signature,) = content["dsseEnvelope"].pop("signatures")

    assert set(signature) == {"sig"}
    assert len(base64.b64decode(signature["sig"])) == 64
    assert content == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": hint(PUBLIC)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(statement).decode(),
            "payloadType": "application/vnd.in-toto+json",
        },
    }


def test_the_attackers_workbench_makes_what_we_make(statement: bytes, line: bytes) -> None:
    assert line == Parts(payload=statement).line()


def test_a_statement_that_could_not_be_read_again_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAYLOAD_BYTES", 10)
    with pytest.raises(SealError, match="the provenance has 11 bytes; at most 10 are read") as caught:
        sign_statement(b"x" * 11, KEY)
    assert caught.value.hint


def test_another_key_is_refused_by_its_hint_and_by_its_signature(statement: bytes) -> None:
    assert "it was signed with another key than RW" in refusal(Parts(payload=statement, key=OTHER_KEY).line())

    def lie(content: Json) -> None:
        content["verificationMaterial"]["publicKey"]["hint"] = hint(PUBLIC)

    assert "the signature was not made over these bytes" in refusal(
        Parts(payload=statement, key=OTHER_KEY, edit=lie).line()
    )


def test_a_changed_payload_is_refused(statement: bytes) -> None:
    changed = statement.replace(b'"forged":false', b'"forged":true')
    assert changed != statement

    def swap(content: Json) -> None:
        content["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()

    assert "the signature was not made over these bytes" in refusal(Parts(payload=statement, edit=swap).line())


def test_a_signature_over_the_bare_payload_is_refused(statement: bytes) -> None:
    def bare(content: Json) -> None:
        content["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(KEY.sign(statement)).decode()

    assert "the signature was not made over these bytes" in refusal(Parts(payload=statement, edit=bare).line())


def test_another_payload_type_is_refused_though_it_is_signed(statement: bytes) -> None:
    said = refusal(Parts(payload=statement, payload_type="text/plain").line())

    assert said == "its payload's type is 'text/plain' and not application/vnd.in-toto+json"


def test_a_signed_statement_of_another_kind_is_refused(statement: bytes) -> None:
    content = statement_of(Parts(payload=statement).line())
    content["predicateType"] = "https://spdx.dev/Document"
    payload = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    with pytest.raises(VerifyError, match=r"it is no provenance of llamatrix: Invalid enum value"):
        verify_provenance(Parts(payload=payload).line(), PUBLIC, where="p.jsonl")


def _media(value: str) -> Callable[[Json], object]:
    return lambda one: one.update(mediaType=value)


def _hint(value: str) -> Callable[[Json], object]:
    return lambda one: one["verificationMaterial"]["publicKey"].update(hint=value)


def _payload(change: Callable[[str], str]) -> Callable[[Json], object]:
    return lambda one: one["dsseEnvelope"].update(payload=change(one["dsseEnvelope"]["payload"]))


def _signature(change: Callable[[str], str]) -> Callable[[Json], object]:
    def edit(content: Json) -> None:
        first = content["dsseEnvelope"]["signatures"][0]
        first["sig"] = change(first["sig"])

    return edit


def _signatures(change: Callable[[list[Json]], object]) -> Callable[[Json], object]:
    return lambda one: one["dsseEnvelope"].update(signatures=change(one["dsseEnvelope"]["signatures"]))


def _material(**values: object) -> Callable[[Json], object]:
    return lambda one: one["verificationMaterial"].update(values)


def _beyond(text: str) -> str:
    """The same bytes in other letters: the last character's unused bits are set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    changed = body[:-1] + alphabet[alphabet.index(body[-1]) | 1] + "=" * (len(text) - len(body))
    assert changed != text
    assert base64.b64decode(changed) == base64.b64decode(text)
    return changed


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_media("application/vnd.dev.sigstore.bundle+json;version=0.2"), "its media type is"),
        (_media(""), "its media type is ''"),
        (_hint(""), "it was signed with another key"),
        (_hint("AAAA"), "it was signed with another key"),
        (_hint("\u043a\u043b\u044e\u0447"), "it was signed with another key"),
        (_signatures(lambda found: []), "it has 0 signatures; ours have exactly one"),
        (_signatures(lambda found: found * 2), "it has 2 signatures; ours have exactly one"),
        (_signatures(lambda found: found * 9), "Expected `array` of length <= 8"),
        (_signatures(lambda found: [found[0] | {"keyid": "mine"}]), "its signature names a key of its own"),
        (_signatures(lambda found: [found[0] | {"keyid": ""}]), "it is not in the one form"),
        (_signatures(lambda found: [{}]), "missing required field `sig`"),
        (_signatures(lambda found: [found[0] | {"cert": "x"}]), "unknown field `cert`"),
        (_signatures(lambda found: found[0]), "Expected `array`, got `object`"),
        (_signature(lambda sig: ""), "its signature has 0 bytes; Ed25519's have 64"),
        (_signature(lambda sig: "AA" + sig[2:]), "the signature was not made over these bytes"),
        (_signature(lambda sig: sig[:-4]), "its signature has"),
        (_signature(lambda sig: sig.rstrip("=")), "its signature is not base64"),
        (_signature(lambda sig: sig + "\n"), "its signature is not base64"),
        (_signature(lambda sig: f" {sig}"), "its signature is not base64"),
        (_signature(lambda sig: f"{sig}AAAA"), "its signature is not base64"),
        (_signature(lambda sig: "-_-_" + sig[4:]), "its signature is not base64"),
        (_signature(lambda sig: "\u00e9" + sig[1:]), "its signature is not base64"),
        (_signature(_beyond), "its signature is not base64 in its one canonical form"),
        (_payload(lambda text: ""), "the signature was not made over these bytes"),
        (_payload(lambda text: f"{text[:40]}\n{text[40:]}"), "its payload is not base64"),
        (_payload(lambda text: text[1:]), "its payload is not base64"),
        (_material(tlogEntries=[{"logIndex": "1"}]), "it has entries of a transparency log"),
        (_material(tlogEntries=None), "Expected `array`, got `null`"),
        (_material(certificate={"rawBytes": "AA=="}), "unknown field `certificate`"),
        (_material(publicKey={"hint": hint(PUBLIC), "rawBytes": "AA=="}), "unknown field `rawBytes`"),
        (_material(publicKey=None), "Expected `object`, got `null`"),
        (lambda one: one.pop("dsseEnvelope"), "missing required field `dsseEnvelope`"),
        (lambda one: one.pop("verificationMaterial"), "missing required field `verificationMaterial`"),
        (lambda one: one.update(messageSignature={}), "unknown field `messageSignature`"),
        (lambda one: one["dsseEnvelope"].update(payloadType=1), "Expected `str`, got `int`"),
    ],
)
def test_every_field_is_hostile(statement: bytes, edit: Callable[[Json], object], said: str) -> None:
    assert said in refusal(Parts(payload=statement, edit=edit).line())


def test_a_bundle_whose_payload_needs_padding_bits_is_held_to_one_form(statement: bytes) -> None:
    # Whatever the length of the real statement: one of these two is not a multiple of three.
    for payload in (statement + b" ", statement + b"  "):
        if len(payload) % 3:
            assert "its payload is not base64 in its one canonical form" in refusal(
                Parts(payload=payload, edit=_payload(_beyond)).line()
            )


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.rstrip(b"\n"),
        lambda line: line + b"\n",
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: b" " + line,
        lambda line: line.replace(b'"dsseEnvelope":', b'"dsseEnvelope": '),
        lambda line: line.replace(b'"mediaType":', b'"mediaType":"x","mediaType":'),
        lambda line: line.replace(
            b'{"dsseEnvelope":', b'{"dsseEnvelope":{"payload":"","payloadType":"","signatures":[]},"dsseEnvelope":'
        ),
        lambda line: line.replace(b'"payload":"', b'"payload":"AAAA","payload":"'),
        lambda line: line.replace(b"application/vnd.in-toto", b"\\u0061pplication/vnd.in-toto"),
        lambda line: line.replace(b"application/vnd.in-toto", b"application\\/vnd.in-toto"),
    ],
)
def test_the_same_content_in_another_form_is_refused(line: bytes, change: Callable[[bytes], bytes]) -> None:
    changed = change(line)
    assert changed != line

    assert refusal(changed) == "it is not in the one form in which llamatrix writes it"


def test_two_lines_are_refused(line: bytes) -> None:
    assert refusal(line + line).startswith("it is not JSON")


def test_sizes_are_capped_before_anything_is_decoded(statement: bytes) -> None:
    huge = b" " * (MAX_PAYLOAD_BYTES // 3 * 4 + 8193)
    assert refusal(huge).startswith(f"it has {len(huge)} bytes; at most")
    # Below the file's limit, and yet over the payload's: the envelope around it is small.
    payload = statement + b" " * (MAX_PAYLOAD_BYTES + 1 - len(statement))
    assert (
        refusal(Parts(payload=payload).line())
        == f"its payload has {MAX_PAYLOAD_BYTES + 1} bytes; at most {MAX_PAYLOAD_BYTES} are read"
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"{}", b"[]", b"null", b"\xff", b"\xef\xbb\xbf{}", b"[" * 500_000, b'{"mediaType":' + b"[" * 500_000],
)
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    assert refusal(data).startswith(("it is not JSON", "it is no Sigstore bundle signed with a key"))


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_damage_verifies(line: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(line)
    start = draw.draw(st.integers(0, len(damaged) - 1))
    length = draw.draw(st.integers(0, 20))
    damaged[start : start + length] = draw.draw(st.binary(max_size=20))
    if damaged == line:
        return

    refusal(bytes(damaged))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@given(_json)
@settings(deadline=None)
def test_a_signed_payload_of_anything_is_refused_in_words(value: object) -> None:
    payload = json.dumps(value).encode()
    with pytest.raises(VerifyError) as caught:
        verify_provenance(Parts(payload=payload).line(), PUBLIC, where="p.jsonl")
    (problem,) = caught.value.problems
    assert problem == clean(problem, 400)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_signed_bytes_that_are_no_statement_are_refused_in_words(payload: bytes) -> None:
    with pytest.raises(VerifyError):
        verify_provenance(Parts(payload=payload).line(), PUBLIC, where="p.jsonl")
