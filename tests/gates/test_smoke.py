"""Each test plants one defect into a bundle that is otherwise right, by changing the answer to one command."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.gates.lab import LabInterruptedError, NoLabError
from pipeline.gates.model import ModelFacts
from pipeline.gates.script import Command, Ran
from pipeline.gates.smoke import SmokeGate
from pipeline.matrix.spec import Gates
from pipeline.matrix.spec import SmokeGate as SmokeSpec
from pipeline.model import EngineName, Status, Verdict
from tests.gates.labs import COMMIT, Answer, NoEngine, ScriptedLab, make_subject, says

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


FACTS = ModelFacts(sha256="ab", size=1, prompt="ba ke", expected=("zu", "po", "me"), margin=0.2, layers=2)
TEXT = "\x1b[33m\x1b[0m zu po me\x1b[1m\x1b[32m\x1b[0mEOF by user\n\n\n"
CHOSEN = "0.01 I load_backend: loaded CPU backend from /llamatrix/bundle/libggml-cpu-zen4.so\n"
OFFLOADED = (
    "I load_tensors: offloaded 3/3 layers to GPU\n"
    "I load_tensors:      Vulkan0 model buffer size =     0.28 MiB\n"
    "I sched_reserve:    Vulkan0 compute buffer size =     1.13 MiB\n"
)
DEVICES = "Available devices:\n  Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits) (2048 MiB, 2048 MiB free)\n"
VARIANTS = ("libggml-cpu-zen4.so", "libggml-cpu-x64.so", "libggml-cpu-alderlake.so")


def is_version(command: Command) -> bool:
    return "--version" in command.argv


def is_devices(command: Command) -> bool:
    return command.argv[0].endswith("llama-cli") and "--list-devices" in command.argv


def is_probe(command: Command) -> bool:
    return command.argv[0] == "{BARE}/llama-bench"


def is_variant(command: Command) -> bool:
    return command.argv[0] == "{BARE}/llama-completion"


def is_text(command: Command) -> bool:
    return command.argv[0] == "{BUNDLE}/llama-completion" and "none" in command.argv


def is_gpu(command: Command) -> bool:
    return "99" in command.argv


def sound(command: Command, *, gpu: bool = False) -> Ran | None:
    """Answer as a bundle without a fault does."""
    library = command.environment.get("GGML_BACKEND_PATH", "")
    if is_version(command):
        return says(command, stderr=f"version: 0.5.0-dev (build 0, commit {COMMIT[:9]})\nbuilt with Clang\n")
    if is_devices(command):
        return says(command, DEVICES if gpu else "Available devices:\n  (none)\n")
    if is_probe(command):
        refused = f"load_backend: backend {library} is not supported on this system\n"
        return says(command, stderr=refused if "alderlake" in library else f"loaded CPU backend from {library}\n")
    if is_gpu(command):
        return says(command, TEXT, OFFLOADED)
    return says(command, TEXT, CHOSEN)


def write_model(path: Path) -> ModelFacts:
    path.write_bytes(b"model")
    return FACTS


CPU = SmokeSpec(image="floor", device="cpu", startup="100ms", deadline="5m")
LAVAPIPE = SmokeSpec(
    image="lavapipe",
    device="lavapipe",
    devices={"vulkan": r"Vulkan\d+: llvmpipe"},
    startup="100ms",
    deadline="10m",
)


class Bench:
    """Checks a made-up bundle whose programs answer as ``defects`` say, and soundly otherwise."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.lab = ScriptedLab(answers=[])

    def check(
        self,
        *defects: Answer,
        spec: SmokeSpec | None = CPU,
        info: Mapping[str, object] | None = None,
        emulated: bool = False,
    ) -> Verdict:
        files = ("llama-cli", "llama-bench", "llama-completion", *VARIANTS)
        subject = make_subject(self.tmp_path, Gates(smoke=spec), files=files)
        if info is not None:
            subject = replace(subject, info=info)
        gpu = spec is not None and bool(spec.devices)
        self.lab = ScriptedLab(answers=[*defects, functools.partial(sound, gpu=gpu)], emulated=emulated)
        return SmokeGate(find_lab=self.lab.find, write_model=write_model, find_driver=dict).check(subject)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def when(test: object, answer: object) -> Answer:
    """Answer the commands that ``test`` picks with what ``answer`` makes of them."""

    def reply(command: Command) -> Ran | None:
        assert callable(test)
        assert callable(answer)
        return answer(command) if test(command) else None

    return reply


def fails(verdict: Verdict, *parts: str) -> None:
    assert verdict.status is Status.FAILED
    text = "\n".join((verdict.summary, *verdict.details))
    for part in parts:
        assert part in text


