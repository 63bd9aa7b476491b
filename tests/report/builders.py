"""A run as it could have happened: passed, unproven, failed and idle cells, with tasks of every state."""

from __future__ import annotations

__all__ = ["HOSTILE", "many", "report", "verdicts"]

from dataclasses import replace

from pipeline.model import Status, TaskKind, TaskState, Verdict
from pipeline.report.record import CellRecord, CellState, RunReport, TaskRecord

_START = 1_790_900_000.0
_SHA = "9f2c41d07b5e8a63"

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</style><style>*{display:none}",
    "{{ 7 * 7 }} {% raw %}",
    "\x1b[2J\x1b[31mred\x1b[0m\x07",
    "safe\u202egnp.exe\u2066",
    "::error title=owned::now",
    "##[error]owned",
    "a|b `c` *d* _e_ [x](https://evil.invalid) @someone <!-- -->",
    "100%\r\n::set-output name=x::y",
    "\udcff\x00\u2028\ufeff",
    "&lt;already&gt; &amp;",
)


def verdicts(*, skipped: dict[str, str] | None = None, waived: dict[str, str] | None = None) -> tuple[Verdict, ...]:
    """Nine gates of a good bundle, with some of them skipped or waived."""
    good = (
        Verdict(
            gate="timeout",
            status=Status.PASSED,
            summary="core took 14m51s of 1h00m",
            measured={"core_seconds": 891.2, "deadline_seconds": 3600.0},
        ),
        Verdict(
            gate="size",
            status=Status.PASSED,
            summary="18.7 MB packed of 30.0 MB, 61.2 MB unpacked of 120.0 MB",
            measured={"size": 18_734_112, "unpacked": 61_222_400, "growth": 0.013},
            seconds=0.1,
        ),
        Verdict(
            gate="backend",
            status=Status.PASSED,
            summary="14 CPU variants, each exports ggml_backend_init",
            measured={"cpu_variants": 14},
            seconds=0.4,
        ),
        Verdict(
            gate="abi",
            status=Status.PASSED,
            summary="highest symbol GLIBC_2.27, floor 2.28; no GLIBCXX",
            measured={"glibc": "2.27", "floor": "2.28", "glibcxx": None},
            seconds=0.6,
        ),
        Verdict(
            gate="closure",
            status=Status.PASSED,
            summary="24 libraries closed over 6 allowed, RUNPATH $ORIGIN throughout",
            measured={"libraries": 24, "allowed": ["libc.so.6", "libm.so.6", "libdl.so.2"]},
            seconds=0.3,
        ),
        Verdict(
            gate="smoke",
            status=Status.PASSED,
            summary="version matches, started in 11 ms, generated 16 tokens",
            measured={"startup_ms": 11.2, "tokens": 16},
            seconds=4.2,
        ),
        Verdict(gate="tests", status=Status.PASSED, summary="4 of 4 programs passed", seconds=21.5),
        Verdict(gate="licences", status=Status.PASSED, summary="LICENSE, LICENSE-jsonhpp", measured={"files": 2}),
        Verdict(
            gate="repro",
            status=Status.PASSED,
            summary="host and docker gave the same bytes",
            measured={"tar_sha256": _SHA * 4},
            seconds=902.7,
        ),
    )
    skips, waivers = skipped or {}, waived or {}
    result = []
    for verdict in good:
        if verdict.gate in skips:
            reason = skips[verdict.gate]
            verdict = Verdict(  # noqa: PLW2901 - the same gate, skipped
                gate=verdict.gate, status=Status.SKIPPED, summary=f"skipped: {reason}", reason=reason
            )
        elif verdict.gate in waivers:
            verdict = replace(  # noqa: PLW2901 - the same gate, waived
                verdict, status=Status.WAIVED, reason=waivers[verdict.gate], until="2026-12-31"
            )
        result.append(verdict)
    return tuple(result)


def _failed(changes: dict[str, tuple[str, tuple[str, ...], dict[str, object]]]) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(
            gate=verdict.gate,
            status=Status.FAILED,
            summary=changes[verdict.gate][0],
            reason=changes[verdict.gate][0],
            details=changes[verdict.gate][1],
            measured=changes[verdict.gate][2],
            seconds=verdict.seconds,
        )
        if verdict.gate in changes
        else verdict
        for verdict in verdicts(skipped={"repro": "the profile local makes no second build"})
    )


def _cell(cell: str, state: CellState, **values: object) -> CellRecord:
    project, platform, variant = cell.split("/")
    base = CellRecord(id=cell, project=project, platform=platform, variant=variant, state=state)
    return replace(base, **values)  # type: ignore[arg-type]  # tests give the right ones


def _built(cell: str, state: CellState, size: int, given: tuple[Verdict, ...], digit: str) -> CellRecord:
    project, platform, variant = cell.split("/")
    return _cell(
        cell,
        state,
        asset=f"{project}-0.1.0-local-{platform}-{variant}.tar.zst",
        size=size,
        unpacked_size=size * 3 + 5_017_216,
        sha256=(digit + _SHA[1:]) * 4,
        verdicts=given,
    )


