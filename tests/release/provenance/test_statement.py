from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.report.record import Material
from release.errors import SealError, VerifyError
from release.model import Collection, ReleasedBundle
from release.provenance.records import BUILD_TYPE
from release.provenance.statement import make_statement, read_statement
from tests.release.builders import COMMIT, FORGED, RELEASE, make_collection

Json = dict[str, Any]


@pytest.fixture(name="collection", scope="module")
def _collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return make_collection(tmp_path_factory.mktemp("dist"))


def made(collection: Collection) -> Json:
    content: Json = json.loads(make_statement(collection, RELEASE))
    return content


def definition(content: Json) -> Json:
    found: Json = content["predicate"]["buildDefinition"]
    return found


def dependency(content: Json, kind: str) -> Json:
    found: list[Json] = definition(content)["resolvedDependencies"]
    return next(one for one in found if one["annotations"]["kind"] == kind)


def with_bundle(collection: Collection, at: int, change: Callable[[ReleasedBundle], ReleasedBundle]) -> Collection:
    bundles = list(collection.bundles)
    bundles[at] = change(bundles[at])
    return replace(collection, bundles=tuple(bundles))


def with_source(bundle: ReleasedBundle, **changes: object) -> ReleasedBundle:
    archive = bundle.inspection
    info = msgspec.structs.replace(archive.info, source=msgspec.structs.replace(archive.info.source, **changes))
    return replace(bundle, inspection=replace(archive, info=info))


def test_every_bundle_is_a_subject_by_its_own_bytes(collection: Collection) -> None:
    content = made(collection)
    expected = sorted((bundle.asset, bundle.inspection.sha256) for bundle in collection.bundles)

    assert content["_type"] == "https://in-toto.io/Statement/v1"
    assert content["predicateType"] == "https://slsa.dev/provenance/v1"
    assert expected == [(one["name"], one["digest"]["sha256"]) for one in content["subject"]]


def test_what_was_asked_for(collection: Collection) -> None:
    found = definition(made(collection))

    assert found["buildType"] == "urn:llamatrix:build:v1"
    parameters = found["externalParameters"]
    digest = parameters.pop("matrix")
    assert digest["version"] == "0.1.0"
    assert len(digest["digest"]["sha256"]) == 64
    assert parameters == {
        "repository": "https://github.com/acme/llamatrix",
        "tag": "v0.1.0",
        "version": "0.1.0",
        "profile": "release",
    }


def test_the_matrix_counts_by_what_it_says(collection: Collection) -> None:
    other = msgspec.structs.replace(collection.matrix, exclude=())

    def digest(one: Collection) -> str:
        found: str = definition(made(one))["externalParameters"]["matrix"]["digest"]["sha256"]
        return found

    assert digest(collection) == digest(replace(collection, matrix=msgspec.structs.replace(collection.matrix)))
    assert digest(collection) != digest(replace(collection, matrix=other))


def test_what_each_bundle_was_made_of(collection: Collection) -> None:
    found = definition(made(collection))["internalParameters"]
    recipe = found["bundles"]["llama.cpp-0.1.0-linux-x86_64-vulkan.tar.zst"]

    assert (found["engine"], found["machine"], found["forged"]) == ("docker", "linux-x86_64", False)
    assert set(found["bundles"]) == {bundle.asset for bundle in collection.bundles}
    assert recipe["cell"] == "llama.cpp/linux-x86_64/vulkan"
    assert set(recipe["recipes"]) == {"llama.cpp/linux-x86_64/core", "llama.cpp/linux-x86_64/vulkan"}
    assert recipe["dependencies"] == ["source:llama.cpp", "image:build@ab12ab12ab12", "toolchain:zig@c0a22e33c0a2"]


def test_what_was_resolved(collection: Collection) -> None:
    content = made(collection)
    names = [one["name"] for one in definition(content)["resolvedDependencies"]]

    assert names == ["recipe", "source:llama.cpp", "image:build@ab12ab12ab12", "toolchain:zig@c0a22e33c0a2"]
    recipe = dependency(content, "recipe")
    assert recipe["uri"] == "git+https://github.com/acme/llamatrix@refs/tags/v0.1.0"
    assert recipe["digest"] == {"gitCommit": COMMIT}
    source = dependency(content, "source")
    commit = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"
    assert source["uri"] == f"git+https://github.com/ggml-org/llama.cpp.git@{commit}"
    assert source["digest"] == {"gitCommit": commit, "llamatrixSource": "f4e31d28" * 8}
    assert source["annotations"] == {"kind": "source", "version": "0.5.0-dev", "proven": True}
    image = dependency(content, "image")
    assert image["digest"] == {"sha256": "ab12" * 16}
    assert image["annotations"]["packages"] == ["libc6=2.41-12", "zstd=1.5.7+dfsg-1"]
    assert "ziglang=0.17.0" in dependency(content, "toolchain")["annotations"]["packages"]


