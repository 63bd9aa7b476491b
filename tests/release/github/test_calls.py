from __future__ import annotations

from release.github.calls import Call, Calls, payload_text

CALLS = Calls("o/r")


def test_everything_with_a_dangerous_default_is_always_sent() -> None:
    made = CALLS.create_draft(tag="v1", commit="1f" * 20, name="n", body="b", prerelease=False)
    edited = CALLS.edit_draft(7, name="n", body="b", prerelease=True)
    published = CALLS.publish(7, name="n", body="b", prerelease=False, latest=True)

    for call, draft in ((made, True), (edited, True), (published, False)):
        assert call.payload is not None
        assert call.payload["draft"] is draft
        assert {"prerelease", "make_latest", "name", "body"} <= set(call.payload)
    assert made.payload is not None
    assert made.payload["generate_release_notes"] is False
    assert made.payload["target_commitish"] == "1f" * 20


def test_only_a_published_release_that_is_no_prerelease_becomes_the_latest() -> None:
    def latest(*, prerelease: bool, wanted: bool) -> object:
        call = CALLS.publish(7, name="n", body="b", prerelease=prerelease, latest=wanted)
        assert call.payload is not None
        return call.payload["make_latest"]

    assert latest(prerelease=False, wanted=True) == "true"
    assert latest(prerelease=False, wanted=False) == "false"
    assert latest(prerelease=True, wanted=True) == "false"


def test_what_is_asked_for_cannot_leave_its_path() -> None:
    assert CALLS.release_by_tag("../a b?x#y").path == "/repos/o/r/releases/tags/..%2Fa%20b%3Fx%23y"
    assert CALLS.tag_ref("a/b?c").path == "/repos/o/r/git/ref/tags/a/b%3Fc"
    assert CALLS.upload(7, name="a&b=c.txt").target == "/repos/o/r/releases/7/assets?name=a%26b%3Dc.txt"


def test_lists_ask_for_a_hundred_at_a_time() -> None:
    assert CALLS.assets(7, 2).target == "/repos/o/r/releases/7/assets?page=2&per_page=100"
    assert CALLS.releases(1).target == "/repos/o/r/releases?page=1&per_page=100"


def test_a_call_is_named_by_its_verb_and_path() -> None:
    assert str(CALLS.delete_asset(9)) == "DELETE /repos/o/r/releases/assets/9"
    assert Call(verb="GET", path="/x").target == "/x"


def test_a_payload_is_shown_on_one_line_and_long_texts_by_their_length() -> None:
    shown = payload_text({"draft": True, "tag_name": "v1", "body": "a\nb", "name": "x" * 81, "flag": False})

    assert shown == "{draft: true, tag_name: v1, body: <3 characters>, name: <81 characters>, flag: false}"
