"""Checks the parts of matrix.yaml against each other: names that must be known, values that cannot be meant."""

from __future__ import annotations

__all__ = ["CORE", "MAX_CELLS", "check_references"]

import re
from math import prod
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.matrix.problems import unknown
from pipeline.matrix.quantities import check_duration, check_size
from pipeline.matrix.select import PLATFORM_ALIASES, normalise_platform

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pipeline.matrix.loaded import LoadedMatrix
    from pipeline.matrix.nodes import Path
    from pipeline.matrix.problems import Problems
    from pipeline.matrix.spec import Component, Image, Mirror, Source

CORE = "core"
"""The last part of the id of the component that every bundle of its platform starts from."""

MAX_CELLS = 100_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", re.ASCII)
_NAME_RULE = "a name starts with a letter or digit and goes on with letters, digits and . _ + -"
_SDIST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+]*", re.ASCII)
_SUFFIX = re.compile(r"(?:-[A-Za-z0-9.]+)?", re.ASCII)
_URL = re.compile(r"[a-z][a-z+]*://[!-~]+", re.ASCII)
_PARTS = 3


def check_references(matrix: LoadedMatrix, problems: Problems) -> None:
    """Add a problem for each part that names something unknown or cannot be meant."""
    checks = _References(matrix, problems)
    checks.names()
    checks.axes()
    checks.platforms()
    checks.projects()
    checks.toolchains()
    checks.images()
    checks.components()
    checks.profiles()
    for name, source in matrix.file.sources.items():
        checks.source(("sources", name), source)