def _task(  # noqa: PLR0913, PLR0917 - one line for each task below
    task: str,
    kind: TaskKind,
    state: TaskState,
    cells: tuple[str, ...],
    span: tuple[float, float] | None = None,
    deadline: float | None = None,
    message: str | None = None,
) -> TaskRecord:
    return TaskRecord(
        id=task,
        kind=kind,
        key=f"{abs(sum(map(ord, task))):064x}",
        state=state,
        cells=cells,
        started=_START + span[0] if span else None,
        ended=_START + span[1] if span else None,
        deadline=deadline,
        message=message,
        log=f"logs/{task.replace(':', '/')}.log" if span and state is not TaskState.CACHED else None,
    )


_CPU, _VULKAN, _ALL = (f"llama.cpp/linux-x86_64/{variant}" for variant in ("cpu", "vulkan", "all"))
_ARM = "llama.cpp/linux-aarch64/cpu"
_X86 = (_CPU, _VULKAN, _ALL)

_IDLE = {
    "llama.cpp": {
        "linux-x86_64": {
            "cuda12": "a CUDA 12 image (toolkit 12.4)",
            "cuda13": "a CUDA 13 toolchain from wheels",
            "rocm-gfx1100": "a ROCm image (hipcc, rocBLAS)",
        },
        "linux-aarch64": {
            "cuda12": "a CUDA 12 image (toolkit 12.4)",
            "cuda13": "a CUDA 13 toolchain from wheels",
            "vulkan": "Vulkan for aarch64: glslc for x86_64 with aarch64 libraries",
            "all": "Vulkan for aarch64: glslc for x86_64 with aarch64 libraries",
        },
        "darwin-arm64": {"metal": "macOS with Xcode"},
        "darwin-x86_64": {"cpu": "macOS with Xcode"},
    },
    "ollama": {
        "linux-x86_64": dict.fromkeys(
            ("cpu", "cuda12", "cuda13", "rocm-gfx1100", "vulkan", "all"),
            "an Ollama source that can be proved, and its Go build",
        ),
        "linux-aarch64": dict.fromkeys(
            ("cpu", "cuda12", "cuda13", "vulkan", "all"), "an Ollama source that can be proved, and its Go build"
        ),
        "darwin-arm64": {"metal": "macOS with Xcode"},
        "darwin-x86_64": {"cpu": "macOS with Xcode"},
    },
}

_LEFT_OUT = tuple(
    (f"{project}/{platform}/{variant}", reason)
    for project in ("llama.cpp", "ollama")
    for platform, variant, reason in (
        ("linux-x86_64", "metal", "Metal exists on macOS only"),
        ("linux-aarch64", "metal", "Metal exists on macOS only"),
        ("linux-aarch64", "rocm-gfx1100", "there is no ROCm for aarch64"),
        ("darwin-arm64", "cpu", "every Apple silicon Mac runs the Metal bundle"),
        *(
            (platform, variant, "macOS has Metal only")
            for platform in ("darwin-arm64", "darwin-x86_64")
            for variant in ("cuda12", "cuda13", "rocm-gfx1100", "vulkan")
        ),
        ("darwin-arm64", "all", "the same as the platform's only GPU bundle"),
        ("darwin-x86_64", "all", "the same as the platform's only GPU bundle"),
        ("darwin-x86_64", "metal", "upstream ships Intel Macs without Metal: its runners fail at random"),
    )
)


def _cells() -> tuple[CellRecord, ...]:
    size = "the archive has 66.9 MB and may have 60.0 MB: strip the libraries or raise gates.size.max"
    largest = tuple(
        f"{number:>10,}  lib/{name}"
        for number, name in (
            (44_102_336, "libggml-vulkan.so"),
            (9_182_208, "libllama.so"),
            (5_417_912, "libggml-cpu-sapphirerapids.so"),
            (5_391_004, "libggml-cpu-zen4.so"),
            (2_903_744, "libmtmd.so"),
        )
    )
    built = {
        _CPU: _built(_CPU, CellState.PASSED, 18_734_112, verdicts(), "1"),
        _ARM: _built(
            _ARM,
            CellState.PASSED,
            14_902_771,
            verdicts(waived={"tests": "test-sampling needs 20 minutes under qemu-user"}),
            "2",
        ),
        _VULKAN: _built(
            _VULKAN,
            CellState.UNPROVEN,
            41_380_204,
            verdicts(
                skipped={
                    "smoke": "no image lavapipe on the engine host: Vulkan cannot be emulated here",
                    "repro": "the profile local makes no second build",
                }
            ),
            "3",
        ),
        _ALL: _built(
            _ALL,
            CellState.FAILED,
            66_918_400,
            _failed(
                {
                    "size": (size, largest, {"size": 66_918_400, "max": 60_000_000}),
                    "closure": (
                        "libggml-vulkan.so needs libgomp.so.1, which is neither inside nor allowed",
                        ("lib/libggml-vulkan.so: NEEDED libgomp.so.1", "lib/libggml-cpu-zen4.so: NEEDED libgomp.so.1"),
                        {"missing": ["libgomp.so.1"]},
                    ),
                }
            ),
            "4",
        ),
    }
    cells = []
    for project, platforms in _IDLE.items():
        for platform, idle in platforms.items():
            for variant in ("cpu", "cuda12", "cuda13", "rocm-gfx1100", "vulkan", "metal", "all"):
                cell = f"{project}/{platform}/{variant}"
                if cell in built:
                    cells.append(built[cell])
                elif variant in idle:
                    cells.append(_cell(cell, CellState.NOT_RUN, reason=idle[variant]))
    return tuple(cells)


