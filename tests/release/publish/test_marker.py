from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from release.github.remote import RemoteRelease
from release.publish.marker import Ownership, made_from, ownership, text_of
from tests.release.publish.scene import make_sealed


def _draft(body: str) -> RemoteRelease:
    return RemoteRelease(
        id=1, tag="v1", name="", body=body, draft=True, prerelease=False, immutable=False, url="https://example.test/1"
    )


def test_the_text_is_the_notes_and_the_marker_on_a_line_of_its_own(tmp_path: Path) -> None:
    sealed = make_sealed(tmp_path)

    text = text_of(sealed)

    assert text.startswith("# 1.2.3")
    assert text.splitlines()[-1] == sealed.marker
    assert text_of(replace(sealed, notes=text)) == text


def test_ours_is_what_carries_our_marker_alone(tmp_path: Path) -> None:
    sealed = make_sealed(tmp_path)
    other = sealed.marker.replace(sealed.manifest_sha256, "0" * 64)

    assert ownership(_draft(text_of(sealed)), sealed) is Ownership.OURS
    assert ownership(_draft(text_of(sealed).replace("\n", "\r\n")), sealed) is Ownership.OURS
    assert ownership(_draft(other), sealed) is Ownership.OUTDATED
    assert ownership(_draft(f"{other}\n{sealed.marker}"), sealed) is Ownership.FOREIGN
    assert ownership(_draft("hello"), sealed) is Ownership.FOREIGN
    assert ownership(_draft(f"as in `{sealed.marker}`"), sealed) is Ownership.FOREIGN
    assert ownership(_draft(sealed.marker.upper()), sealed) is Ownership.FOREIGN


def test_markers_are_read_with_digest_and_commit(tmp_path: Path) -> None:
    sealed = make_sealed(tmp_path)

    assert made_from(text_of(sealed)) == ((sealed.manifest_sha256, sealed.id.commit),)
    assert made_from("<!-- llamatrix: manifest-sha256=00 commit=00 -->") == ()
