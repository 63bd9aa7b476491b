"""Compose a staging folder from one core and its backend libraries, copying no byte that can be linked.

A component's output folder is flat: ``bundle/`` is what ships, ``tests/`` stays beside it, ``licenses/`` are its
licence files, ``component.json`` names its build. ggml looks for backends in the executable's own folder and every
RUNPATH is ``$ORIGIN``, so everything that ships lies side by side in the top folder, as upstream does it.
"""

from __future__ import annotations

__all__ = ["COMPONENT_NAME", "LICENCES", "compose", "write_component"]

import errno
import filecmp
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING

from pipeline.bundle.info import INFO_NAME, BuildInfo
from pipeline.bundle.members import Kind, Member, check_name, survey
from pipeline.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMPONENT_NAME = "component.json"
LICENCES = "licenses"
_MIXED = "build all components of a bundle from one source pin: ggml's symbols carry no version, so a mix fails late"
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}


def write_component(out: Path, build_id: str) -> None:
    """Mark a component's output folder with the build it belongs to."""
    text = json.dumps({"build_id": build_id}, sort_keys=True)
    (out / COMPONENT_NAME).write_text(f"{text}\n", encoding="utf-8")


def compose(
    core: Path, backends: Mapping[str, Path], licences: Mapping[str, Path], info: BuildInfo, staging: Path
) -> None:
    """Fill ``staging`` with the content of a bundle's top folder.

    Args:
        core: The core's output folder.
        backends: Backend component name to its output folder.
        licences: Further licence files, by their name below ``licenses/``.
        info: What BUILD_INFO.json will say; its ``build_id`` must be every component's.
        staging: The folder to fill; it must not exist or be empty.

    Raises:
        BundleError: Components of different builds, two different files of one name, a component without files or
            without a licence, or a promised licence that is missing.
    """
    if staging.exists() and any(staging.iterdir()):
        msg = "the staging folder is not empty"
        raise BundleError(msg, where=str(staging), hint="compose into a new folder")
    if set(backends) != set(info.backends):
        msg = f"it is composed of {sorted(backends)} but {INFO_NAME} says {sorted(info.backends)}"
        raise BundleError(msg, where=str(staging), hint="make both from the same cell")
    components = {"core": core, **backends}
    for name, out in components.items():
        _check_build(name, out, info.build_id)
    staging.mkdir(parents=True, exist_ok=True)
    origins: dict[str, str] = {}
    for name, out in components.items():
        _add(name, out / "bundle", staging, "", origins)
        _add(name, out / LICENCES, staging, f"{LICENCES}/", origins)
    for name, path in sorted(licences.items()):
        check_name(name)
        _add_licence(name, path, staging, origins)
    if INFO_NAME in origins:
        msg = f"the component {origins[INFO_NAME]} brings a {INFO_NAME} of its own"
        raise BundleError(msg, where=INFO_NAME, hint="remove it from the component's bundle/ folder")
    (staging / INFO_NAME).write_bytes(info.to_json())


def _check_build(name: str, out: Path, build_id: str) -> None:
    path = out / COMPONENT_NAME
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"the component {name} does not say which build it belongs to: {error}"
        raise BundleError(msg, where=str(path), hint="build the component again") from error
    theirs = found.get("build_id") if isinstance(found, dict) else None
    if theirs != build_id:
        msg = f"the component {name} is of build {theirs}, the bundle of build {build_id}"
        raise BundleError(msg, where=str(path), hint=_MIXED)


def _add(component: str, folder: Path, staging: Path, prefix: str, origins: dict[str, str]) -> None:
    if not folder.is_dir():
        msg = f"the component {component} left no {folder.name}/ folder"
        raise BundleError(msg, where=str(folder), hint="look at the component's build log")
    for member in survey(folder):
        _place(component, member, staging, f"{prefix}{member.name}", origins)


def _add_licence(name: str, path: Path, staging: Path, origins: dict[str, str]) -> None:
    if not path.is_file() or path.stat().st_size == 0:
        msg = f"the licence file {name} is missing or empty"
        raise BundleError(msg, where=str(path), hint="look at the source tree the licence should come from")
    member = Member(name=name, kind=Kind.FILE, path=path, size=path.stat().st_size)
    _place("the licences", member, staging, f"{LICENCES}/{name}", origins)


def _place(component: str, member: Member, staging: Path, name: str, origins: dict[str, str]) -> None:
    path = staging / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.kind is Kind.FOLDER:
        path.mkdir(exist_ok=True)
        return
    if name in origins:
        if not _same(member, path):
            msg = f"{origins[name]} and {component} both bring it, with different content"
            raise BundleError(msg, where=name, hint="build the backend without the core's targets")
        return
    origins[name] = component
    if member.kind is Kind.LINK:
        path.symlink_to(member.target)
    else:
        _link_or_copy(member.path, path)


def _same(member: Member, path: Path) -> bool:
    if member.kind is Kind.LINK or path.is_symlink():
        return member.kind is Kind.LINK and path.is_symlink() and os.readlink(path) == member.target  # noqa: PTH115 - as it is
    executable = bool(path.stat().st_mode & stat.S_IXUSR)
    return member.executable == executable and filecmp.cmp(member.path, path, shallow=False)


def _link_or_copy(source: Path, path: Path) -> None:
    # Packing only reads, so sharing the inode with the store is safe and makes an ``all`` bundle cost nothing.
    try:
        path.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy(source, path)
