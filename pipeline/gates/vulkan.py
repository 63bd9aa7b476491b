"""Lavapipe, Mesa's Vulkan driver that computes on the CPU: a GPU for machines without one."""

from __future__ import annotations

__all__ = ["LAVAPIPE_ENVIRONMENT", "host_lavapipe"]

from collections.abc import Iterable
from pathlib import Path

# ggml leaves out Vulkan devices that are CPUs unless one is chosen by number.
LAVAPIPE_ENVIRONMENT = {"GGML_VK_VISIBLE_DEVICES": "0"}

_DRIVERS = (Path("/usr/share/vulkan/icd.d"), Path("/etc/vulkan/icd.d"), Path("/usr/local/share/vulkan/icd.d"))
_LIBRARIES = (Path("/usr/lib"), Path("/usr/lib64"), Path("/lib"), Path("/usr/local/lib"))


def host_lavapipe(
    *, drivers: Iterable[Path] = _DRIVERS, libraries: Iterable[Path] = _LIBRARIES
) -> tuple[dict[str, str], str | None]:
    """Find lavapipe on this machine: the environment that selects it alone, or what is missing.

    An image holds no other driver that works, a host may hold a real GPU's.
    """
    if not any(found for folder in libraries for found in (*folder.glob("libvulkan.so.1"), *folder.glob("*/libvulkan.so.1"))):
        return {}, "needs the Vulkan loader on the host: install libvulkan1 (or build with --engine docker)"
    driver = next((found for folder in drivers for found in sorted(folder.glob("lvp_icd*.json"))), None)
    if driver is None:
        return {}, "needs lavapipe on the host: install mesa-vulkan-drivers (or build with --engine docker)"
    return {"VK_DRIVER_FILES": str(driver), "VK_ICD_FILENAMES": str(driver)}, None
