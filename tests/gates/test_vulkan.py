from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.gates.lab import NoLabError
from pipeline.gates.vulkan import device_environment, host_lavapipe
from tests.gates.labs import ScriptedLab


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_lavapipe_is_selected_alone(tmp_path: Path) -> None:
    put(tmp_path / "lib" / "x86_64-linux-gnu" / "libvulkan.so.1")
    put(tmp_path / "icd.d" / "radeon_icd.json")
    driver = put(tmp_path / "icd.d" / "lvp_icd.x86_64.json")
    found = host_lavapipe(drivers=[tmp_path / "none", tmp_path / "icd.d"], libraries=[tmp_path / "lib"])
    assert found == {"VK_DRIVER_FILES": str(driver), "VK_ICD_FILENAMES": str(driver)}


def test_no_vulkan_loader(tmp_path: Path) -> None:
    put(tmp_path / "icd.d" / "lvp_icd.json")
    with pytest.raises(NoLabError, match="install libvulkan1"):
        host_lavapipe(drivers=[tmp_path / "icd.d"], libraries=[tmp_path])


def test_no_lavapipe(tmp_path: Path) -> None:
    put(tmp_path / "libvulkan.so.1")
    put(tmp_path / "icd.d" / "radeon_icd.json")
    with pytest.raises(NoLabError, match="install mesa-vulkan-drivers"):
        host_lavapipe(drivers=[tmp_path / "icd.d"], libraries=[tmp_path])


def test_the_environment_of_a_device() -> None:
    def driver() -> dict[str, str]:
        return {"VK_DRIVER_FILES": "lvp.json"}

    host, image = ScriptedLab(answers=[], on_host=True), ScriptedLab(answers=[])
    assert device_environment("cpu", host, driver) == {}
    assert device_environment("lavapipe", image, driver) == {"GGML_VK_VISIBLE_DEVICES": "0"}
    assert device_environment("lavapipe", host, driver) == {
        "GGML_VK_VISIBLE_DEVICES": "0",
        "VK_DRIVER_FILES": "lvp.json",
    }
