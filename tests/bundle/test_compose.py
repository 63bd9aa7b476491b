from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipeline.bundle.compose import compose, write_component
from pipeline.bundle.info import INFO_NAME, BuildInfo
from pipeline.errors import BundleError
from tests.gates.builders import build_info

INFO = build_info("vulkan", backends=("vulkan",))


def make(out: Path, files: dict[str, str], build_id: str = INFO.build_id) -> Path:
    for name, text in {"licenses/LICENSE": "MIT\n", **files}.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_component(out, build_id)
    return out


@pytest.fixture
def core(tmp_path: Path) -> Path:
    out = make(tmp_path / "core", {"bundle/libggml.so.0": "ggml", "bundle/llama-cli": "cli", "tests/test-gguf": "test"})
    (out / "bundle" / "libggml.so").symlink_to("libggml.so.0")
    (out / "bundle" / "llama-cli").chmod(0o755)
    return out


@pytest.fixture
def vulkan(tmp_path: Path) -> Path:
    return make(tmp_path / "vulkan", {"bundle/libggml-vulkan.so": "vulkan", "licenses/LICENSE-spirv": "spirv"})


def test_lays_everything_side_by_side(core: Path, vulkan: Path, tmp_path: Path) -> None:
    extra = tmp_path / "notice"
    extra.write_text("notice")

    compose(core, {"vulkan": vulkan}, {"NOTICE": extra}, INFO, tmp_path / "staging")

    staging = tmp_path / "staging"
    assert sorted(path.relative_to(staging).as_posix() for path in staging.rglob("*")) == [
        INFO_NAME, "libggml-vulkan.so", "libggml.so", "libggml.so.0", "licenses", "licenses/LICENSE",
        "licenses/LICENSE-spirv", "licenses/NOTICE", "llama-cli",
    ]  # fmt: skip
    assert BuildInfo.from_json((staging / INFO_NAME).read_bytes()) == INFO
    assert str((staging / "libggml.so").readlink()) == "libggml.so.0"
    assert os.access(staging / "llama-cli", os.X_OK)


def test_keeps_folders_of_data(core: Path, vulkan: Path, tmp_path: Path) -> None:
    make(vulkan, {"bundle/rocblas/library/kernels.dat": "kernels"})

    compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")

    assert (tmp_path / "staging" / "rocblas" / "library" / "kernels.dat").read_text() == "kernels"


def test_copies_no_byte_it_can_link(core: Path, vulkan: Path, tmp_path: Path) -> None:
    compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")

    assert (tmp_path / "staging" / "llama-cli").samefile(core / "bundle" / "llama-cli")


def test_copies_where_links_cannot_be_made(
    core: Path, vulkan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")

    assert (tmp_path / "staging" / "llama-cli").read_text() == "cli"
    assert os.access(tmp_path / "staging" / "llama-cli", os.X_OK)


def test_does_not_hide_other_trouble(core: Path, vulkan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(OSError, match="disk full"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")


def test_refuses_to_mix_builds(core: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other", {"bundle/libggml-vulkan.so": "vulkan"}, build_id="f" * 64)

    with pytest.raises(BundleError, match=f"the component vulkan is of build {'f' * 64}, the bundle of build b"):
        compose(core, {"vulkan": other}, {}, INFO, tmp_path / "staging")


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_refuses_a_component_of_unknown_build(core: Path, vulkan: Path, tmp_path: Path, content: str | None) -> None:
    (vulkan / "component.json").unlink()
    if content is not None:
        (vulkan / "component.json").write_text(content)

    with pytest.raises(BundleError, match=r"the component vulkan (does not say|is of build None)"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")


def test_one_file_of_two_components_must_be_the_same(core: Path, vulkan: Path, tmp_path: Path) -> None:
    (vulkan / "bundle" / "libggml.so.0").write_text("ggml")
    (vulkan / "bundle" / "libggml.so").symlink_to("libggml.so.0")
    compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "first")

    (vulkan / "bundle" / "libggml.so.0").write_text("other")
    with pytest.raises(BundleError, match=r"libggml\.so\.0: core and vulkan both bring it, with different content"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "second")


@pytest.mark.parametrize("name", ["llama-cli", "libggml.so"])
def test_a_link_and_a_file_are_different(core: Path, vulkan: Path, tmp_path: Path, name: str) -> None:
    path = vulkan / "bundle" / name
    if name == "libggml.so":
        path.write_text("ggml")
    else:
        path.symlink_to("libggml-vulkan.so")

    with pytest.raises(BundleError, match="both bring it"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")


def test_a_program_that_cannot_be_started_is_different(core: Path, vulkan: Path, tmp_path: Path) -> None:
    (vulkan / "bundle" / "llama-cli").write_text("cli")

    with pytest.raises(BundleError, match="llama-cli: core and vulkan both bring it"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")


def test_names_what_is_missing(core: Path, vulkan: Path, tmp_path: Path) -> None:
    (vulkan / "licenses" / "LICENSE").unlink()
    (vulkan / "licenses" / "LICENSE-spirv").unlink()
    with pytest.raises(BundleError, match="holds no file"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "first")
    (vulkan / "licenses").rmdir()
    with pytest.raises(BundleError, match="the component vulkan left no licenses/ folder"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "second")
    with pytest.raises(BundleError, match="the licence file NOTICE is missing or empty"):
        compose(core, {"vulkan": make(vulkan, {})}, {"NOTICE": tmp_path / "gone"}, INFO, tmp_path / "third")


def test_the_backends_must_be_those_of_the_info(core: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"composed of \[\] but BUILD_INFO\.json says \['vulkan'\]"):
        compose(core, {}, {}, INFO, tmp_path / "staging")


def test_a_component_may_not_bring_its_own_info(core: Path, vulkan: Path, tmp_path: Path) -> None:
    (vulkan / "bundle" / INFO_NAME).write_text("{}")

    with pytest.raises(BundleError, match=r"the component vulkan brings a BUILD_INFO\.json of its own"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")


def test_needs_a_new_folder(core: Path, vulkan: Path, tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "old").write_text("x")

    with pytest.raises(BundleError, match="the staging folder is not empty"):
        compose(core, {"vulkan": vulkan}, {}, INFO, tmp_path / "staging")
