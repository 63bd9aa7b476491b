"""BUILD_INFO.json: what a bundle says about itself.

It names what went in (source, toolchain lock, options, profile) and what is promised inside (libraries, programs, CPU
variants, licences). It holds no engine, time, host name or path: the Docker and the host engine must give the same
bytes. The build writes it, the gates hold the bundle against it, and the manifest is made from it.
"""

from __future__ import annotations

__all__ = ["INFO_NAME", "INFO_SCHEMA", "BuildInfo", "ComponentInfo", "ProfileInfo", "SourceInfo", "ToolchainInfo"]

import json
from collections.abc import Mapping
from typing import Self

import msgspec

from pipeline.errors import BundleError

INFO_NAME = "BUILD_INFO.json"
INFO_SCHEMA = 1


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every record: frozen, keywords only, unknown keys refused."""


class ProfileInfo(_Record, frozen=True, kw_only=True):
    """What the build was for; a local build says so inside as well as in its name."""

    name: str
    description: str


class SourceInfo(_Record, frozen=True, kw_only=True):
    """The source, as pinned. ``proven`` tells whether its content was proved equal to ``commit``."""

    name: str
    version: str
    commit: str | None
    epoch: int
    proven: bool
    digest: str


class ComponentInfo(_Record, frozen=True, kw_only=True):
    """One component: what it was made from and what it promises to have left in the bundle.

    ``recipe_key`` is its content key without the engine; ``licences`` are file names below ``licenses/``.
    """

    id: str
    recipe_key: str
    options: Mapping[str, str]
    libraries: tuple[str, ...]
    programs: tuple[str, ...]
    cpu_variants: tuple[str, ...]
    licences: tuple[str, ...]


class ToolchainInfo(_Record, frozen=True, kw_only=True):
    """The compiler, by the digest of its lock file."""

    name: str
    lock_sha256: str


class BuildInfo(_Record, frozen=True, kw_only=True):
    """The whole of BUILD_INFO.json. ``build_id`` ties a core to the backends of the same source pin."""

    project: str
    platform: str
    variant: str
    version: str
    profile: ProfileInfo
    build_id: str
    source: SourceInfo
    components: tuple[ComponentInfo, ...]
    backends: tuple[str, ...]
    pending: Mapping[str, str]
    toolchain: ToolchainInfo
    schema: int = INFO_SCHEMA

    def to_json(self) -> bytes:
        """Give the file's bytes: sorted keys, UTF-8, a newline at the end."""
        text = json.dumps(msgspec.to_builtins(self), sort_keys=True, indent=2, ensure_ascii=False)
        return f"{text}\n".encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the file's bytes, or raise BundleError saying which key is wrong."""
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            msg = f"it is not JSON: {error}"
            raise BundleError(msg, where=INFO_NAME, hint=_HINT) from error
        return cls.from_mapping(content)

    @classmethod
    def from_mapping(cls, content: object) -> Self:
        """Check parsed content, or raise BundleError saying which key is wrong."""
        try:
            info = msgspec.convert(content, cls)
        except msgspec.ValidationError as error:
            msg = str(error)
            raise BundleError(msg, where=INFO_NAME, hint=_HINT) from error
        if info.schema != INFO_SCHEMA:
            msg = f"its schema is {info.schema}; this llamatrix reads {INFO_SCHEMA}"
            raise BundleError(msg, where=INFO_NAME, hint="use the llamatrix that made the bundle")
        return info

    @property
    def libraries(self) -> frozenset[str]:
        """Every promised library, the CPU variants' included."""
        named = {name for component in self.components for name in component.libraries}
        variants = {f"libggml-cpu-{name}.so" for component in self.components for name in component.cpu_variants}
        return frozenset(named | variants)

    @property
    def programs(self) -> frozenset[str]:
        """Every promised program."""
        return frozenset(name for component in self.components for name in component.programs)


_HINT = "build the bundle again; the file is written by llamatrix and read by its gates and its manifest"
