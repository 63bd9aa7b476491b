from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pipeline.report.record import Material
from release.errors import SealError
from release.model import FileDigest, LinkEntry, ReleasedBundle
from release.sbom import document
from release.sbom.document import make_sbom
from tests.release.builders import EPOCH, FORGED, REAL, RELEASE, load_matrix, make_collection

VULKAN = "llama.cpp/linux-x86_64/vulkan"


@pytest.fixture(name="bundle", scope="module")
def _bundle(tmp_path_factory: pytest.TempPathFactory) -> ReleasedBundle:
    return bundle_of(tmp_path_factory.mktemp("dist"), REAL)


def bundle_of(folder: Path, engine: str) -> ReleasedBundle:
    bundles = make_collection(folder, engine=engine).bundles
    return next(bundle for bundle in bundles if bundle.cell.id == VULKAN)


def source_of(bundle: ReleasedBundle) -> Any:  # noqa: ANN401  replaced freely by tests
    return load_matrix().file.sources[bundle.inspection.info.source.name]


def sbom(bundle: ReleasedBundle, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  the keywords of make_sbom
    arguments = {"epoch": EPOCH, "source": source_of(bundle)} | changes
    data = make_sbom(bundle, RELEASE, **arguments)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    content: dict[str, Any] = json.loads(data)
    return content


def by_ref(content: dict[str, Any]) -> dict[str, Any]:
    return {component["bom-ref"]: component for component in content["components"]}


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in component.get("properties", [])}


