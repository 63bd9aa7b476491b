"""The compiler wrappers, with a zig that only says what it was given."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

WRAPPERS = Path(__file__).parents[2] / "containers" / "toolchain"
TARGET = "aarch64-linux-gnu.2.28"
# NUL between arguments: it is the one byte no argument can hold.
FAKE = "#!/bin/sh\nfor argument do printf '%s\\0' \"$argument\"; done\n"

pytestmark = pytest.mark.process


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "tools of mine" / "bin"
    folder.mkdir(parents=True)
    for wrapper in WRAPPERS.glob("zig-*"):
        shutil.copy(wrapper, folder)
        (folder / wrapper.name).chmod(0o755)
    (folder / "zig").write_text(FAKE)
    (folder / "zig").chmod(0o755)
    return folder


def run(
    program: Path | str, *arguments: str, target: str | None = TARGET, **options: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": options.get("path", "/nonexistent")}
    if target is not None:
        environment["LLAMATRIX_TARGET"] = target
    return subprocess.run(
        [str(program), *arguments],
        env=environment,
        cwd=options.get("cwd"),
        capture_output=True,
        text=True,
        check=False,
    )


def given(program: Path, *arguments: str) -> list[str]:
    done = run(program, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize(
    ("march", "mcpu"),
    [
        # What ggml asks for, variant by variant.
        ("armv8-a", "generic+v8a"),
        ("armv8.2-a+dotprod", "generic+v8_2a+dotprod"),
        ("armv8.2-a+dotprod+fp16", "generic+v8_2a+dotprod+fullfp16"),
        ("armv8.2-a+dotprod+fp16+sve", "generic+v8_2a+dotprod+fullfp16+sve"),
        ("armv8.6-a+dotprod+fp16+sve+i8mm", "generic+v8_6a+dotprod+fullfp16+sve+i8mm"),
        ("armv8.6-a+dotprod+fp16+sve+i8mm+sve2", "generic+v8_6a+dotprod+fullfp16+sve+i8mm+sve2"),
        ("armv9.2-a+dotprod+fp16+sve+i8mm+sme", "generic+v9_2a+dotprod+fullfp16+sve+i8mm+sme"),
        ("armv9.2-a+dotprod+fp16+sve+i8mm+sve2+sme", "generic+v9_2a+dotprod+fullfp16+sve+i8mm+sve2+sme"),
        ("armv8.2-a+dotprod+nosve", "generic+v8_2a+dotprod-sve"),
        # Names that differ between the two.
        ("armv8-a+fp+simd+crc", "generic+v8a+fp_armv8+neon+crc"),
        ("armv9-a+sve2-aes+nofp16", "generic+v9a+sve2_aes-fullfp16"),
        ("armv8.5-a+memtag+rng+profile+sme-f64f64", "generic+v8_5a+mte+rand+spe+sme_f64f64"),
        # No name is cut out of the middle of another.
        ("armv8.2-a+fp16fml", "generic+v8_2a+fp16fml"),
    ],
)
def test_arm_processors_are_translated(programs: Path, march: str, mcpu: str) -> None:
    assert given(programs / "zig-cc", f"-march={march}", "-c") == ["cc", "-target", TARGET, f"-mcpu={mcpu}", "-c"]


@pytest.mark.parametrize(
    "argument",
    [
        "-march=haswell",
        "-march=x86-64-v3",
        "-march=native",
        "-march=armv7-m",
        "-mavx512f",
        "-mcpu=generic",
        "-DMARCH=-march=armv8-a",
        "armv8-a",
        "",
        " ",
        "-I/a folder/with  spaces ",
        '-DNAME="quoted $HOME `x` \\n"',
        "-DONE='1'",
        "*",
        "/*",
        "[a-z]?",
        "line\nbreak",
        "-n",
        "--",
        "é",
    ],
)
def test_everything_else_is_passed_on_as_it_is(programs: Path, argument: str) -> None:
    assert given(programs / "zig-cc", "-c", argument, "-march=armv8-a", argument) == [
        "cc", "-target", TARGET, "-c", argument, "-mcpu=generic+v8a", argument,
    ]  # fmt: skip


def test_dependency_files_are_not_asked_for_since_zig_would_not_use_its_cache(programs: Path) -> None:
    asked = ("-O3", "-MD", "-MT", "x.o", "-MF", "x.o.d", "-o", "x.o", "-c", "-MT", "-c", "-MMD", "-MQ", "-MD", "x.c")

    assert given(programs / "zig-c++", *asked) == ["c++", "-target", TARGET, "-O3", "-o", "x.o", "-c", "x.c"]


def test_what_is_linked_is_stripped_and_what_is_compiled_is_not_touched(programs: Path) -> None:
    assert given(programs / "zig-cc", "-v", "x.o") == ["cc", "-target", TARGET, "-s", "-v", "x.o"]
    for only in ("-c", "-S", "-E"):
        assert given(programs / "zig-cc", only, "x.c") == ["cc", "-target", TARGET, only, "x.c"]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("zig-cc", ["cc", "-target", TARGET, "-s"]),
        ("zig-c++", ["c++", "-target", TARGET, "-s"]),
        ("zig-ar", ["ar"]),
        ("zig-ranlib", ["ranlib"]),
    ],
)
def test_each_wrapper_is_its_tool(programs: Path, name: str, start: list[str]) -> None:
    assert given(programs / name) == start
    assert given(programs / name, "a b", "*", "") == [*start, "a b", "*", ""]


@pytest.mark.parametrize("name", ["zig-cc", "zig-c++", "zig-ar", "zig-ranlib"])
def test_wrappers_are_found_through_path_and_beside_themselves(programs: Path, name: str) -> None:
    through_path = run("/bin/sh", "-c", f"{name} x", path=f"{programs}:/usr/bin:/bin")
    beside = run("/bin/sh", name, "x", cwd=str(programs))

    assert (through_path.returncode, through_path.stdout) == (0, beside.stdout)
    assert through_path.stdout.endswith("x\0")


def test_a_missing_target_is_an_error(programs: Path) -> None:
    done = run(programs / "zig-cc", "-c", target=None)

    assert done.returncode != 0
    assert "LLAMATRIX_TARGET: names the platform to compile for" in done.stderr
    assert done.stdout == ""


def test_the_compilers_exit_code_comes_through(programs: Path) -> None:
    (programs / "zig").write_text("#!/bin/sh\nexit 7\n")

    assert [run(programs / name).returncode for name in ("zig-cc", "zig-c++", "zig-ar", "zig-ranlib")] == [7] * 4


def test_no_wrapper_forks(programs: Path) -> None:
    """PATH leads nowhere in every test above; what is left to check is that nothing is captured or piped."""
    for wrapper in WRAPPERS.glob("zig-*"):
        code = "\n".join(line for line in wrapper.read_text().splitlines() if not line.lstrip().startswith("#"))
        assert "$(" not in code
        assert "`" not in code
        # A | between the patterns of a case is no pipe.
        assert not [line for line in code.splitlines() if " | " in line and not line.lstrip().startswith("-")]