class _References:
    def __init__(self, matrix: LoadedMatrix, problems: Problems) -> None:
        self._matrix = matrix
        self._file = matrix.file
        self._problems = problems

    def _known(self, path: Path, kind: str, name: str, known: Collection[str], *, key: bool = False) -> bool:
        if name in known:
            return True
        self._problems.add(path, unknown(kind, name, known), key=key)
        return False

    def _named(self, path: Path, names: Iterable[str]) -> None:
        """Check names that become parts of file names, and that none stands there twice."""
        seen: set[str] = set()
        for index, name in enumerate(names):
            if not _NAME.fullmatch(name):
                self._problems.add((*path, index), f"{name!r} cannot be a file's name", hint=_NAME_RULE)
            self._once((*path, index), name, seen)

    def _once(self, path: Path, name: str, seen: set[str]) -> None:
        if name in seen:
            self._problems.add(path, f"{name!r} stands here twice", hint="keep one of them")
        seen.add(name)

    def _inside(self, path: Path, text: str) -> None:
        pure = PurePosixPath(text)
        if pure.is_absolute() or ".." in pure.parts or "\\" in text or "\0" in text:
            hint = "write a path without '..' that does not start with '/'"
            self._problems.add(path, f"{text!r} leaves its folder", hint=hint)

    def _not_empty(self, path: Path, values: Sequence[object], what: str) -> None:
        if not values:
            self._problems.add(path, f"the list is empty: {what}")

    def names(self) -> None:
        """Check names that become parts of ids, paths and asset names."""
        sections = ("platforms", "variants", "projects", "sources", "toolchains", "images")
        for section in sections:
            for name in getattr(self._file, section):
                if not _NAME.fullmatch(name):
                    self._problems.add((section, name), f"{name!r} cannot be a name", hint=_NAME_RULE, key=True)

    def axes(self) -> None:
        axes = self._file.axes
        known: dict[str, Collection[str]] = {
            "project": self._file.projects,
            "platform": self._file.platforms,
            "variant": self._file.variants,
        }
        for axis, names in known.items():
            values: tuple[str, ...] = getattr(axes, axis)
            self._not_empty(("axes", axis), values, "without it there is no cell")
            seen: set[str] = set()
            for index, value in enumerate(values):
                path: Path = ("axes", axis, index)
                self._known(path, axis, value, names)
                self._once(path, value, seen)
        count = prod(len(getattr(axes, axis)) for axis in known)
        if count > MAX_CELLS:
            self._problems.add(("axes",), f"the axes make {count} cells, more than {MAX_CELLS}", key=True)

    def platforms(self) -> None:
        for name, platform in self._file.platforms.items():
            right = normalise_platform(f"{platform.os}-{platform.arch}")
            if name != right:
                alias = " (an alias is never written)" if name in PLATFORM_ALIASES else ""
                what = f"the platform {name!r}{alias} is called {right!r} after its os and arch"
                self._problems.add(("platforms", name), what, key=True)
            elif right != f"{platform.os}-{platform.arch}":
                what = f"{platform.os} calls this processor {right.partition('-')[2]!r}, not {platform.arch!r}"
                self._problems.add(("platforms", name, "arch"), what)

    def projects(self) -> None:
        for name, project in self._file.projects.items():
            self._known(("projects", name, "source"), "source", project.source, self._file.sources)

    def source(self, path: Path, source: Source) -> None:
        if not _NAME.fullmatch(source.version):
            self._problems.add((*path, "version"), f"{source.version!r} cannot be a version", hint=_NAME_RULE)
        if source.commit is not None:
            if source.epoch is None:
                hint = "epoch: the commit's time in seconds; it becomes SOURCE_DATE_EPOCH"
                self._problems.add(path, "a source with a commit needs an epoch", hint=hint, key=True)
            if not source.mirrors:
                hint = "mirrors: a list of {git: URL} or {sdist: name==version, sha256: ..., objects: ...}"
                self._problems.add(path, "a source with a commit needs at least one mirror", hint=hint, key=True)
        if source.epoch is not None and source.epoch <= 0:
            self._problems.add((*path, "epoch"), f"epoch must be later than 1970, found {source.epoch}")
        for index, mirror in enumerate(source.mirrors):
            self._mirror((*path, "mirrors", index), mirror)

    def _mirror(self, path: Path, mirror: Mirror) -> None:
        if (mirror.git is None) == (mirror.sdist is None):
            found = "neither" if mirror.git is None else "both"
            self._problems.add(path, f"a mirror has exactly one of git and sdist, found {found}")
        if mirror.git is not None and not _URL.fullmatch(mirror.git):
            self._problems.add((*path, "git"), f"{mirror.git!r} is not a URL", hint="for example https://...")
        if mirror.objects is not None:
            self._inside((*path, "objects"), mirror.objects)
        companions = {"sha256": mirror.sha256, "objects": mirror.objects}
        if mirror.sdist is None:
            for key in (key for key, value in companions.items() if value is not None):
                self._problems.add((*path, key), f"{key} belongs to an sdist only", key=True)
            return
        if not _SDIST.fullmatch(mirror.sdist):
            what = f"{mirror.sdist!r} does not name one source distribution"
            self._problems.add((*path, "sdist"), what, hint="write name==version")
        missing = [key for key, value in companions.items() if value is None]
        if missing:
            hint = "sha256 pins the file, objects is the git directory in it that proves the commit"
            self._problems.add(path, f"an sdist needs {' and '.join(missing)}", hint=hint)

    def toolchains(self) -> None:
        for name, toolchain in self._file.toolchains.items():
            path: Path = ("toolchains", name)
            self._inside((*path, "lock"), toolchain.lock)
            self._inside((*path, "wrappers"), toolchain.wrappers)
            self._not_empty((*path, "hosts"), toolchain.hosts, "this toolchain would run nowhere")
            seen: set[str] = set()
            for index, host in enumerate(toolchain.hosts):
                self._known((*path, "hosts", index), "platform", host, self._file.platforms)
                self._once((*path, "hosts", index), host, seen)

    def images(self) -> None:
        for name, image in self._file.images.items():
            self._image(("images", name), image)

    def _image(self, path: Path, image: Image) -> None:
        given = [key for key in ("pull", "suite") if getattr(image, key) is not None]
        if len(given) > 1:
            self._problems.add(path, "an image has exactly one of pull and suite, found both")
        elif not given and image.needs is None:
            hint = "or say with needs: what is still missing"
            self._problems.add(path, "an image has exactly one of pull and suite, found neither", hint=hint)
        if image.suite is not None and not _NAME.fullmatch(image.suite):
            self._problems.add((*path, "suite"), f"{image.suite!r} cannot be a suite", hint=_NAME_RULE)
        if image.packages and image.suite is None:
            self._problems.add((*path, "packages"), "packages are installed with a suite only", key=True)
        self._named((*path, "packages"), image.packages)

    def components(self) -> None:
        for name, component in self._file.components.items():
            if self._component_id(name):
                self._component(("components", name), component, core=name.endswith(f"/{CORE}"))

    def _component_id(self, name: str) -> bool:
        path: Path = ("components", name)
        parts = name.split("/")
        if len(parts) != _PARTS:
            what = f"{name!r} is not a component's id"
            self._problems.add(path, what, hint="write project/platform/core or project/platform/backend", key=True)
            return False
        project, platform, last = parts
        gpus = [name for name, line in self._file.variants.items() if line.backend not in {None, "cpu"}]
        known = [
            self._known(path, "project", project, self._file.projects, key=True),
            self._known(path, "platform", platform, self._file.platforms, key=True),
            self._known(path, "component name", last, [CORE, *gpus], key=True),
        ]
        return all(known)

    def _component(self, path: Path, component: Component, *, core: bool) -> None:
        self._known((*path, "toolchain"), "toolchain", component.toolchain, self._file.toolchains)
        self._known((*path, "image"), "image", component.image, self._file.images)
        self._inside((*path, "script"), component.script)
        check_duration(self._problems, (*path, "deadline"), component.deadline)
        check_size(self._problems, (*path, "memory"), component.memory)
        self._not_empty((*path, "engines"), component.engines, "this component could be built nowhere")
        self._not_empty((*path, "libraries"), component.libraries, "this component would leave nothing behind")
        for key in ("engines", "libraries", "programs", "tests", "cpu_variants"):
            self._named((*path, key), getattr(component, key))
        for index, licence in enumerate(component.licences):
            self._inside((*path, "licences", index), licence)
        if component.cpu_variants and not core:
            what = f"only a core has CPU variants; this component is {path[-1]!r}"
            self._problems.add((*path, "cpu_variants"), what, key=True)

    def profiles(self) -> None:
        profiles = self._file.profiles
        for missing in sorted({"local", "release"} - set(profiles)):
            hint = "both local and release must be described"
            self._problems.add(("profiles",), f"the profile {missing!r} is missing", hint=hint, key=True)
        for name, profile in profiles.items():
            path: Path = ("profiles", name)
            if not _SUFFIX.fullmatch(profile.suffix):
                what = f"{profile.suffix!r} cannot end a version"
                self._problems.add((*path, "suffix"), what, hint='write "" or a word such as -local')
            for platform, kept in profile.cpu_variants.items():
                self._kept((*path, "cpu_variants", platform), platform, kept)
        if len(profiles) > len({profile.suffix for profile in profiles.values()}):
            hint = "a local build must never be mistaken for a release"
            self._problems.add(("profiles", "local", "suffix"), "two profiles have the same suffix", hint=hint)

    def _kept(self, path: Path, platform: str, kept: Sequence[str]) -> None:
        if not self._known(path, "platform", platform, self._file.platforms, key=True):
            return
        cores = [
            component
            for name, component in self._file.components.items()
            if name.split("/")[1:] == [platform, CORE] and component.cpu_variants
        ]
        if not cores:
            self._problems.add(path, f"no core of {platform!r} has CPU variants", key=True)
            return
        self._not_empty(path, kept, "a core without any CPU variant runs nowhere")
        known = {variant for core in cores for variant in core.cpu_variants}
        seen: set[str] = set()
        for index, variant in enumerate(kept):
            self._known((*path, index), "CPU variant", variant, known)
            self._once((*path, index), variant, seen)
