"""What lies in an unpacked bundle: files, links, and every program and library already read."""

from __future__ import annotations

__all__ = ["Contents", "Item", "contents", "platform_machine"]

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import BundleError
from pipeline.gates.elf import ElfFile, is_elf, read_elf
from pipeline.gates.macho import MachoFile, is_macho, read_macho

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One file or link; ``target`` is a link's target, ``mode`` the permission bits."""

    name: str
    path: Path
    size: int
    mode: int
    target: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """Everything below the top folder, by name relative to it, sorted."""

    items: tuple[Item, ...]
    folders: tuple[Item, ...]
    elves: tuple[ElfFile, ...]
    machos: tuple[MachoFile, ...]

    @property
    def files(self) -> tuple[Item, ...]:
        """The regular files."""
        return tuple(item for item in self.items if item.target is None)

    @property
    def links(self) -> tuple[Item, ...]:
        """The symbolic links."""
        return tuple(item for item in self.items if item.target is not None)

    @property
    def binaries(self) -> tuple[ElfFile | MachoFile, ...]:
        """Every program and library, of either format."""
        found: list[ElfFile | MachoFile] = [*self.elves]
        found += self.machos
        return tuple(found)

    def binary(self, name: str) -> ElfFile | MachoFile | None:
        """Give the program or library of that name, through links that stay inside."""
        by_name = {file.name: file for file in self.binaries}
        targets = {item.name: item.target for item in self.links}
        for _ in range(len(targets) + 1):
            target = targets.get(name)
            if target is None:
                break
            name = os.path.normpath(f"{name.rpartition('/')[0]}/{target}").lstrip("/")
        return by_name.get(name)


def contents(root: Path, *, binaries: bool = True) -> Contents:
    """Walk ``root`` without following links; with ``binaries``, read every ELF and Mach-O file."""
    if not root.is_dir():
        msg = "there is no unpacked bundle to look at"
        raise BundleError(msg, where=str(root), hint="pack and unpack the bundle first")
    items: list[Item] = []
    folders: list[Item] = []
    for item, is_folder in sorted(_walk(root, ""), key=lambda pair: pair[0].name):
        (folders if is_folder else items).append(item)
    elves: list[ElfFile] = []
    machos: list[MachoFile] = []
    for item in items if binaries else ():
        if item.target is not None or not item.size:
            continue
        with item.path.open("rb") as file:
            head = file.read(4)
        if is_elf(head):
            elves.append(read_elf(item.path, item.name))
        elif is_macho(head):
            machos.append(read_macho(item.path, item.name))
    return Contents(items=tuple(items), folders=tuple(folders), elves=tuple(elves), machos=tuple(machos))


def platform_machine(platform: str) -> str:
    """Give the processor of a platform: ``linux-x86_64`` is ``x86_64``."""
    return platform.partition("-")[2]


def _walk(folder: Path, prefix: str) -> Iterator[tuple[Item, bool]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            name, path = prefix + entry.name, folder / entry.name
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(path)  # noqa: PTH115 - Path.readlink would normalise the target
                yield Item(name=name, path=path, size=0, mode=mode, target=target), False
            elif stat.S_ISDIR(status.st_mode):
                yield Item(name=name, path=path, size=0, mode=mode), True
                yield from _walk(path, f"{name}/")
            elif stat.S_ISREG(status.st_mode):
                yield Item(name=name, path=path, size=status.st_size, mode=mode), False
            else:
                msg = "it is neither a file, a folder nor a symbolic link"
                raise BundleError(msg, where=name, hint="build the bundle again")
