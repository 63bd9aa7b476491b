"""The embedded toolchain: locked wheels unpacked into a folder that any engine can mount and run.

``store/toolchains/<key>/`` holds ``bin/`` (zig, cmake, ninja and the compiler wrappers) and ``wheels/`` (what pip
unpacked). Links in ``bin`` are relative and lead to the native programs, so the folder can be moved, mounted read-only
anywhere and used where there is no Python.
"""

from __future__ import annotations

__all__ = ["PROGRAMS", "Lock", "install", "read_lock", "toolchain_key"]

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import StoreError, ToolchainError
from pipeline.model import machine_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.matrix.spec import Toolchain

PROGRAMS = {"zig": "ziglang/zig", "cmake": "cmake/data/bin/cmake", "ninja": "bin/ninja"}
"""What ``bin`` must offer, and where the wheels have it."""

_SCHEMA = 1
_PIP_DEADLINE = 1800.0
_PROBE_DEADLINE = 60.0
_VERSION = {"zig": ("version",), "cmake": ("--version",), "ninja": ("--version",)}
_PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.!+]*)((?:\s+--hash=[a-z0-9]+:[0-9a-f]+)+)", re.ASCII
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """What a toolchain's lock pins: (name, version) of each wheel, sorted; ``sha256`` is of the file."""

    sha256: str
    wheels: tuple[tuple[str, str], ...]


def read_lock(toolchain: Toolchain, root: Path) -> Lock:
    """Read the lock strictly: what it pins becomes part of what a release says of itself.

    Args:
        toolchain: The toolchain of matrix.yaml.
        root: The folder of matrix.yaml.

    Raises:
        ToolchainError: it cannot be read, or a line pins no wheel by version and hash.
    """
    path = _lock(toolchain, root)
    content = _read(path)
    hint = "write name==version with --hash=..., without markers or options, as uv pip compile does"
    try:
        lines = content.decode("utf-8").replace("\\\n", " ").splitlines()
    except UnicodeDecodeError as error:
        msg = f"the lock is not text: {error}"
        raise ToolchainError(msg, where=str(path), hint=hint) from error
    wheels: dict[str, str] = {}
    for line in (text for text in map(str.strip, lines) if text and not text.startswith("#")):
        match = _PIN.fullmatch(line)
        if match is None or match[1] in wheels:
            what = "pins no wheel by version and hash" if match is None else "pins a wheel twice"
            msg = f"a line of the lock {what}: {line[:60]!r}"
            raise ToolchainError(msg, where=str(path), hint=hint)
        wheels[match[1]] = match[2]
    if not wheels:
        msg = "the lock pins nothing"
        raise ToolchainError(msg, where=str(path), hint=hint)
    return Lock(sha256=hashlib.sha256(content).hexdigest(), wheels=tuple(sorted(wheels.items())))


def toolchain_key(toolchain: Toolchain, root: Path) -> str:
    """Give the content key: the lock, every wrapper, and the platform whose wheels are taken.

    Args:
        toolchain: The toolchain of matrix.yaml.
        root: The folder of matrix.yaml, which its paths are relative to.

    Raises:
        ToolchainError: the lock or the wrappers cannot be read.
    """
    digest = hashlib.sha256(f"llamatrix toolchain {_SCHEMA} {machine_platform()}\n".encode())
    for path in (_lock(toolchain, root), *_wrappers(toolchain, root)):
        content = _read(path)
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def install(name: str, toolchain: Toolchain, root: Path, store: Path, say: Callable[[str], None]) -> Path:
    """Install the toolchain into the store, or find it there, and give its folder.

    Wheels come from pip's own index, checked against the hashes of the lock; no code of theirs runs on the way.

    Args:
        name: The toolchain's name in matrix.yaml.
        toolchain: Its lock, wrappers and hosts.
        root: The folder of matrix.yaml.
        store: The store's folder.
        say: Called with short lines of progress.

    Raises:
        ToolchainError: it does not run on this machine, or pip could not install it.
        StoreError: the store cannot be written.
    """
    if machine_platform() not in toolchain.hosts:
        msg = f"the toolchain {name} does not run on {machine_platform()}, only on {', '.join(toolchain.hosts)}"
        raise ToolchainError(msg, hint="build with the docker engine, or on one of these platforms")
    key = toolchain_key(toolchain, root)
    shelf = store / "toolchains"
    place = shelf / key[:16]
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with _alone(shelf, key, name, say) as work:
            if not _complete(place, key, toolchain, root):
                _make(name, toolchain, root, work, say)
                _keep(work, place, name, key)
    except OSError as error:
        msg = f"the toolchains folder cannot be used: {error}"
        raise StoreError(msg, where=str(shelf), hint="check its permissions and the free space") from error
    return place