def test_a_sound_cpu_bundle_passes(bench: Bench) -> None:
    verdict = bench.check()
    assert verdict.status is Status.PASSED, verdict.summary
    assert verdict.summary == (
        "generates the reference text on the CPU (script); 2 of 3 CPU variants run here; starts in 10.0 ms"
    )
    assert verdict.measured["cpu_variant"] == "zen4"
    assert verdict.measured["text"] == "zu po me"
    assert verdict.measured["cpu_variants"] == {"alderlake": "not this processor's", "x64": "passed", "zen4": "passed"}
    assert bench.lab.asked == {"gate": "smoke", "image": "floor", "deadline": 300.0}


def test_a_sound_vulkan_bundle_passes(bench: Bench) -> None:
    verdict = bench.check(spec=LAVAPIPE)
    assert verdict.status is Status.PASSED, verdict.summary
    assert "on the CPU, Vulkan0" in verdict.summary
    assert verdict.measured["offloaded_vulkan"] == "3/3"
    assert all(command.environment["GGML_VK_VISIBLE_DEVICES"] == "0" for command in bench.lab.commands)


def test_every_variant_is_loaded_alone(bench: Bench, tmp_path: Path) -> None:
    bench.check()
    bare = {path.name for path in (tmp_path / "work" / "smoke" / "bare").iterdir()}
    assert bare == {"llama-cli", "llama-bench", "llama-completion"}


def test_another_commit(bench: Bench) -> None:
    other = when(is_version, lambda c: says(c, stderr="version: 0.5.0-dev (build 0, commit deadbeef0)\n"))
    fails(bench.check(other), "prints 'version: 0.5.0-dev (build 0, commit deadbeef0)'", f"says commit {COMMIT[:9]}")


@pytest.mark.parametrize(
    ("printed", "good"),
    [(COMMIT[:9], True), (COMMIT, True), (COMMIT[:8], False), (COMMIT[:9] + "0", False), ("unknown", False)],
)
def test_which_commits_are_the_pinned_one(bench: Bench, printed: str, good: bool) -> None:
    verdict = bench.check(when(is_version, lambda c: says(c, f"version: 1 (build 0, commit {printed})\n")))
    assert (verdict.status is Status.PASSED) is good


def test_an_unproven_source_is_local(bench: Bench) -> None:
    local: dict[str, object] = {"source": {"commit": None, "digest": "ab"}}
    answer = when(is_version, lambda c: says(c, "version: 0.5.0 (build 0, commit local)\n"))
    assert bench.check(answer, info=local).status is Status.PASSED
    fails(bench.check(info=local), "BUILD_INFO.json says commit local")


def test_no_source_to_compare_with(bench: Bench) -> None:
    fails(bench.check(info={}), "BUILD_INFO.json names no source commit")


def test_a_bundle_that_does_not_start(bench: Bench) -> None:
    broken = when(is_version, lambda c: says(c, stderr="version `GLIBC_2.38' not found\n", code=1))
    fails(bench.check(broken), "--version exited with 1: the bundle does not start", "GLIBC_2.38")


def test_a_bundle_that_starts_only_once(bench: Bench) -> None:
    starts = iter(range(10))
    flaky = when(is_version, lambda c: sound(c) if next(starts) == 0 else says(c, code=139))
    fails(bench.check(flaky), "segmentation fault", "it started before and did not start again")


def test_a_slow_start(bench: Bench) -> None:
    def slow(command: Command) -> Ran:
        return says(command, f"version: 1 (commit {COMMIT[:9]})\n", seconds=0.35)

    fails(bench.check(when(is_version, slow)), "takes 350 ms to start (best of 5), the limit is 100ms")


def test_the_best_start_counts(bench: Bench) -> None:
    times = iter([0.9, 0.8, 0.02, 0.7, 0.6])
    answer = when(is_version, lambda c: says(c, f"version: 1 (commit {COMMIT[:9]})\n", seconds=next(times)))
    verdict = bench.check(answer)
    assert verdict.status is Status.PASSED
    assert verdict.measured["startup_ms"] == 20.0


def test_a_slow_start_under_emulation_is_only_recorded(bench: Bench) -> None:
    answer = when(is_version, lambda c: says(c, f"version: 1 (commit {COMMIT[:9]})\n", seconds=2.5))
    verdict = bench.check(answer, emulated=True)
    assert verdict.status is Status.PASSED
    assert verdict.measured["startup_ms"] == 2500.0
    assert verdict.measured["startup_limit"] == "not applied under emulation"


def test_a_shell_without_a_clock_times_each_start_alone(bench: Bench) -> None:
    times = iter([None, None, None, None, None, 0.05, 0.04, 0.03, 0.04, 0.05])
    answer = when(is_version, lambda c: says(c, f"version: 1 (commit {COMMIT[:9]})\n", seconds=next(times)))
    assert bench.check(answer).measured["startup_ms"] == 30.0


