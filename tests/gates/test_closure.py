from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.engines.forge import elf
from pipeline.engines.forge_macho import macho
from pipeline.gates.closure import ClosureGate
from pipeline.matrix.spec import ClosureGate as Allowed
from pipeline.model import Status
from tests.gates.builders import LIBC, asking, glibc, library, put, subject

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.gates.base import Subject


def problems(base: Subject) -> str:
    verdict = ClosureGate().check(base)

    assert verdict.status is Status.FAILED
    return "\n".join((verdict.summary, *verdict.details))


@pytest.mark.parametrize(
    ("machine", "backends"), [("x86_64", ()), ("x86_64", ("vulkan",)), ("aarch64", ()), ("arm64", ())]
)
def test_passes(tmp_path: Path, machine: str, backends: tuple[str, ...]) -> None:
    verdict = ClosureGate().check(subject(tmp_path, machine=machine, backends=backends))

    assert verdict.status is Status.PASSED, (verdict.summary, verdict.details)


def test_says_what_it_takes_from_the_system(tmp_path: Path) -> None:
    verdict = ClosureGate().check(subject(tmp_path, backends=("vulkan",)))

    assert verdict.summary == "needs only libc.so.6, libvulkan.so.1 from the system"


@pytest.mark.parametrize(
    ("needed", "message"),
    [
        ("libfoo.so.1", "libllama.so needs libfoo.so.1, which is neither in the bundle nor allowed outside"),
        (
            "libgomp.so.1",
            "libgomp.so.1, which is neither in the bundle nor allowed outside; build with GGML_OPENMP=OFF",
        ),
        ("libssl.so.3", "allowed outside; build with LLAMA_OPENSSL=OFF"),
        ("libcrypto.so.3", "allowed outside; build with LLAMA_OPENSSL=OFF"),
        ("/usr/lib/libm.so.6", "libllama.so needs /usr/lib/libm.so.6, which is neither"),
    ],
)
def test_catches_a_library_that_is_missing(tmp_path: Path, needed: str, message: str) -> None:
    base = subject(tmp_path)
    put(base.root, "libllama.so", library("libllama.so", needed=(needed,)))

    assert message in problems(base)


def test_catches_a_library_that_was_not_packed(tmp_path: Path) -> None:
    base = subject(tmp_path)
    (base.root / "libllama.so").unlink()

    assert "llama-cli needs libllama.so, which is neither in the bundle nor allowed outside" in problems(base)


def test_catches_a_library_the_loader_does_not_look_for(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root, "lib/libmtmd.so", library("libmtmd.so", needed=()))
    put(base.root, "libllama.so", library("libllama.so", needed=("libmtmd.so",)))

    assert "libllama.so needs libmtmd.so, which is neither in the bundle" in problems(base)


@pytest.mark.parametrize("runpath", ["/opt/build/lib", "$ORIGIN/../lib", "$ORIGIN:/usr/lib", ""])
def test_catches_a_run_path_that_leads_elsewhere(tmp_path: Path, runpath: str) -> None:
    base = subject(tmp_path)
    put(base.root, "libllama.so", library("libllama.so", runpath=runpath))

    assert f"libllama.so has the RUNPATH {runpath}, which must be $ORIGIN and nothing else" in problems(base)


def test_catches_a_missing_run_path_and_an_old_one(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root, "libllama.so", library("libllama.so", runpath=None))
    put(base.root, "libggml-rpc.so", library("libggml-rpc.so", runpath=None, rpath="$ORIGIN"))

    found = problems(base)

    assert "libllama.so needs libggml-base.so.0 from the bundle and has no RUNPATH" in found
    assert "libggml-rpc.so has a DT_RPATH ($ORIGIN)" in found


def test_a_library_alone_needs_no_run_path(tmp_path: Path) -> None:
    base = subject(tmp_path)
    put(base.root, "libggml-rpc.so", library("libggml-rpc.so", needed=("libc.so.6",), runpath=None))

    assert ClosureGate().check(base).status is Status.PASSED


def test_catches_a_foreign_interpreter(tmp_path: Path) -> None:
    base = subject(tmp_path)
    data = elf(
        program=True, needed=("libllama.so",), runpath="$ORIGIN", imports=glibc(), interpreter="/nix/store/ld.so"
    )
    put(base.root, "llama-cli", data)

    assert "llama-cli asks for the interpreter /nix/store/ld.so, not for /lib64/ld-linux-x86-64.so.2" in problems(base)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../outside", "odd: the link points to '../outside', outside the bundle"),
        ("/etc/passwd", "odd: the link points to '/etc/passwd', which is not relative"),
        ("nowhere", "odd is a link to nowhere, which does not lead to a file"),
        ("odd", "odd is a link to odd, which does not lead to a file"),
        ("llama-b9165ibggml.so.0", "does not lead to a file"),
    ],
)
def test_catches_a_link_that_leads_nowhere(tmp_path: Path, target: str, message: str) -> None:
    base = subject(tmp_path)
    (base.root / "odd").symlink_to(target)

    assert message in problems(base)


def test_catches_dangerous_modes(tmp_path: Path) -> None:
    base = subject(tmp_path)
    (base.root / "llama-cli").chmod(0o4755)
    (base.root / "libllama.so").chmod(0o757)

    found = problems(base)

    assert "llama-cli has the set-user-id, set-group-id or sticky bit (mode 4755)" in found
    assert "libllama.so may be written by everyone (mode 0757)" in found


def test_catches_mach_o_run_paths_and_libraries(tmp_path: Path) -> None:
    base = subject(tmp_path, machine="arm64")
    needed = ("@rpath/libggml-base.so", "@rpath/libgone.dylib", "/opt/homebrew/lib/libssl.3.dylib")
    put(base.root, "libllama.so", macho(needed=needed, rpaths=("/usr/local/lib",)))
    put(base.root, "llama-cli", macho(program=True, needed=("@rpath/libllama.so",), rpaths=()))

    found = problems(base)

    assert "libllama.so needs @rpath/libgone.dylib, which is neither in the bundle" in found
    assert "libllama.so needs /opt/homebrew/lib/libssl.3.dylib, which is neither in the bundle" in found
    assert "libllama.so has the run path /usr/local/lib, which must be @loader_path and nothing else" in found
    assert "llama-cli needs a library from the bundle and has no run path" in found


def test_an_empty_bundle_does_not_pass(tmp_path: Path) -> None:
    base = subject(tmp_path)
    for path in base.root.iterdir():
        if path.name != "licenses":
            path.unlink()

    assert "there is no program or library in the bundle" in problems(base)


def test_needs_an_allow_list(tmp_path: Path) -> None:
    base = subject(tmp_path)

    assert "gives no closure.allow" in problems(asking(base, closure=None))
    assert "needs libc.so.6, which is neither" in problems(asking(base, closure=Allowed(allow=LIBC[1:])))