def _tasks() -> tuple[TaskRecord, ...]:
    both = (*_X86, _ARM)
    done, cached = TaskState.DONE, TaskState.CACHED
    return (
        _task("source:llama.cpp", TaskKind.SOURCE, cached, both, (0.0, 0.0)),
        _task("toolchain:zig", TaskKind.TOOLCHAIN, cached, both, (0.0, 0.0)),
        _task("image:build", TaskKind.IMAGE, done, both, (0.1, 8.4), 600),
        _task("image:vulkan", TaskKind.IMAGE, done, (_VULKAN, _ALL), (0.1, 31.9), 600),
        _task("core:llama.cpp/linux-x86_64/core", TaskKind.CORE, done, _X86, (8.5, 899.7), 3600),
        _task("core:llama.cpp/linux-aarch64/core", TaskKind.CORE, done, (_ARM,), (8.6, 741.3), 3600),
        _task("backend:llama.cpp/linux-x86_64/vulkan", TaskKind.BACKEND, done, (_VULKAN, _ALL), (32.0, 308.4), 2400),
        _task(f"bundle:{_CPU}", TaskKind.BUNDLE, done, (_CPU,), (899.8, 903.1), 300),
        _task(f"bundle:{_ARM}", TaskKind.BUNDLE, done, (_ARM,), (741.4, 744.0), 300),
        _task(f"bundle:{_VULKAN}", TaskKind.BUNDLE, done, (_VULKAN,), (899.9, 905.6), 300),
        _task(f"bundle:{_ALL}", TaskKind.BUNDLE, done, (_ALL,), (900.0, 908.8), 300),
        _task(f"gate:{_CPU}", TaskKind.GATE, done, (_CPU,), (903.2, 1833.0), 3600),
        _task(f"gate:{_ARM}", TaskKind.GATE, done, (_ARM,), (744.1, 1672.0), 3600),
        _task(f"gate:{_VULKAN}", TaskKind.GATE, done, (_VULKAN,), (905.7, 935.2), 3600),
        _task(
            f"gate:{_ALL}",
            TaskKind.GATE,
            TaskState.FAILED,
            (_ALL,),
            (908.9, 941.6),
            3600,
            "2 gates failed: size, closure",
        ),
        _task(
            "backend:llama.cpp/linux-x86_64/cuda12",
            TaskKind.BACKEND,
            TaskState.NOT_RUN,
            ("llama.cpp/linux-x86_64/cuda12",),
            message="a CUDA 12 image (toolkit 12.4)",
        ),
    )


def report() -> RunReport:
    """The whole run: 2 passed, 1 unproven, 1 failed, 22 not run."""
    return RunReport(
        version="0.1.0-local",
        profile="local",
        engine="docker",
        engine_reason="a Docker engine answers (28.0, 2 CPUs, 16.6 GB)",
        machine="linux-x86_64, 2 CPUs, 16.6 GB",
        tool="llamatrix 0.1.0",
        started=_START,
        ended=_START + 1834.2,
        tasks=_tasks(),
        cells=_cells(),
        left_out=_LEFT_OUT,
    )


def many(number: int, *, text: str = "") -> RunReport:
    """A run of ``number`` cells, each with nine verdicts and two tasks; ``text`` goes into every message."""
    cells: list[CellRecord] = []
    tasks: list[TaskRecord] = []
    kinds = (
        verdicts(),
        verdicts(skipped={"smoke": f"no device here {text}"}),
        _failed({"size": (f"too large {text}", tuple(f"{at} lib/libggml-{at}.so {text}" for at in range(10)), {})}),
    )
    states = (CellState.PASSED, CellState.UNPROVEN, CellState.FAILED)
    for at in range(number):
        cell = f"project{at % 4}/linux-x86_64-{at // 40}/variant{at % 40 // 4}"
        cells.append(_built(cell, states[at % 3], 10_000_000 + at, kinds[at % 3], f"{at % 10}"))
        begin = at * 3.0
        tasks.append(_task(f"bundle:{cell}", TaskKind.BUNDLE, TaskState.DONE, (cell,), (begin, begin + 2), 60))
        tasks.append(_task(f"gate:{cell}", TaskKind.GATE, TaskState.DONE, (cell,), (begin + 2, begin + 9), 60, text))
    return replace(report(), cells=tuple(cells), tasks=tuple(tasks), left_out=())