def test_a_start_that_cannot_be_timed(bench: Bench) -> None:
    answer = when(is_version, lambda c: says(c, f"version: 1 (commit {COMMIT[:9]})\n", seconds=None))
    fails(bench.check(answer), "the start-up time could not be measured")


def test_a_hang_ends_the_gate(bench: Bench) -> None:
    verdict = bench.check(when(is_text, lambda c: says(c, " zu", code=None)))
    fails(verdict, "llama-completion -t 1 hung until the deadline", "the remaining steps were not run")
    assert not any(is_probe(command) for command in bench.lab.commands)


def test_devices_cannot_be_listed(bench: Bench) -> None:
    fails(bench.check(when(is_devices, lambda c: says(c, code=1))), "--list-devices exited with 1")


def test_a_missing_device(bench: Bench) -> None:
    none = when(is_devices, lambda c: says(c, "Available devices:\n  (none)\n"))
    verdict = bench.check(none, spec=LAVAPIPE)
    fails(verdict, r"no vulkan device like 'Vulkan\\d+: llvmpipe' but none", "image 'lavapipe' lacks its driver")
    assert verdict.measured["cpu_variant"] == "zen4", "the other steps still ran"


def test_a_device_name_in_a_log_line_is_not_a_device(bench: Bench) -> None:
    log = when(is_devices, lambda c: says(c, "Vulkan0: llvmpipe found\nAvailable devices:\n  (none)\n"))
    fails(bench.check(log, spec=LAVAPIPE), "shows no vulkan device")


@pytest.mark.parametrize("stdout", ["", "\x1b[33m\x1b[0m\x1b[0mEOF by user\n"])
def test_no_text(bench: Bench, stdout: str) -> None:
    verdict = bench.check(when(is_text, lambda c: says(c, stdout, CHOSEN)))
    fails(verdict, "generated no text where the reference gives 'zu po me'")


@pytest.mark.parametrize("text", ["zu po", "zu po ma", "po zu me", "zu po me me"])
def test_a_wrong_text(bench: Bench, text: str) -> None:
    fails(bench.check(when(is_text, lambda c: says(c, text, CHOSEN))), f"generated '{text}' where the reference")


def test_a_text_that_changes_with_the_threads(bench: Bench) -> None:
    def racy(command: Command) -> Ran | None:
        return says(command, "zu po zu") if is_text(command) and "2" in command.argv else None

    fails(bench.check(racy), "llama-completion -t 2 generated 'zu po zu'")


def test_a_variant_that_does_not_load(bench: Bench) -> None:
    def broken(command: Command) -> Ran | None:
        if is_probe(command) and "x64" in command.environment["GGML_BACKEND_PATH"]:
            return says(command, stderr="load_backend: failed to load: undefined symbol: ggml_foo\n")
        return None

    verdict = bench.check(broken)
    fails(verdict, "variant x64 is neither loaded nor refused", "undefined symbol: ggml_foo")
    assert verdict.measured["cpu_variants"] == {"alderlake": "not this processor's", "x64": "failed", "zen4": "passed"}


def test_a_variant_whose_probe_crashes(bench: Bench) -> None:
    verdict = bench.check(when(is_probe, lambda c: says(c, code=132)))
    fails(verdict, "variant alderlake exited with 132 (illegal instruction): it cannot be loaded", "(and 2 more)")


def test_a_variant_that_computes_wrongly(bench: Bench) -> None:
    def wrong(command: Command) -> Ran | None:
        return says(command, "me me me") if is_variant(command) and command.name.endswith("x64") else None

    fails(bench.check(wrong), "libggml-cpu-x64.so computes wrongly", "variant x64 generated 'me me me'")


def test_a_bundle_without_variants(tmp_path: Path) -> None:
    lab = ScriptedLab(answers=[sound])
    subject = make_subject(tmp_path, Gates(smoke=CPU), files=("libggml-cpu.so",))
    verdict = SmokeGate(find_lab=lab.find, write_model=write_model).check(subject)
    assert verdict.status is Status.PASSED
    assert verdict.measured["cpu_variants"] == {}


def test_other_tokens_on_the_gpu(bench: Bench) -> None:
    verdict = bench.check(when(is_gpu, lambda c: says(c, "zu po zu", OFFLOADED)), spec=LAVAPIPE)
    fails(verdict, "llama-completion on Vulkan0 generated 'zu po zu'", "the vulkan backend computes wrongly")


