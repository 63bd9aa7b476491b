from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.report.text import clean
from release.errors import VerifyError
from release.sbom.document import MAX_SBOM_BYTES, make_sbom
from release.sbom.reading import read_sbom
from tests.release.builders import EPOCH, FORGED, RELEASE, make_collection

Bom = dict[str, Any]


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    bundle = make_collection(tmp_path_factory.mktemp("dist")).bundles[0]
    return make_sbom(bundle, RELEASE, epoch=EPOCH)


def refusal(data: bytes) -> str:
    with pytest.raises(VerifyError) as caught:
        read_sbom(data, where="x.cdx.json")
    assert caught.value.where == "x.cdx.json"
    assert caught.value.hint
    (problem,) = caught.value.problems
    assert problem == clean(problem, 400)
    return problem


def component(bom: Bom, ref: str) -> Bom:
    found: Bom = next(one for one in bom["components"] if one["bom-ref"] == ref)
    return found


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    for bundle in make_collection(tmp_path).bundles:
        facts = read_sbom(make_sbom(bundle, RELEASE, epoch=EPOCH), where="x.cdx.json")
        archive = bundle.inspection

        assert facts.name == bundle.asset
        assert facts.sha256 == archive.sha256
        assert facts.files == {file.path: file.sha256 for file in archive.files}
        assert facts.source_commit == archive.info.source.commit
        assert facts.materials_recorded


def test_missing_materials_read_back_as_missing(tmp_path: Path) -> None:
    bundle = make_collection(tmp_path, engine=FORGED).bundles[0]

    assert not read_sbom(make_sbom(bundle, RELEASE, epoch=EPOCH), where="x.cdx.json").materials_recorded


def test_the_facts_cannot_be_changed(data: bytes) -> None:
    facts = read_sbom(data, where="x.cdx.json")
    with pytest.raises(TypeError):
        facts.files["x"] = "y"  # type: ignore[index]  # that is the point


def _double_source(bom: Bom) -> None:
    bom["components"].append(component(bom, "source"))


def _double_commit(bom: Bom) -> None:
    component(bom, "source")["properties"].append({"name": "llamatrix:commit", "value": "b" * 40})


def _double_file(bom: Bom) -> None:
    bom["components"].append(component(bom, "file:llama-cli"))


def _pathless(bom: Bom) -> None:
    component(bom, "file:llama-cli")["properties"] = []


def _no_files(bom: Bom) -> None:
    bom["components"] = [component(bom, "source")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda bom: bom.update(bomFormat="SPDX"), "Invalid enum value 'SPDX' - at `$.bomFormat`"),
        (lambda bom: bom.update(specVersion="1.5"), "Invalid enum value '1.5' - at `$.specVersion`"),
        (lambda bom: bom.pop("metadata"), "missing required field `metadata`"),
        (lambda bom: bom.pop("components"), "missing required field `components`"),
        (lambda bom: bom.update(components={}), "Expected `array`, got `object`"),
        (lambda bom: bom["metadata"].pop("component"), "missing required field `component`"),
        (lambda bom: bom["metadata"].pop("properties"), "whether images and toolchain were recorded"),
        (
            lambda bom: bom["metadata"]["properties"][0].update(value="all"),
            "whether images and toolchain were recorded",
        ),
        (lambda bom: bom["metadata"]["component"].update({"bom-ref": "other"}), "its subject is called 'other'"),
        (lambda bom: bom["metadata"]["component"].update(name=5), "Expected `str`, got `int`"),
        (lambda bom: bom["metadata"]["component"].pop("hashes"), "the SHA-256 of"),
        (lambda bom: bom["metadata"]["component"]["hashes"][0].update(alg="MD5"), "the SHA-256 of"),
        (lambda bom: bom["metadata"]["component"]["hashes"][0].update(content="A" * 64), "the SHA-256 of"),
        (lambda bom: bom["metadata"]["component"]["hashes"][0].update(content="a" * 64 + "\n"), "the SHA-256 of"),
        (lambda bom: bom["metadata"]["component"]["hashes"].append({"alg": "SHA-256", "content": "a"}), "twice"),
        (lambda bom: component(bom, "source").update({"bom-ref": "sauce"}), "it names 0 sources"),
        (_double_source, "it names 2 sources"),
        (_double_commit, "it gives property llamatrix:commit twice"),
        (lambda bom: component(bom, "source")["properties"][0].update(value="main"), "the commit of the source is"),
        (_double_file, "it names 'llama-cli' twice"),
        (_pathless, "the file 'llama-cli' has no path"),
        (lambda bom: component(bom, "file:llama-cli").update(hashes=[]), "the SHA-256 of 'llama-cli' is missing"),
        (_no_files, "it names no file"),
    ],
)
def test_an_sbom_that_does_not_say_what_is_needed_is_refused(
    data: bytes, change: Callable[[Bom], object], said: str
) -> None:
    bom = json.loads(data)
    change(bom)

    assert said in refusal(json.dumps(bom).encode())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"\xff\xfe{}", "it is not JSON"),
        (b"\xef\xbb\xbf{}", "it is not JSON"),
        (b"[]", "it is no SBOM of llamatrix"),
        (b"null", "it is no SBOM of llamatrix"),
        (b'{"x":' + b"[" * 500_000, "it is not JSON"),
        (b'{"bomFormat": "\\ud800"', "it is not JSON"),
        (b'{"bomFormat": "' + b"x" * 5000 + b'"}', "it is no SBOM of llamatrix"),
        (b'{"bomFormat": "\x1b[2J"}', "it is not JSON"),
        (b'{"bomFormat": "\\u001b[2J"}', "it is no SBOM of llamatrix"),
    ],
)
def test_what_is_no_sbom_is_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_a_huge_file_is_refused_unread() -> None:
    assert f"at most {MAX_SBOM_BYTES} are read" in refusal(b" " * (MAX_SBOM_BYTES + 1))


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damage_is_refused_in_words_or_does_no_harm(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        start = draw.draw(st.integers(0, len(damaged) - 1))
        length = draw.draw(st.integers(0, 40))
        damaged[start : start + length] = draw.draw(st.binary(max_size=40))
    with contextlib.suppress(VerifyError):
        read_sbom(bytes(damaged), where="x.cdx.json")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@given(_json, st.sampled_from(["metadata", "components", "bomFormat", "specVersion"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_in_any_place_is_refused_in_words(data: bytes, value: object, place: str) -> None:
    bom = json.loads(data)
    bom[place] = value

    refusal(json.dumps(bom).encode())