def remarks(content: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in content["metadata"]["properties"]:
        found.setdefault(one["name"], []).append(one["value"])
    return found


def edges(content: dict[str, Any]) -> dict[str, list[str]]:
    return {one["ref"]: one.get("dependsOn", []) for one in content["dependencies"]}


def with_source(bundle: ReleasedBundle, **changes: object) -> ReleasedBundle:
    archive = bundle.inspection
    info = msgspec.structs.replace(archive.info, source=msgspec.structs.replace(archive.info.source, **changes))
    return replace(bundle, inspection=replace(archive, info=info))


def image(name: str, *packages: tuple[str, str]) -> Material:
    digest = name.encode().hex().ljust(64, "0")
    ident = f"image:{name}@{digest[:12]}"
    return Material(id=ident, kind="image", name=name, digest=digest, origin="bootstrapped", packages=packages)


def test_the_subject_is_the_archive_as_measured(bundle: ReleasedBundle) -> None:
    subject = sbom(bundle)["metadata"]["component"]
    digest = bundle.inspection.sha256
    url = f"https://github.com/acme/llamatrix/releases/download/v0.1.0/{bundle.asset}"

    assert subject["name"] == bundle.asset
    assert subject["version"] == "0.1.0"
    assert subject["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert subject["externalReferences"] == [{"type": "distribution", "url": url, "hashes": subject["hashes"]}]
    assert (
        subject["purl"]
        == f"pkg:generic/llama.cpp-linux-x86_64-vulkan@0.1.0?checksum=sha256:{digest}&download_url={url}"
    )
    assert properties(subject)["llamatrix:cell"] == VULKAN
    assert properties(subject)["llamatrix:link"] == "libllama.so.0 -> libllama.so"


def test_the_source_is_named_by_its_commit(bundle: ReleasedBundle) -> None:
    source = by_ref(sbom(bundle))["source"]

    assert source["purl"] == "pkg:github/ggml-org/llama.cpp@0c1e57098bba43ac29e6e3b677cdceebdd22334f"
    assert properties(source)["llamatrix:commit"] == "0c1e57098bba43ac29e6e3b677cdceebdd22334f"
    assert properties(source)["llamatrix:source-digest"] == bundle.inspection.info.source.digest
    assert properties(source)["llamatrix:source-proven"] == "true"
    assert source["externalReferences"] == [{"type": "vcs", "url": "https://github.com/ggml-org/llama.cpp.git"}]


@pytest.mark.parametrize(
    ("remote", "purl"),
    [
        ("https://github.com/Acme/Fork.cpp", "pkg:github/acme/fork.cpp@"),
        ("https://github.com/acme/fork.cpp.git/", "pkg:github/acme/fork.cpp@"),
        ("git@github.com:acme/fork.git", "pkg:generic/llama.cpp@"),
        ("https://x:token@github.com/acme/fork.git", "pkg:generic/llama.cpp@"),
        ("https://codeberg.example/acme/fork.git", "pkg:generic/llama.cpp@"),
        ("https://github.com.evil.example/acme/fork.git", "pkg:generic/llama.cpp@"),
        ("https://github.com/acme/fork/extra", "pkg:generic/llama.cpp@"),
    ],
)
def test_only_a_remote_on_github_gives_a_purl_of_github(bundle: ReleasedBundle, remote: str, purl: str) -> None:
    pin = source_of(bundle)
    mirrors = (msgspec.structs.replace(pin.mirrors[0], git=remote, sdist=None, sha256=None, objects=None),)
    source = by_ref(sbom(bundle, source=msgspec.structs.replace(pin, mirrors=mirrors)))["source"]

    assert source["purl"] == f"{purl}{bundle.inspection.info.source.commit}"
    assert "token" not in json.dumps(source)


def test_a_source_that_matrix_yaml_does_not_place_has_a_generic_purl(bundle: ReleasedBundle) -> None:
    source = by_ref(sbom(bundle, source=None))["source"]

    assert source["purl"] == "pkg:generic/llama.cpp@0c1e57098bba43ac29e6e3b677cdceebdd22334f"
    assert "externalReferences" not in source


def test_a_source_without_a_commit_claims_none(bundle: ReleasedBundle) -> None:
    source = by_ref(sbom(with_source(bundle, commit=None, proven=False)))["source"]

    assert source["purl"] == "pkg:generic/llama.cpp@0.5.0-dev"
    assert "llamatrix:commit" not in properties(source)
    assert properties(source)["llamatrix:source-proven"] == "false"


def test_every_file_is_there_with_its_digest_and_what_it_is(bundle: ReleasedBundle) -> None:
    components = by_ref(sbom(bundle))
    files = {ref.removeprefix("file:"): one for ref, one in components.items() if one["type"] == "file"}
    roles = {path: properties(one)["llamatrix:role"] for path, one in files.items()}

    assert {file.path for file in bundle.inspection.files} == set(files)
    for file in bundle.inspection.files:
        assert files[file.path]["hashes"] == [{"alg": "SHA-256", "content": file.sha256}]
        assert properties(files[file.path])["llamatrix:size"] == str(file.size)
    assert roles["BUILD_INFO.json"] == "build-info"
    assert roles["licenses/LICENSE"] == "licence"
    assert roles["llama-cli"] == "program"
    assert roles["libggml-vulkan.so"] == "library"
    assert roles["libggml-cpu-x64.so"] == "library"


def test_a_library_behind_links_is_a_library_and_a_ring_of_links_ends(bundle: ReleasedBundle) -> None:
    files = (FileDigest(path="libggml.so.0.25", size=1, sha256="a" * 64), FileDigest(path="x", size=1, sha256="b" * 64))
    links = (
        LinkEntry(path="libggml.so", target="libggml.so.0"),
        LinkEntry(path="libggml.so.0", target="libggml.so.0.25"),
        LinkEntry(path="libllama.so", target="ring"),
        LinkEntry(path="ring", target="libllama.so"),
    )
    components = by_ref(sbom(replace(bundle, inspection=replace(bundle.inspection, files=files, links=links))))

    assert properties(components["file:libggml.so.0.25"])["llamatrix:role"] == "library"
    assert properties(components["file:x"])["llamatrix:role"] == "data"


def test_images_and_toolchain_hold_their_packages(bundle: ReleasedBundle) -> None:
    images = (
        image("build", ("libc6:amd64", "2.41-12"), ("zstd", "1:1.5.7+dfsg~1")),
        image("vulkan", ("zstd", "1:1.5.7+dfsg~1")),
    )
    toolchain = next(material for material in bundle.materials if material.kind == "toolchain")
    content = sbom(replace(bundle, materials=(*images, toolchain)))
    components, graph = by_ref(content), edges(content)
    zstd, libc = "pkg:deb/debian/zstd@1:1.5.7%2Bdfsg~1", "pkg:deb/debian/libc6@2.41-12?arch=amd64"

    assert components[images[0].id]["type"] == "container"
    assert components[images[0].id]["version"] == f"sha256:{images[0].digest}"
    assert components[images[0].id]["scope"] == "excluded"
    assert components[libc]["name"] == "libc6"
    assert components[libc]["purl"] == libc
    assert graph[images[0].id] == sorted([libc, zstd])
    assert graph[images[1].id] == [zstd]
    assert "scope" not in components[toolchain.id]
    assert graph[toolchain.id] == ["pkg:pypi/cmake@4.1.2", "pkg:pypi/ninja@1.13.0", "pkg:pypi/ziglang@0.17.0"]


def test_the_bundle_depends_on_all_but_the_packages(bundle: ReleasedBundle) -> None:
    content = sbom(bundle)
    graph = edges(content)
    packages = {ref for ref in by_ref(content) if ref.startswith("pkg:")}

    assert set(graph["bundle"]) == set(by_ref(content)) - packages
    assert set(graph) == set(by_ref(content)) | {"bundle"}


def test_what_nobody_recorded_is_said_to_be_missing(tmp_path: Path) -> None:
    content = sbom(bundle_of(tmp_path, FORGED))

    assert remarks(content)["llamatrix:materials"] == ["not recorded"]
    assert [text.split(":")[0] for text in remarks(content)["llamatrix:gap"]] == [
        "No container image is listed",
        "No toolchain is listed",
    ]
    assert {one["type"] for one in content["components"]} == {"library", "file"}


def test_a_bundle_built_without_containers_says_that_no_image_is_listed(bundle: ReleasedBundle) -> None:
    toolchain = tuple(material for material in bundle.materials if material.kind == "toolchain")
    found = remarks(sbom(replace(bundle, materials=toolchain)))

    assert found["llamatrix:materials"] == ["recorded"]
    assert len(found["llamatrix:gap"]) == 1
    assert found["llamatrix:gap"][0].startswith("No container image is listed")
    assert "llamatrix:gap" not in remarks(sbom(bundle))


def test_an_image_without_a_list_of_packages_says_so(bundle: ReleasedBundle) -> None:
    content = sbom(replace(bundle, materials=(image("bare"),)))

    assert properties(by_ref(content)[image("bare").id])["llamatrix:packages"] == "not recorded"


def test_a_material_of_an_unknown_kind_is_refused(bundle: ReleasedBundle) -> None:
    odd = replace(image("build"), kind="incantation")
    with pytest.raises(SealError, match="is of an unknown kind: incantation") as caught:
        make_sbom(replace(bundle, materials=(odd,)), RELEASE, epoch=EPOCH)
    assert caught.value.where == bundle.asset
    assert caught.value.hint


def test_an_sbom_that_could_not_be_read_again_is_not_written(
    bundle: ReleasedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "MAX_SBOM_BYTES", 1000)
    with pytest.raises(SealError, match="at most 1000 are read by those who verify"):
        make_sbom(bundle, RELEASE, epoch=EPOCH)


def test_the_same_bundle_gives_the_same_bytes(bundle: ReleasedBundle) -> None:
    first = make_sbom(bundle, RELEASE, epoch=EPOCH, source=source_of(bundle))
    turned = replace(
        bundle,
        materials=bundle.materials[::-1],
        inspection=replace(bundle.inspection, files=bundle.inspection.files[::-1]),
    )

    assert first == make_sbom(bundle, RELEASE, epoch=EPOCH, source=source_of(bundle))
    assert first.endswith(b"}\n")
    assert json.loads(first)["metadata"]["timestamp"] == "2026-11-21T10:51:32+00:00"
    same = json.loads(make_sbom(turned, RELEASE, epoch=EPOCH, source=source_of(bundle)))
    assert same["components"] == json.loads(first)["components"]


def test_another_input_gives_another_serial_number(bundle: ReleasedBundle) -> None:
    make = partial(make_sbom, bundle, RELEASE, epoch=EPOCH, source=source_of(bundle))
    variants: Iterator[Callable[[], bytes]] = iter(
        (
            make,
            partial(make, epoch=EPOCH + 1),
            partial(make, source=None),
            partial(make_sbom, bundle, replace(RELEASE, tag="v0.1.1"), epoch=EPOCH, source=source_of(bundle)),
            partial(make_sbom, bundle, replace(RELEASE, commit="b" * 40), epoch=EPOCH, source=source_of(bundle)),
            partial(make_sbom, replace(bundle, materials=()), RELEASE, epoch=EPOCH, source=source_of(bundle)),
        )
    )
    serials = [json.loads(variant())["serialNumber"] for variant in variants]

    assert len(set(serials)) == len(serials)
    assert all(serial.startswith("urn:uuid:") for serial in serials)


@pytest.mark.parametrize(
    "plant",
    [
        lambda bom: bom["components"][0].update(type="kontainer"),
        lambda bom: bom["metadata"]["component"]["hashes"][0].update(content="xyz"),
        lambda bom: bom.update(serialNumber="1234"),
        lambda bom: bom["components"][0].update(colour="red"),
    ],
)
def test_the_validator_used_here_finds_planted_mistakes(
    bundle: ReleasedBundle, plant: Callable[[dict[str, Any]], object]
) -> None:
    content = sbom(bundle)
    plant(content)

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(content)) is not None
