"""Lavapipe, Mesa's Vulkan driver that computes on the CPU: a GPU for machines without one."""

from __future__ import annotations

__all__ = ["NO_DRIVER", "FindDriver", "device_environment", "host_lavapipe"]

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipeline.gates.lab import NoLabError, Runner

FindDriver = Callable[[], Mapping[str, str]]
"""Finds lavapipe on this machine: the environment that selects it, or NoLabError."""

NO_DRIVER = {"VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent"}
"""What the loader finds on a machine without a GPU: no driver at all."""

# ggml leaves out Vulkan devices that are CPUs unless one is chosen by number.
_CHOSEN = {"GGML_VK_VISIBLE_DEVICES": "0"}

_DRIVERS = (Path("/usr/share/vulkan/icd.d"), Path("/etc/vulkan/icd.d"), Path("/usr/local/share/vulkan/icd.d"))
_LIBRARIES = (Path("/usr/lib"), Path("/usr/lib64"), Path("/lib"), Path("/usr/local/lib"))


def host_lavapipe(*, drivers: Iterable[Path] = _DRIVERS, libraries: Iterable[Path] = _LIBRARIES) -> dict[str, str]:
    """Find lavapipe on this machine: the environment that selects it and no real GPU's driver."""
    loader = "libvulkan.so.1"
    if not any(found for folder in libraries for found in (*folder.glob(loader), *folder.glob(f"*/{loader}"))):
        msg = "needs the Vulkan loader on the host: install libvulkan1, or build with --engine docker"
        raise NoLabError(msg)
    driver = next((found for folder in drivers for found in sorted(folder.glob("lvp_icd*.json"))), None)
    if driver is None:
        msg = "needs lavapipe on the host: install mesa-vulkan-drivers, or build with --engine docker"
        raise NoLabError(msg)
    return {"VK_DRIVER_FILES": str(driver), "VK_ICD_FILENAMES": str(driver)}


def device_environment(device: str, lab: Runner, find_driver: FindDriver) -> dict[str, str]:
    """Give the environment in which programs see ``device``; an image holds no other driver that works."""
    if device != "lavapipe":
        return {}
    return {**_CHOSEN, **(find_driver() if lab.on_host else {})}