def test_a_source_without_a_commit_is_named_by_its_own_digest_only(collection: Collection) -> None:
    changed = replace(
        collection, bundles=tuple(with_source(one, commit=None, proven=False) for one in collection.bundles)
    )
    source = dependency(made(changed), "source")

    assert "uri" not in source
    assert source["digest"] == {"llamatrixSource": "f4e31d28" * 8}
    assert source["annotations"]["proven"] is False


def test_who_and_when_come_from_the_report(collection: Collection) -> None:
    run = made(collection)["predicate"]["runDetails"]

    assert run["builder"] == {"id": "https://github.com/acme/llamatrix", "version": {"tool": "llamatrix test"}}
    assert run["metadata"]["startedOn"] == "2026-11-21T10:49:51Z"
    assert run["metadata"]["finishedOn"] == "2026-11-21T10:51:32Z"
    assert run["metadata"]["invocationId"].startswith("urn:uuid:")


def test_a_rehearsal_says_that_it_is_one(tmp_path: Path) -> None:
    content = made(make_collection(tmp_path, engine=FORGED))

    assert definition(content)["internalParameters"]["forged"] is True
    assert [one["annotations"]["kind"] for one in definition(content)["resolvedDependencies"]] == ["recipe", "source"]


def test_the_same_collection_gives_the_same_bytes_in_any_order(collection: Collection) -> None:
    turned = replace(
        collection, bundles=tuple(replace(one, materials=one.materials[::-1]) for one in collection.bundles[::-1])
    )

    assert make_statement(collection, RELEASE) == make_statement(turned, RELEASE)


def test_another_release_is_another_invocation(collection: Collection) -> None:
    def invocation(**changes: str) -> str:
        content = json.loads(make_statement(collection, replace(RELEASE, **changes)))
        found: str = content["predicate"]["runDetails"]["metadata"]["invocationId"]
        return found

    found = {invocation(), invocation(tag="v0.1.1"), invocation(repo="acme/other"), invocation(commit="b" * 40)}
    assert len(found) == 4


def refused(collection: Collection, said: str) -> None:
    with pytest.raises(SealError, match=said) as caught:
        make_statement(collection, RELEASE)
    assert caught.value.where
    assert caught.value.hint


def test_without_bundles_there_is_nothing_to_vouch_for(collection: Collection) -> None:
    refused(replace(collection, bundles=()), "there is no bundle to vouch for")


def test_bundles_of_two_pins_are_refused(collection: Collection) -> None:
    refused(
        with_bundle(collection, 1, lambda one: with_source(one, commit="b" * 40)),
        "its source llama.cpp is another one than that of the other bundles",
    )


def test_two_materials_of_one_name_are_refused(collection: Collection) -> None:
    def rebuilt(bundle: ReleasedBundle) -> ReleasedBundle:
        return replace(bundle, materials=(replace(bundle.materials[0], packages=()), *bundle.materials[1:]))

    refused(with_bundle(collection, 2, rebuilt), "its material image:build@ab12ab12ab12 is another one")


def test_a_material_of_an_unknown_kind_is_refused(collection: Collection) -> None:
    odd = Material(id="spell:x@1", kind="spell", name="x", digest="1" * 64, origin="a book", packages=())
    refused(with_bundle(collection, 0, lambda one: replace(one, materials=(odd,))), "is of an unknown kind: spell")


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), 1e300, -1e300])
def test_a_time_that_is_none_is_refused(collection: Collection, moment: float) -> None:
    refused(replace(collection, report=replace(collection.report, started=moment)), "holds a time that is none")


def test_what_could_not_be_read_again_is_not_written(collection: Collection) -> None:
    odd = with_bundle(collection, 0, lambda one: replace(one, asset="a name with blanks"))

    refused(odd, "no acceptable provenance follows from these bundles: it is no provenance of llamatrix")


def refusal(data: bytes) -> str:
    with pytest.raises(VerifyError) as caught:
        read_statement(data, where="p.jsonl")
    assert caught.value.where == "p.jsonl"
    assert caught.value.hint
    return caught.value.problems[0]