def _make(name: str, toolchain: Toolchain, root: Path, work: Path, say: Callable[[str], None]) -> None:
    """Fill ``work/parcel``."""
    parcel = work / "parcel"
    wheels = parcel / "wheels"
    say(f"{name}: installing {toolchain.lock}")
    python = _python_with_pip(work, say)
    _pip(name, [*python, "-m", "pip"], _lock(toolchain, root), wheels)
    # What pip put there to start Python programs names this machine's Python.
    for script in sorted(wheels.glob("bin/*")):
        if f"bin/{script.name}" not in PROGRAMS.values():
            script.unlink()
    programs = parcel / "bin"
    programs.mkdir()
    for program, source in PROGRAMS.items():
        if not os.access(wheels / source, os.X_OK):
            msg = f"the wheels of {toolchain.lock} hold no program {source}"
            raise ToolchainError(msg, hint=f"lock versions of {program} that ship it for {machine_platform()}")
        (programs / program).symlink_to(f"../wheels/{source}")
    for wrapper in _wrappers(toolchain, root):
        target = programs / wrapper.name
        shutil.copyfile(wrapper, target)
        target.chmod(0o755)
    for program, arguments in _VERSION.items():
        version = _run([str(programs / program), *arguments], deadline=_PROBE_DEADLINE)
        if version.returncode != 0:
            msg = f"the installed {program} does not start on this machine: {_tail(version)}"
            raise ToolchainError(msg, hint="cmake and ninja need a system with glibc 2.17 or newer")
        say(
            f"{name}: {program} {version.stdout.splitlines()[0].split()[-1] if version.stdout.strip() else ''}".rstrip()
        )


def _pip(name: str, pip: Sequence[str], lock: Path, target: Path) -> None:
    done = _run(
        [
            *pip,
            "--no-input",
            "--disable-pip-version-check",
            "install",
            "--target",
            str(target),
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--no-compile",
            "--no-warn-script-location",
            "--requirement",
            str(lock),
        ],
        deadline=_PIP_DEADLINE,
    )
    if done.returncode != 0:
        msg = f"pip could not install the toolchain {name}:\n{_tail(done)}"
        raise ToolchainError(msg, where=str(lock), hint="check the network, PIP_INDEX_URL and the hashes of the lock")


def _python_with_pip(work: Path, say: Callable[[str], None]) -> list[str]:
    """Give a command for a Python that has pip: this one, or a throw-away environment beside it.

    ``-I`` keeps PYTHONPATH, the user's site and the current folder out.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-I"]
    say("this Python has no pip; making a temporary environment that has")
    done = _run([sys.executable, "-I", "-m", "venv", str(work / "venv")], deadline=_PIP_DEADLINE)
    if done.returncode != 0:
        msg = f"this Python has no pip and cannot make an environment that has: {_tail(done)}"
        raise ToolchainError(msg, where=sys.executable, hint="install pip for this Python (python -m ensurepip)")
    return [str(work / "venv" / "bin" / "python"), "-I"]


def _run(argv: Sequence[str], *, deadline: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{Path(argv[0]).name} was not done after {deadline:.0f} s"
        raise ToolchainError(msg, where=" ".join(argv), hint="check the network, then run again") from error
    except OSError as error:
        msg = f"{argv[0]} does not start: {error.strerror or error}"
        raise ToolchainError(msg, hint="this program does not fit this machine") from error


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    """Give what a program complained about: its lines with ERROR, else its last lines."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return "\n".join((errors or lines)[-6:]) or f"exit code {done.returncode}"


def _complete(place: Path, key: str, toolchain: Toolchain, root: Path) -> bool:
    """Tell whether ``place`` holds a finished installation whose programs are all still there."""
    try:
        record = json.loads((place / "toolchain.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(record, dict) or record.get("schema") != _SCHEMA or record.get("key") != key:
        return False
    names = [*PROGRAMS, *(wrapper.name for wrapper in _wrappers(toolchain, root))]
    return all(os.access(place / "bin" / name, os.X_OK) for name in names)


def _keep(work: Path, place: Path, name: str, key: str) -> None:
    """Put the parcel in its place in one step; toolchain.json says that it is whole."""
    parcel = work / "parcel"
    record = {"schema": _SCHEMA, "name": name, "key": key, "platform": machine_platform()}
    (parcel / "toolchain.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    os.sync()
    if place.exists():
        place.rename(work / "old")
    parcel.rename(place)


@contextlib.contextmanager
def _alone(shelf: Path, key: str, name: str, say: Callable[[str], None]) -> Iterator[Path]:
    """Hold this toolchain's lock, clear what a killed run left, and give a temporary folder."""
    with (shelf / f".{key[:16]}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: waiting for another run that is installing it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in shelf.glob(f".{key[:16]}.work-*"):
            shutil.rmtree(left, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f".{key[:16]}.work-", dir=shelf))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _lock(toolchain: Toolchain, root: Path) -> Path:
    return root / toolchain.lock


def _wrappers(toolchain: Toolchain, root: Path) -> list[Path]:
    """Give every wrapper script: the files without a suffix in the wrappers' folder."""
    folder = root / toolchain.wrappers
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file() and not path.suffix)
    except OSError as error:
        msg = f"cannot read the compiler wrappers in {folder}: {error.strerror}"
        raise ToolchainError(msg, hint="check the key wrappers in matrix.yaml") from error
    if not found:
        msg = f"there are no compiler wrappers in {folder}"
        raise ToolchainError(msg, hint="check the key wrappers in matrix.yaml")
    return found


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            msg = f"{path} is not a file"
            raise ToolchainError(msg, hint="check the toolchain's paths in matrix.yaml")
        return path.read_bytes()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise ToolchainError(msg, hint="check the toolchain's paths in matrix.yaml") from error
