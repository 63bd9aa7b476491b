from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline import toolchain as module
from pipeline.errors import StoreError, ToolchainError
from pipeline.matrix.spec import Toolchain
from pipeline.model import machine_platform
from pipeline.toolchain import install, read_lock, toolchain_key

ROOT = Path(__file__).parents[1]
REAL = Toolchain(lock="containers/toolchain/zig.txt", wrappers="containers/toolchain", hosts=(machine_platform(),))
PIN = Toolchain(lock="tools/lock.txt", wrappers="tools", hosts=(machine_platform(),))


class FakePip:
    """Stands in for every process: pip unpacks wheels, the programs say their version."""

    def __init__(self, *, lacking: str | None = None, failing: str | None = None, output: str = "") -> None:
        self.lacking = lacking
        self.failing = failing
        self.output = output
        self.calls: list[list[str]] = []

    def __call__(self, argv: list[str], *, deadline: float) -> subprocess.CompletedProcess[str]:
        self.calls.append([str(word) for word in argv])
        what = "venv" if "venv" in argv else "pip" if "pip" in argv else Path(argv[0]).name
        if what == self.failing:
            return subprocess.CompletedProcess(argv, 1, "", self.output)
        if what == "pip":
            wheels = Path(argv[argv.index("--target") + 1])
            for name in ("ziglang/zig", "cmake/data/bin/cmake", "bin/ninja", "bin/cmake", "bin/python-zig"):
                if name != self.lacking:
                    (wheels / name).parent.mkdir(parents=True, exist_ok=True)
                    (wheels / name).write_text("native")
                    (wheels / name).chmod(0o755)
            return subprocess.CompletedProcess(argv, 0, "", "")
        return subprocess.CompletedProcess(argv, 0, f"{what} version 1.2\nmore\n", "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tools = tmp_path / "root" / "tools"
    tools.mkdir(parents=True)
    (tools / "lock.txt").write_text("ziglang==1 --hash=sha256:00\n")
    (tools / "zig-cc").write_text("#!/bin/sh\n")
    return tmp_path / "root"


def put(root: Path, pip: FakePip, monkeypatch: pytest.MonkeyPatch, store: Path, said: list[str] | None = None) -> Path:
    monkeypatch.setattr(module, "_run", pip)
    return install("zig", PIN, root, store, said.append if said is not None else lambda _: None)


def test_the_folder_offers_native_programs_and_wrappers(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    place = put(root, FakePip(), monkeypatch, tmp_path / "store", said)

    assert place.parent == tmp_path / "store" / "toolchains"
    assert sorted(path.name for path in (place / "bin").iterdir()) == ["cmake", "ninja", "zig", "zig-cc"]
    links = {name: str((place / "bin" / name).readlink()) for name in ("cmake", "ninja", "zig")}
    assert links == {
        "cmake": "../wheels/cmake/data/bin/cmake",
        "ninja": "../wheels/bin/ninja",
        "zig": "../wheels/ziglang/zig",
    }
    assert all(os.access(path, os.X_OK) for path in (place / "bin").iterdir())
    assert [path.name for path in (place / "wheels" / "bin").iterdir()] == ["ninja"]
    assert said == ["zig: installing tools/lock.txt", "zig: zig 1.2", "zig: cmake 1.2", "zig: ninja 1.2"]


def test_pip_is_told_to_run_nobodys_code(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = FakePip()

    put(root, pip, monkeypatch, tmp_path / "store")

    words = pip.calls[0]
    assert words[:4] == [sys.executable, "-I", "-m", "pip"]
    assert {"--require-hashes", "--no-deps", "--no-compile", "--no-input"} <= set(words)
    assert words[words.index("--only-binary") + 1] == ":all:"


def test_an_installed_toolchain_is_found_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = FakePip()
    place = put(root, pip, monkeypatch, tmp_path / "store")
    calls = len(pip.calls)

    assert put(root, pip, monkeypatch, tmp_path / "store") == place
    assert len(pip.calls) == calls


@pytest.mark.parametrize("damage", ["toolchain.json", "bin/zig", "bin/zig-cc", "wheels/ziglang/zig"])
def test_a_damaged_toolchain_is_installed_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    place = put(root, FakePip(), monkeypatch, tmp_path / "store")
    (place / damage).unlink()

    assert put(root, FakePip(), monkeypatch, tmp_path / "store") == place
    assert (place / damage).exists()


@pytest.mark.parametrize("record", ["", "[]", "{}", json.dumps({"schema": 1, "key": "other"})])
def test_a_record_of_something_else_is_not_believed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    place = put(root, FakePip(), monkeypatch, tmp_path / "store")
    (place / "toolchain.json").write_text(record)
    pip = FakePip()

    put(root, pip, monkeypatch, tmp_path / "store")

    assert pip.calls


def test_what_a_killed_run_left_is_swept(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "sync", die)
        patch.setattr(module.shutil, "rmtree", lambda *args, **options: None)  # type: ignore[attr-defined]
        with pytest.raises(Killed):
            put(root, FakePip(), patch, tmp_path / "store")
    shelf = tmp_path / "store" / "toolchains"
    assert [path.name for path in shelf.iterdir() if not path.name.startswith(".")] == []

    place = put(root, FakePip(), monkeypatch, tmp_path / "store")

    assert sorted(path.name for path in shelf.iterdir()) == [f".{place.name}.lock", place.name]


def test_the_key_covers_lock_and_wrappers_only(root: Path) -> None:
    key = toolchain_key(PIN, root)
    (root / "tools" / "README.md").write_text("more")
    assert toolchain_key(PIN, root) == key

    (root / "tools" / "zig-ar").write_text("#!/bin/sh\n")
    with_more = toolchain_key(PIN, root)
    (root / "tools" / "lock.txt").write_text("ziglang==2\n")

    assert len({key, with_more, toolchain_key(PIN, root)}) == 3


@pytest.mark.parametrize(
    ("pip", "message"),
    [
        (
            FakePip(failing="pip", output="noise\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n"),
            "pip could not install the toolchain zig:\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES",
        ),
        (FakePip(failing="pip", output=""), "pip could not install the toolchain zig:\nexit code 1"),
        (FakePip(lacking="ziglang/zig"), "the wheels of tools/lock.txt hold no program ziglang/zig"),
        (
            FakePip(failing="cmake", output="version GLIBC_2.17 not found"),
            "the installed cmake does not start on this machine: version GLIBC_2.17 not found",
        ),
    ],
)
def test_failures_say_what_happened_and_leave_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip: FakePip, message: str
) -> None:
    with pytest.raises(ToolchainError) as caught:
        put(root, pip, monkeypatch, tmp_path / "store")

    assert caught.value.what == message
    assert caught.value.hint
    left = list((tmp_path / "store" / "toolchains").iterdir())
    assert [path.suffix for path in left] == [".lock"]


def test_a_platform_without_the_toolchain(root: Path, tmp_path: Path) -> None:
    elsewhere = Toolchain(lock="tools/lock.txt", wrappers="tools", hosts=("plan9-mips",))

    with pytest.raises(ToolchainError, match=f"does not run on {machine_platform()}, only on plan9-mips"):
        install("zig", elsewhere, root, tmp_path / "store", lambda _: None)


def test_missing_files_are_named(root: Path) -> None:
    def toolchain(lock: str, wrappers: str) -> Toolchain:
        return Toolchain(lock=lock, wrappers=wrappers, hosts=())

    with pytest.raises(ToolchainError, match=r"cannot read .*gone\.txt: No such file"):
        toolchain_key(toolchain("gone.txt", "tools"), root)
    with pytest.raises(ToolchainError, match=r"tools is not a file"):
        toolchain_key(toolchain("tools", "tools"), root)
    with pytest.raises(ToolchainError, match=r"cannot read the compiler wrappers in .*gone: No such file"):
        toolchain_key(toolchain("tools/lock.txt", "gone"), root)
    (root / "empty").mkdir()
    with pytest.raises(ToolchainError, match=r"there are no compiler wrappers in .*empty"):
        toolchain_key(toolchain("tools/lock.txt", "empty"), root)


def test_a_store_that_cannot_be_written_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="the toolchains folder cannot be used"):
        install("zig", PIN, root, tmp_path / "file", lambda _: None)


def test_without_pip_a_temporary_environment_is_made(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    pip = FakePip()

    put(root, pip, monkeypatch, tmp_path / "store")

    assert pip.calls[0][1:4] == ["-I", "-m", "venv"]
    assert pip.calls[1][0].endswith("/venv/bin/python")


def test_without_pip_and_venv_there_is_a_hint(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]

    with pytest.raises(ToolchainError, match="this Python has no pip and cannot make") as caught:
        put(root, FakePip(failing="venv", output="no ensurepip"), monkeypatch, tmp_path / "store")
    assert caught.value.hint == "install pip for this Python (python -m ensurepip)"


def test_a_second_run_waits_for_the_first(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = put(root, FakePip(), monkeypatch, tmp_path / "store")
    waiting = threading.Event()
    found: list[Path] = []

    def other() -> None:
        found.append(install("zig", PIN, root, tmp_path / "store", lambda _: waiting.set()))

    with (place.parent / f".{place.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=other)
        thread.start()
        assert waiting.wait(20)
        assert found == []
    thread.join()

    assert found == [place]


@pytest.mark.process
def test_programs_that_hang_or_do_not_start_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"python.* was not done after 0 s"):
        module._run([sys.executable, "-c", "import time; time.sleep(60)"], deadline=0.05)
    with pytest.raises(ToolchainError, match=r"gone does not start: No such file"):
        module._run([str(tmp_path / "gone")], deadline=5)


@pytest.mark.network
def test_the_real_toolchain_compiles_wherever_it_is_moved(tmp_path: Path) -> None:
    place = install("zig", REAL, ROOT, tmp_path / "store", lambda _: None)
    moved = place.rename(tmp_path / "moved elsewhere")
    (tmp_path / "a.c").write_text("int answer(void) { return 42; }\n")
    environment = {
        "PATH": "/nonexistent",
        "HOME": str(tmp_path),
        "LLAMATRIX_TARGET": "aarch64-linux-gnu.2.28",
        "ZIG_GLOBAL_CACHE_DIR": str(tmp_path / "cache"),
        "ZIG_LOCAL_CACHE_DIR": str(tmp_path / "cache"),
    }

    def tool(name: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(moved / "bin" / name), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    tool("zig-cc", "-march=armv8.6-a+dotprod+fp16+sve+i8mm+sve2", "-c", "a.c", "-o", "a.o")
    tool("zig-ar", "qc", "liba.a", "a.o")
    tool("zig-ranlib", "liba.a")

    # ELF, 64 bits, EM_AARCH64.
    assert (tmp_path / "a.o").read_bytes()[:5] == b"\x7fELF\x02"
    assert (tmp_path / "a.o").read_bytes()[18] == 183
    assert "cmake version 4.4.4" in tool("cmake", "--version")
    assert tool("ninja", "--version").startswith("1.13")


def test_the_lock_of_this_repository_pins_the_three_programs() -> None:
    lock = read_lock(REAL, ROOT)

    assert [name for name, _ in lock.wheels] == ["cmake", "ninja", "ziglang"]
    assert lock.sha256 == hashlib.sha256((ROOT / REAL.lock).read_bytes()).hexdigest()


def test_a_lock_is_read_in_any_order_with_its_comments(root: Path) -> None:
    (root / "tools" / "lock.txt").write_text(
        "# made by a tool\nziglang==0.17.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n\n"
        "    # via nothing\ncmake==4.4.4.post1 --hash=sha256:22\n"
    )

    assert read_lock(PIN, root).wheels == (("cmake", "4.4.4.post1"), ("ziglang", "0.17.0"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "the lock pins nothing"),
        (b"# nothing\n", "the lock pins nothing"),
        (b"ziglang==0.17.0\n", "pins no wheel by version and hash: 'ziglang==0.17.0'"),
        (b"ziglang>=0.17.0 --hash=sha256:00\n", "pins no wheel by version and hash"),
        (b"ziglang==0.17.* --hash=sha256:00\n", "pins no wheel by version and hash"),
        (b"ziglang==1 ; sys_platform == 'linux' --hash=sha256:00\n", "pins no wheel by version and hash"),
        (b"--pre\nziglang==1 --hash=sha256:00\n", "pins no wheel by version and hash: '--pre'"),
        (b"a==1 --hash=sha256:00\na==2 --hash=sha256:00\n", "pins a wheel twice: 'a==2"),
        (b"\xff\xfe", "the lock is not text"),
    ],
)
def test_a_lock_that_does_not_pin_is_refused(root: Path, text: bytes, says: str) -> None:
    (root / "tools" / "lock.txt").write_bytes(text)

    with pytest.raises(ToolchainError) as caught:
        read_lock(PIN, root)

    assert says in caught.value.what
    assert caught.value.where == str(root / "tools" / "lock.txt")
    assert caught.value.hint