def test_a_crash_on_the_gpu(bench: Bench) -> None:
    verdict = bench.check(when(is_gpu, lambda c: says(c, stderr="GGML_ASSERT\n", code=134)), spec=LAVAPIPE)
    fails(verdict, "llama-completion on Vulkan0 exited with 134 (aborted)", "GGML_ASSERT")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "none of its 3 layers went to Vulkan0"),
        (OFFLOADED.replace("3/3", "0/3"), "0 of its 3 layers went to Vulkan0"),
        (OFFLOADED.replace("3/3", "2/3"), "2 of its 3 layers went to Vulkan0"),
        (OFFLOADED.replace("3/3", "2/2"), "2 of its 3 layers went to Vulkan0"),
        (OFFLOADED.replace("Vulkan0", "Vulkan1"), "0 MiB of weights"),
        (OFFLOADED.replace("Vulkan0", "NotVulkan0"), "0 MiB of weights"),
        (OFFLOADED.replace("0.28", "0.00"), "0.0 MiB of weights"),
        (OFFLOADED.replace("compute buffer", "other buffer"), "0 MiB of work space"),
    ],
)
def test_a_silent_fall_back_to_the_cpu(bench: Bench, log: str, said: str) -> None:
    verdict = bench.check(when(is_gpu, lambda c: says(c, TEXT, log)), spec=LAVAPIPE)
    fails(verdict, "llama-completion on Vulkan0 fell back to the CPU", said)


def is_driverless(command: Command) -> bool:
    return command.environment.get("VK_DRIVER_FILES") == "/nonexistent"


def test_a_crash_on_a_machine_without_a_driver(bench: Bench) -> None:
    def crash(command: Command) -> Ran | None:
        return says(command, TEXT, CHOSEN, code=139) if is_driverless(command) else None

    verdict = bench.check(crash, spec=LAVAPIPE)
    fails(
        verdict, "--list-devices without a driver exited with 139 (segmentation fault)", "-z nodelete", "(and 1 more)"
    )


def test_no_text_without_a_driver(bench: Bench) -> None:
    def mute(command: Command) -> Ran | None:
        return says(command) if is_driverless(command) else None

    fails(bench.check(mute, spec=LAVAPIPE), "llama-completion without a driver generated no text")


def test_all_problems_are_reported(bench: Bench) -> None:
    verdict = bench.check(
        when(is_version, lambda c: says(c, "version: 1 (commit 123456789)\n", seconds=3)),
        when(is_devices, lambda c: says(c, "Available devices:\n")),
        when(is_text, lambda c: says(c, "zu")),
        spec=LAVAPIPE,
    )
    fails(verdict, "another source", "takes 3000 ms", "shows no vulkan device", "generated 'zu'", "(and 4 more)")


@pytest.mark.parametrize("device", ["cuda", "rocm", "metal"])
def test_a_device_that_is_not_here_is_skipped(bench: Bench, device: str) -> None:
    spec = SmokeSpec(image="floor", device=device, startup="100ms", deadline="5m")  # type: ignore[arg-type]
    verdict = bench.check(spec=spec)
    assert verdict.status is Status.SKIPPED
    assert verdict.reason is not None
    assert verdict.reason.startswith("needs an ")
    assert bench.lab.commands == []


def test_lavapipe_without_expected_devices_fails(bench: Bench) -> None:
    spec = SmokeSpec(image="lavapipe", device="lavapipe", startup="100ms", deadline="5m")
    fails(bench.check(spec=spec), "without gates.smoke.devices checks no GPU")


def test_a_cell_without_the_gate_is_skipped(bench: Bench) -> None:
    assert bench.check(spec=None).status is Status.SKIPPED


def test_the_fake_engine_is_skipped(tmp_path: Path) -> None:
    subject = make_subject(tmp_path, Gates(smoke=CPU), engine=NoEngine(EngineName.FAKE))
    verdict = SmokeGate(write_model=write_model).check(subject)
    assert verdict.status is Status.SKIPPED
    assert verdict.reason == "the fake engine forges files that cannot run"


def test_a_host_without_lavapipe_is_skipped(tmp_path: Path) -> None:
    def none() -> dict[str, str]:
        msg = "install mesa-vulkan-drivers"
        raise NoLabError(msg)

    lab = ScriptedLab(answers=[], on_host=True)
    subject = make_subject(tmp_path, Gates(smoke=LAVAPIPE))
    verdict = SmokeGate(find_lab=lab.find, write_model=write_model, find_driver=none).check(subject)
    assert (verdict.status, verdict.reason) == (Status.SKIPPED, "install mesa-vulkan-drivers")


def test_a_cancelled_run_is_skipped(tmp_path: Path) -> None:
    class Interrupted(ScriptedLab):
        def run(self, title: str, commands: Sequence[Command], *, folders: object = ()) -> tuple[Ran, ...]:
            raise LabInterruptedError(title)

    lab = Interrupted(answers=[])
    verdict = SmokeGate(find_lab=lab.find, write_model=write_model).check(make_subject(tmp_path, Gates(smoke=CPU)))
    assert (verdict.status, verdict.reason) == (Status.SKIPPED, "the run was cancelled")
