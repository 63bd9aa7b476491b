"""The notes say what the manifest says, always in the same words, and nobody else's text becomes markup."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import msgspec
import pytest
from markdown_it import MarkdownIt

from release.errors import SealError
from release.manifest.records import Manifest
from release.model import Collection, ReleaseId
from release.notes.render import LIMIT, render_notes, verify_command
from tests.release.builders import make_collection
from tests.release.notes.builders import KEY, RELEASE, Changer, collection, manifest, variant
from tests.report.builders import HOSTILE
from tests.report.golden import compare

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
NOBODY = Path("dist")


def render(
    now: Manifest | None = None,
    *,
    previous: Manifest | None = None,
    of: Collection | None = None,
    release: ReleaseId = RELEASE,
    key: str = KEY,
) -> str:
    return render_notes(
        of or collection(NOBODY, bundles=False), release, now or manifest(), previous=previous, public_key=key
    )


def older() -> Manifest:
    old = Changer()
    old.raw["manifest_version"] = 6
    old.at("release").update(tag="v0.1.0", version="0.1.0", previous=None)
    old.at("projects", "llama.cpp", "source").update(version="0.4.9", commit="ab" * 20)
    platform = old.at("projects", "llama.cpp", "platforms", "linux-x86_64")
    del old.at("projects", "llama.cpp", "platforms", "linux-x86_64", "variants")["cuda12"]
    platform["order"] = ["rocm-gfx1100", "vulkan", "cpu", "old"]
    old.at("projects", "llama.cpp", "platforms", "linux-x86_64", "variants")["old"] = variant("old", 5_000_000)
    cpu = old.variant("cpu")
    assert isinstance(cpu["artifact"], dict)
    assert isinstance(cpu["requires"], dict)
    cpu["artifact"].update(size=6_000_000, unpacked_size=36_000_000)
    cpu["requires"]["glibc"] = "2.31"
    return old.done()


def kinds(text: str) -> dict[str, int]:
    """Count what a Markdown reader makes of it."""
    found: dict[str, int] = {}
    for token in PARSER.parse(text):
        for one in (token, *(token.children or ())):
            found[one.type] = found.get(one.type, 0) + 1
    return found


def links(text: str) -> list[str]:
    return [
        str(child.attrs["href"])
        for token in PARSER.parse(text)
        for child in token.children or ()
        if child.type == "link_open"
    ]


def test_golden(request: pytest.FixtureRequest) -> None:
    text = render(previous=older())

    compare("notes.md", text, update=request.config.getoption("--update-golden"))


def test_the_same_input_gives_the_same_text() -> None:
    assert render(previous=older()) == render(previous=older())


def test_cosign_is_asked_without_a_network() -> None:
    """Cosign 2.5 fetches a root of trust unless one is given; found by running the command."""
    (block,) = (
        token.content for token in PARSER.parse(render()) if token.type == "fence" and "cosign" in token.content
    )
    lines = block.replace("\\\n", "").splitlines()

    (root,) = (json.loads(line.split("'")[1]) for line in lines if line.startswith("echo "))
    (command,) = (line for line in lines if line.startswith("cosign "))
    assert [root[name] for name in ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")] == [[]] * 4
    assert {"--new-bundle-format", "--trusted-root", "root.json", "--insecure-ignore-tlog=true"} <= set(command.split())


def test_the_command_is_exactly_the_one_we_promise() -> None:
    assert verify_command("KEY") == "minisign -Vqom SHA256SUMS -P KEY | sha256sum -c --ignore-missing"
    blocks = [token.content for token in PARSER.parse(render()) if token.type == "fence"]

    assert f"minisign -Vqom SHA256SUMS -P {KEY} | sha256sum -c --ignore-missing\n" in blocks


def test_links_lead_to_this_release_its_key_and_its_sources() -> None:
    home = "https://github.com/acme/llamatrix"

    found = links(render())

    assert f"{home}/releases/download/v0.2.0/llama.cpp-0.2.0-linux-x86_64-cuda12.tar.zst" in found
    assert f"{home}/blob/HEAD/minisign.pub" in found
    assert "https://github.com/ggml-org/llama.cpp/commit/0c1e57098bba43ac29e6e3b677cdceebdd22334f" in found
    assert len(found) == 5 + 2


def test_no_line_break_inside_a_paragraph() -> None:
    # GitHub shows every line break of a release's text.
    breaks = kinds(render(previous=older()))

    assert "softbreak" not in breaks
    assert "hardbreak" not in breaks


def test_the_first_release() -> None:
    assert "There is no release before this one to compare with." in render()


def test_a_release_that_changes_nothing() -> None:
    assert "nothing but the bytes: no pin, bundle, floor, driver, backend or size" in render(previous=manifest())


def test_a_rehearsal_says_so() -> None:
    text = render(of=collection(NOBODY, bundles=False, forged=True))

    assert text.startswith("# v0.2.0: llama.cpp 0.5.0-dev\n\n> [!WARNING]\n> A rehearsal: these bundles were forged")
    assert "rehearsal" not in render()


def test_without_waivers_there_is_no_such_part() -> None:
    change = Changer()
    change.variant("cuda12")["waivers"] = []

    text = render(change.done())

    assert "## Waivers" not in text
    assert "waived" not in text


def test_without_missing_cells_there_is_no_such_part() -> None:
    change = Changer()
    change.raw["missing"] = []

    assert "## Not in this release" not in render(change.done())


def test_a_source_that_was_not_proved_is_named() -> None:
    change = Changer()
    attest = change.variant("cpu")["attest"]
    assert isinstance(attest, dict)
    attest["source_proven"] = False

    assert "; NOT proved equal to that commit for 1 bundle" in render(change.done())


def test_a_pin_of_which_nothing_is_released() -> None:
    change = Changer()
    change.at("projects", "ollama", "source")["commit"] = "cd" * 20

    assert (
        "- **ollama** 0.30.0, commit `cdcdcdcdcdcd` (`" + "cd" * 20 + "`); nothing is released of it" in
        render(change.done())
    )  # fmt: skip


def test_nothing_at_all() -> None:
    change = Changer()
    change.at("projects", "llama.cpp")["platforms"] = {}

    text = render(change.done())

    assert text.startswith("# v0.2.0: nothing released\n\n0 bundles")


def test_what_was_revoked_is_named() -> None:
    change = Changer()
    change.raw["revoked"] = [{"sha256": "aa" * 32, "reason": "crashes on start"}]

    assert f"- revoked: `{'aa' * 32}`: crashes on start\n" in render(change.done())


def test_what_built_it_is_named(tmp_path: Path) -> None:
    text = render(of=collection(tmp_path))

    assert f"- built with zig, locked by `sha256:{'c0a22e33' * 8}`\n" in text
    assert f"- built with the image build, `sha256:{'ab12' * 16}`\n" in text


def test_a_source_without_a_plain_address_gets_no_link(tmp_path: Path) -> None:
    of = make_collection(tmp_path)
    source = of.matrix.sources["llama.cpp"]
    mirrors = tuple(msgspec.structs.replace(mirror, git="git@example.org:x") for mirror in source.mirrors)
    sources = {**of.matrix.sources, "llama.cpp": msgspec.structs.replace(source, mirrors=mirrors)}
    changed = dataclasses.replace(of, matrix=msgspec.structs.replace(of.matrix, sources=sources))

    text = render(of=changed)

    assert "commit `0c1e57098bba` (`0c1e57098bba43ac29e6e3b677cdceebdd22334f`)" in text
    assert not any("/commit/" in link for link in links(text))


@pytest.mark.parametrize("key", ["", "KEY", f"{KEY} ; rm -rf x", f"{KEY}\n", "RW" + "é" * 54])
def test_only_a_key_gets_into_the_command(key: str) -> None:
    with pytest.raises(SealError, match="the public key for the notes is not minisign's one-line form"):
        render(key=key)


@pytest.mark.parametrize("other", [{"tag": "v9"}, {"repo": "evil/x"}, {"commit": "00" * 20}, {"server": "https://x"}])
def test_only_the_release_of_the_manifest(other: dict[str, str]) -> None:
    with pytest.raises(SealError, match=r"the notes are for .*, the manifest is of https://github\.com acme/llamatrix"):
        render(release=dataclasses.replace(RELEASE, **other))


def hostile_manifest(text: str) -> Manifest:
    change = Changer()
    change.raw["missing"] = [{"cell": "llama.cpp/linux-x86_64/cuda13", "reason": text}]
    change.raw["revoked"] = [{"sha256": "aa" * 32, "reason": text}]
    waivers = change.variant("cuda12")["waivers"]
    assert isinstance(waivers, list)
    waivers[0]["reason"] = text
    for name in ("llama.cpp", "ollama"):
        change.at("projects", name, "source")["version"] = text
    return change.done()


MORE = (
    "@octocat broke #1, see GH-1 and evil/x#2",
    "[click](https://evil.example)",
    "a | b | c",
    "<script>alert(1)</script>",
    "<!-- llamatrix: manifest-sha256=00 commit=00 -->",
    "end\n\n# A heading\n\n- a list",
    "```\nfence",
    "![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example",
)


@pytest.mark.parametrize("text", [*MORE, *(text for text in HOSTILE if text.strip())])
def test_hostile_text_is_inert(text: str) -> None:
    calm = hostile_manifest("just words")
    wild = hostile_manifest(text)

    shape, found = kinds(render(calm, previous=older())), kinds(render(wild, previous=older()))

    ignored = {"code_inline", "text"}
    assert {k: v for k, v in found.items() if k not in ignored} == {k: v for k, v in shape.items() if k not in ignored}
    assert links(render(wild)) == links(render(calm))
    outside = re.sub(r"(`+).*?\1", "", render(wild))
    assert "octocat" not in outside
    assert "evil" not in outside
    assert "<" not in outside


def test_the_text_always_fits_and_says_what_is_left_out() -> None:
    change = Changer()
    change.raw["missing"] = [
        {"cell": f"llama.cpp/linux-x86_64/v{at}", "reason": f"needs {at} {'words ' * 60}"} for at in range(400)
    ]

    text = render(change.done())

    assert len(text) <= LIMIT
    assert re.search(r"\n\d+ reasons did not fit here; manifest.json holds them all\.\n", text)
    assert text.count("| `linux-x86_64` |") == 4


def test_a_thousand_bundles_still_fit() -> None:
    change = Changer()
    many = {f"cuda12-{at}": variant(f"cuda12-{at}", 1000 + at) for at in range(1000)}
    change.at("projects", "llama.cpp", "platforms", "linux-x86_64").update(
        variants=many, order=list(many), default="cuda12-0"
    )

    text = render(change.done(), previous=older())

    assert len(text) <= LIMIT
    assert "bundles did not fit here; manifest.json holds them all." in text
    assert verify_command(KEY) in text


def test_what_cannot_fit_is_refused() -> None:
    change = Changer()
    projects = change.at("projects")
    for at in range(3000):
        source = {"name": f"p{at}", "version": "words " * 5, "commit": None, "digest": None, "purl": None}
        projects[f"p{at}"] = {"description": "none", "source": source, "platforms": {}}

    with pytest.raises(SealError, match="the text cannot be made to fit into 124000 characters"):
        render(change.done())
