"""The manifest says what was measured, refuses what cannot be told, and is the same bytes every time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from pipeline.matrix.spec import EnvironmentRule, Mirror, Revoked
from pipeline.model import Status
from release.errors import ManifestError
from release.manifest.reading import read
from release.manifest.records import MOST, Reference, Requires
from release.manifest.schema import json_schema
from release.manifest.writing import digest_of
from release.model import Collection, ReleasedBundle, ReleaseId
from tests.release.builders import RELEASE, make_collection, references
from tests.release.manifest.paper import (
    PROVENANCE,
    gpu_collection,
    manifest_of,
    measure,
    regate,
    rules,
    swap,
    write,
)
from tests.report.golden import compare

CPU, VULKAN = "llama.cpp/linux-x86_64/cpu", "llama.cpp/linux-x86_64/vulkan"


def refused(collection: Collection, release: ReleaseId = RELEASE, **values: object) -> str:
    with pytest.raises(ManifestError) as caught:
        write(collection, release, **values)  # type: ignore[arg-type]  # tests give the right ones
    assert caught.value.where == "manifest.json"
    assert caught.value.hint
    return caught.value.what


def test_golden(request: pytest.FixtureRequest) -> None:
    compare("manifest.json", write(gpu_collection()).decode(), update=request.config.getoption("--update-golden"))


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert write(make_collection(tmp_path / "a")) == write(make_collection(tmp_path / "b"))


def test_the_bytes_are_sorted_utf8_with_one_line_feed_at_the_end() -> None:
    data = write(gpu_collection())
    content = json.loads(data)

    assert data == (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
    assert b"\r" not in data


def test_it_is_valid_by_its_schema(tmp_path: Path) -> None:
    validator = Draft202012Validator(json_schema())

    assert [error.message for error in validator.iter_errors(json.loads(write(gpu_collection())))] == []
    assert [error.message for error in validator.iter_errors(json.loads(write(make_collection(tmp_path / "d"))))] == []


def test_every_number_is_the_archives(tmp_path: Path) -> None:
    collection = make_collection(tmp_path / "dist")
    manifest = read(write(collection))
    seen = 0
    for bundle in collection.bundles:
        cell, archive = bundle.cell, bundle.inspection
        entry = manifest.projects[cell.project].platforms[cell.platform].variants[cell.variant]
        files = {file.path: file for file in archive.files}
        assert (entry.artifact.name, entry.artifact.top) == (archive.path.name, archive.top)
        assert entry.artifact.size == archive.path.stat().st_size
        assert entry.artifact.sha256 == archive.sha256
        assert entry.artifact.unpacked_size == archive.unpacked_size
        assert entry.artifact.urls == (f"https://github.com/acme/llamatrix/releases/download/v0.1.0/{bundle.asset}",)
        assert {library.name for library in entry.attest.bundled} == {name for name in files if ".so" in name}
        assert all(files[one.name].sha256 == one.sha256 for one in entry.attest.bundled)
        assert entry.attest.gates == {verdict.gate: "passed" for verdict in bundle.verdicts}
        assert entry.sbom == references(collection)[bundle.asset]
        seen += 1
    assert seen == 4


def test_both_projects_are_there_and_what_is_missing_is_named() -> None:
    manifest = manifest_of()

    assert sorted(manifest.projects) == ["llama.cpp", "ollama"]
    assert manifest.projects["ollama"].platforms == {}
    assert manifest.projects["ollama"].source.commit is None
    assert {one.cell.partition("/")[0] for one in manifest.missing} == {"ollama"}
    assert {one.reason for one in manifest.missing} == {"an Ollama source that can be proved"}


def test_the_source_is_named_by_its_package_url() -> None:
    source = manifest_of().projects["llama.cpp"].source

    assert source.purl == "pkg:github/ggml-org/llama.cpp@0c1e57098bba43ac29e6e3b677cdceebdd22334f"
    assert source.digest == "f4e31d28" * 8


def test_upper_case_names_are_written_small_in_package_urls() -> None:
    collection = gpu_collection()
    sources = dict(collection.matrix.sources)
    mirror = Mirror(git="https://github.com/GGML-Org/Llama.cpp.git")
    sources["llama.cpp"] = msgspec.structs.replace(sources["llama.cpp"], mirrors=(mirror,))
    changed = dataclasses.replace(collection, matrix=msgspec.structs.replace(collection.matrix, sources=sources))

    purl = manifest_of(changed).projects["llama.cpp"].source.purl
    assert purl == "pkg:github/ggml-org/llama.cpp@0c1e57098bba43ac29e6e3b677cdceebdd22334f"


def test_a_source_that_is_elsewhere_has_no_package_url() -> None:
    collection = gpu_collection()
    sources = dict(collection.matrix.sources)
    mirror = Mirror(git="https://git.example.org/llama.cpp.git")
    sources["llama.cpp"] = msgspec.structs.replace(sources["llama.cpp"], mirrors=(mirror,))
    changed = dataclasses.replace(collection, matrix=msgspec.structs.replace(collection.matrix, sources=sources))

    assert manifest_of(changed).projects["llama.cpp"].source.purl is None


def test_order_names_only_what_is_there(tmp_path: Path) -> None:
    platforms = read(write(make_collection(tmp_path / "dist"))).projects["llama.cpp"].platforms

    assert platforms["linux-x86_64"].order == ("vulkan", "cpu", "all")
    assert platforms["linux-aarch64"].order == ("cpu",)


def test_what_each_variant_requires() -> None:
    platforms = manifest_of().projects["llama.cpp"].platforms
    linux = platforms["linux-x86_64"].variants

    assert linux["cpu"].requires == Requires(glibc="2.28", cpu="x86-64-v1")
    assert platforms["linux-aarch64"].variants["cpu"].requires == Requires(glibc="2.28", cpu="armv8.0-a")
    assert platforms["darwin-arm64"].variants["metal"].requires == Requires(macos="13.3", cpu="apple-m1")
    assert linux["all"].requires == linux["cpu"].requires
    assert linux["all"].attest.needed == ("libc.so.6", "libm.so.6", "libvulkan.so.1")
    assert linux["vulkan"].requires.libs == ("libvulkan.so.1",)


def test_times_come_from_the_release() -> None:
    manifest = manifest_of()

    assert manifest.generated_at == "2026-11-21T10:51:32Z"
    assert manifest.expires_at == "2027-05-20T10:51:32Z"


def test_the_first_manifest_has_no_past() -> None:
    manifest = manifest_of()

    assert (manifest.epoch, manifest.manifest_version, manifest.release.previous) == (1, 1, None)


def later(collection: Collection, release: ReleaseId = RELEASE, number: int = 1) -> tuple[Collection, ReleaseId]:
    """The next release: another version, some seconds later, with bundles of that name."""
    version = f"0.1.{number}"
    return dataclasses.replace(collection, version=version, epoch=collection.epoch + number), dataclasses.replace(
        release, tag=f"v{version}"
    )


def test_versions_grow_and_the_past_is_named_by_its_digest() -> None:
    first = write(gpu_collection())
    collection, release = later(gpu_collection())
    second = read(write(collection, release, previous=read(first)))
    assert second.manifest_version == 2
    assert second.release.previous is not None
    assert second.release.previous.sha256 == digest_of(read(first))
    assert second.release.previous.tag == "v0.1.0"

    collection, release = later(gpu_collection(), number=2)
    assert read(write(collection, release, previous=second)).manifest_version == 3


def test_a_higher_epoch_begins_anew_and_a_lower_one_is_refused() -> None:
    collection, release = later(gpu_collection())
    second = read(write(rules(collection, epoch=2), release, previous=manifest_of()))
    assert (second.epoch, second.manifest_version) == (2, 1)

    collection, release = later(gpu_collection(), number=2)
    assert "an epoch never goes down" in refused(collection, release, previous=second)


def test_versions_end_and_only_a_higher_epoch_goes_on() -> None:
    collection, release = later(gpu_collection())
    last = msgspec.structs.replace(manifest_of(), manifest_version=MOST)

    assert f"the previous manifest has version {MOST}" in refused(collection, release, previous=last)
    assert read(write(rules(collection, epoch=2), release, previous=last)).manifest_version == 1


def test_the_same_tag_has_no_manifest_before_it() -> None:
    assert "the previous manifest is of the same tag v0.1.0" in refused(gpu_collection(), previous=manifest_of())


def test_a_previous_manifest_from_the_future() -> None:
    collection, release = later(gpu_collection())
    early = dataclasses.replace(collection, epoch=collection.epoch - 100)

    assert "after this one's time" in refused(early, release, previous=manifest_of())


def test_what_was_revoked_stays_revoked() -> None:
    revoked = (Revoked(sha256="5e" * 32, reason="it phoned home"),)
    first = read(write(rules(gpu_collection(), revoked=revoked)))
    collection, release = later(gpu_collection())

    assert "what was revoked stays so" in refused(collection, release, previous=first)
    again = read(write(rules(collection, revoked=revoked), release, previous=first))
    assert [one.sha256 for one in again.revoked] == ["5e" * 32]


def test_a_tag_of_another_version() -> None:
    release = dataclasses.replace(RELEASE, tag="v0.2.0")

    assert "the tag v0.2.0 is not that of version 0.1.0" in refused(gpu_collection(), release)


def test_a_bundle_without_an_sbom_and_an_sbom_without_a_bundle() -> None:
    collection = gpu_collection()
    sboms = references(collection)
    lost = sboms.pop(collection.bundles[0].asset)
    sboms["other.tar.zst"] = lost
    what = refused(collection, sboms=sboms)

    assert f"{collection.bundles[0].asset} has no SBOM" in what
    assert "there is an SBOM for other.tar.zst, which is no bundle" in what


def test_a_matrix_without_a_release_section() -> None:
    collection = gpu_collection()
    bare = dataclasses.replace(collection, matrix=msgspec.structs.replace(collection.matrix, release=None))

    assert "matrix.yaml has no release section" in refused(bare)


def test_the_default_must_be_released() -> None:
    collection = gpu_collection()
    kept = tuple(bundle for bundle in collection.bundles if bundle.cell.id != CPU)
    what = refused(dataclasses.replace(collection, bundles=kept))

    assert "its core's needs are measured on the platform's default bundle" in what  # `all` cannot be told either
    kept = tuple(bundle for bundle in kept if bundle.cell.variant != "all")
    assert "llama.cpp/linux-x86_64: its default variant cpu is not released" in refused(
        dataclasses.replace(collection, bundles=kept)
    )


def test_a_default_that_needs_a_gpu() -> None:
    what = refused(rules(gpu_collection(), defaults={"linux-x86_64": "vulkan", "linux-aarch64": "cpu"}))

    assert "matrix.yaml's release.defaults names no variant for darwin-arm64" in what
    collection = gpu_collection()
    kept = tuple(bundle for bundle in collection.bundles if bundle.cell.variant != "all")
    defaults = {"linux-x86_64": "vulkan", "linux-aarch64": "cpu", "darwin-arm64": "metal"}
    what = refused(rules(dataclasses.replace(collection, bundles=kept), defaults=defaults))
    assert "its default variant vulkan requires vulkan, libvulkan.so.1, which not every machine has" in what


def test_a_variant_the_order_leaves_out() -> None:
    what = refused(rules(gpu_collection(), order=("cuda12", "rocm-gfx1100", "metal", "cpu", "all")))

    assert "llama.cpp/linux-x86_64: order leaves out vulkan" in what


def test_a_waived_gate_is_shown_with_its_end() -> None:
    collection = swap(
        gpu_collection(),
        CPU,
        lambda bundle: regate(
            bundle, "repro", Status.WAIVED, reason="built  once\nonly", until="2026-12-31", measured={}
        ),
    )
    entry = manifest_of(collection).projects["llama.cpp"].platforms["linux-x86_64"].variants["cpu"]

    assert entry.attest.gates["repro"] == "waived"
    assert [(one.gate, one.reason, one.until) for one in entry.waivers] == [("repro", "built once only", "2026-12-31")]


def test_an_ended_waiver_is_refused() -> None:
    collection = swap(
        gpu_collection(), CPU, lambda bundle: regate(bundle, "repro", Status.WAIVED, reason="x", until="2026-11-20")
    )

    assert "the waiver of gate repro ended on 2026-11-20, before the release" in refused(collection)


def test_a_waiver_without_a_reason_is_refused() -> None:
    collection = swap(gpu_collection(), CPU, lambda bundle: regate(bundle, "repro", Status.WAIVED))

    assert f"{CPU}: gate repro is waived without a reason or an end" in refused(collection)


@pytest.mark.parametrize("status", [Status.FAILED, Status.SKIPPED])
def test_what_did_not_pass_is_refused(status: Status) -> None:
    collection = swap(gpu_collection(), CPU, lambda bundle: regate(bundle, "smoke", status))

    assert f"{CPU}: gate smoke is {status}: only what passed or is waived is released" in refused(collection)


def test_placeholders_are_refused() -> None:
    def zero(digest: str) -> Collection:
        return swap(
            gpu_collection(),
            VULKAN,
            lambda bundle: dataclasses.replace(
                bundle, inspection=dataclasses.replace(bundle.inspection, sha256=digest)
            ),
        )

    assert f"{VULKAN}: the digest of llama.cpp-0.1.0-linux-x86_64-vulkan.tar.zst is a placeholder" in refused(
        zero("0" * 64)
    )
    assert "is a placeholder" in refused(zero("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))


def test_an_empty_archive_is_refused() -> None:
    collection = swap(
        gpu_collection(),
        VULKAN,
        lambda bundle: measure(
            dataclasses.replace(bundle, inspection=dataclasses.replace(bundle.inspection, size=0)), "size", packed=0
        ),
    )

    assert "llama.cpp-0.1.0-linux-x86_64-vulkan.tar.zst has no size" in refused(collection)


def test_two_cells_with_one_archive_are_refused() -> None:
    collection = gpu_collection()
    digest = next(bundle for bundle in collection.bundles if bundle.cell.id == VULKAN).inspection.sha256
    twice = swap(
        collection,
        "llama.cpp/linux-x86_64/cuda12",
        lambda bundle: dataclasses.replace(bundle, inspection=dataclasses.replace(bundle.inspection, sha256=digest)),
    )

    assert f"2 assets have the digest {digest}" in refused(twice)


def test_a_revoked_archive_is_not_released_again() -> None:
    collection = gpu_collection()
    digest = collection.bundles[0].inspection.sha256
    what = refused(rules(collection, revoked=(Revoked(sha256=digest, reason="it crashed"),)))

    assert f"{collection.bundles[0].cell.id} is released and revoked: it crashed" in what


def test_bundles_of_another_source_are_refused() -> None:
    collection = gpu_collection()
    info = collection.bundles[0].inspection.info
    other = msgspec.structs.replace(info, source=msgspec.structs.replace(info.source, commit="ab" * 20))
    mixed = swap(
        collection,
        collection.bundles[0].cell.id,
        lambda bundle: dataclasses.replace(bundle, inspection=dataclasses.replace(bundle.inspection, info=other)),
    )

    assert "llama.cpp: its bundles are not all of the pinned source" in refused(mixed)


def test_a_bad_reference_is_refused_at_the_door_everybody_passes() -> None:
    collection = gpu_collection()
    sboms = dict(references(collection))
    sboms[collection.bundles[0].asset] = Reference(name="../../etc/passwd", sha256="ab" * 32)

    assert "matching regex" in refused(collection, sboms=sboms)


def test_nothing_to_release() -> None:
    assert "it releases nothing" in refused(dataclasses.replace(gpu_collection(), bundles=()), sboms={})


def test_text_that_is_not_unicode() -> None:
    collection = gpu_collection()
    broken = dataclasses.replace(collection, missing=(dataclasses.replace(collection.missing[0], reason="a\ud800b"),))

    assert "holds control or invisible characters" in refused(broken)


def test_all_problems_are_listed_at_once() -> None:
    collection = swap(gpu_collection(), CPU, lambda bundle: measure(bundle, "size", packed=1))
    collection = swap(collection, VULKAN, lambda bundle: measure(bundle, "abi", floor="2.17"))
    what = refused(collection)

    assert what.startswith("no manifest follows from this: 2 problems\n  - ")
    assert f"{CPU}: gate size measured packed 1, the archive has 4321" in what
    assert f"{VULKAN}: gate abi judged by the floor 2.17, the plan says 2.28" in what


def test_the_provenance_is_named() -> None:
    assert manifest_of().provenance == PROVENANCE


def test_waived_tests_that_did_not_run_are_not_counted() -> None:
    collection = swap(
        gpu_collection(),
        CPU,
        lambda bundle: regate(bundle, "tests", Status.WAIVED, reason="x", until="2026-12-31", measured={}),
    )
    entry = manifest_of(collection).projects["llama.cpp"].platforms["linux-x86_64"].variants["cpu"]

    assert entry.attest.tests is None


def test_a_variant_without_its_family_inside_is_refused() -> None:
    def emptied(bundle: ReleasedBundle) -> ReleasedBundle:
        waived = regate(bundle, "backend", Status.WAIVED, reason="x", until="2026-12-31")
        return measure(waived, "backend", backends=[])

    assert f"{VULKAN}: its backend vulkan was not found inside" in refused(swap(gpu_collection(), VULKAN, emptied))


def test_the_loaders_variables_are_never_written() -> None:
    rule = EnvironmentRule(cells="*/*/rocm-*", name="LD_PRELOAD", value="evil.so", reason="slipped through")
    what = refused(rules(gpu_collection(), environment=(rule,)))

    assert "llama.cpp/linux-x86_64/rocm-gfx1100: the variable LD_PRELOAD is not one a manifest may set" in what