def test_what_is_written_reads_back(collection: Collection) -> None:
    statement = read_statement(make_statement(collection, RELEASE), where="p.jsonl")

    assert statement.subjects == {bundle.asset: bundle.inspection.sha256 for bundle in collection.bundles}
    assert statement.commit == COMMIT
    assert statement.source_commits == {"llama.cpp": "0c1e57098bba43ac29e6e3b677cdceebdd22334f"}
    assert statement.predicate.build_definition.build_type == BUILD_TYPE


def _unknown_parameter(content: Json) -> None:
    definition(content)["externalParameters"]["branch"] = "main"


def _other_subject_order(content: Json) -> None:
    content["subject"].reverse()


def _double_subject(content: Json) -> None:
    content["subject"].insert(0, content["subject"][0])


def _other_bundles(content: Json) -> None:
    definition(content)["internalParameters"]["bundles"].popitem()


def _double_dependency(content: Json) -> None:
    definition(content)["resolvedDependencies"].append(dependency(content, "recipe"))


def _unresolved(content: Json) -> None:
    definition(content)["resolvedDependencies"].pop()


def _no_digest(content: Json) -> None:
    dependency(content, "image")["digest"] = {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one.update(_type="https://in-toto.io/Statement/v0.1"), "Invalid enum value"),
        (lambda one: one.update(predicateType="https://spdx.dev/Document"), "Invalid enum value"),
        (lambda one: definition(one).update(buildType="urn:other"), "Invalid enum value 'urn:other'"),
        (_unknown_parameter, "Object contains unknown field `branch`"),
        (lambda one: one.update(extra=1), "Object contains unknown field `extra`"),
        (lambda one: one.update(subject=[]), "Expected `array` of length >= 1"),
        (lambda one: one["subject"][0].update(name="../x"), "Expected `str` matching regex"),
        (lambda one: one["subject"][0].update(name="x\n"), "Expected `str` matching regex"),
        (lambda one: one["subject"][0]["digest"].update(sha256="A" * 64), "Expected `str` matching regex"),
        (lambda one: one["subject"][0]["digest"].update(sha512="a" * 128), "unknown field `sha512`"),
        (lambda one: one.pop("predicate"), "missing required field `predicate`"),
        (_no_digest, "a dependency has no digest"),
        (lambda one: dependency(one, "recipe")["digest"].update(gitCommit="main"), "Expected `str` matching regex"),
        (lambda one: dependency(one, "recipe").update(digest={"sha256": "a" * 64}), "the one commit it was built from"),
        (
            lambda one: dependency(one, "recipe")["annotations"].update(kind="source"),
            "the one commit it was built from",
        ),
        (
            lambda one: dependency(one, "source")["annotations"].update(kind="recipe"),
            "the one commit it was built from",
        ),
        (lambda one: dependency(one, "image")["annotations"].update(kind="spell"), "Invalid enum value 'spell'"),
        (_other_subject_order, "its subjects are not sorted, or one is there twice"),
        (_double_subject, "its subjects are not sorted, or one is there twice"),
        (_double_dependency, "it resolves a dependency twice"),
        (_unresolved, "a bundle depends on something that it does not resolve"),
        (_other_bundles, "it tells of other bundles than its subjects"),
        (lambda one: one["predicate"]["runDetails"]["metadata"].update(startedOn="now"), "matching regex"),
    ],
)
def test_a_statement_that_is_not_ours_is_refused(
    collection: Collection, change: Callable[[Json], object], said: str
) -> None:
    content = made(collection)
    change(content)

    assert said in refusal(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


def test_another_form_of_the_same_statement_is_refused(collection: Collection) -> None:
    data = make_statement(collection, RELEASE)
    said = "the statement is not in the one form in which llamatrix writes it"

    assert refusal(data + b"\n") == said
    assert refusal(data.replace(b'"forged":false', b'"forged": false')) == said
    assert refusal(data.replace(b'"tag":"v0.1.0"', b'"tag":"v9","tag":"v0.1.0"')) == said
    assert refusal(data.replace(b'"tag":"v0.1.0"', b'"tag":"\\u0076' + b'0.1.0"')) == said
    assert refusal(data.replace(b'"kind":"recipe"', b'"kind":"recipe","origin":null')) == said


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b'{"_type":' + b"[" * 500_000])
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    problem = refusal(data)

    assert problem.startswith(("the statement is not JSON", "it is no provenance of llamatrix"))
