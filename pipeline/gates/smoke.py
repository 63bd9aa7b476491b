"""The smoke gate: the packed programs start, are the pinned source, and compute what they must.

The text a bundle generates is compared with a forward pass in double precision (:mod:`pipeline.gates.model`), so a
wrong kernel fails even when every build of it agrees. A GPU must really have taken the layers: falling back to the
CPU gives the same text and fails.
"""

from __future__ import annotations

__all__ = ["SmokeGate"]

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.engines.base import Folder
from pipeline.gates.base import Subject, failed, passed, skipped
from pipeline.gates.findings import Findings, StopError
from pipeline.gates.lab import FindLab, LabInterruptedError, NoLabError, Runner, open_lab, stage
from pipeline.gates.model import ModelFacts, write_tiny_model
from pipeline.gates.script import Command, Ran
from pipeline.gates.vulkan import NO_DRIVER, FindDriver, device_environment, host_lavapipe
from pipeline.matrix.spec import SmokeGate as SmokeSpec
from pipeline.matrix.spec import parse_duration
from pipeline.model import Verdict

_STARTS = 5
_COMMIT_DIGITS = 9
_GPUS = {
    "cuda": "an NVIDIA GPU with its driver, handed to the job",
    "rocm": "an AMD GPU with its driver, handed to the job",
    "metal": "an Apple GPU on macOS",
}
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_LOADED_CPU = re.compile(r"loaded CPU backend from \S*?libggml-cpu-([\w.]+?)\.(?:so|dylib)\b")
_CPU_LIBRARY = re.compile(r"libggml-cpu-(.+)\.(?:so|dylib)")
# What comes after the text when interactive mode meets the end of its input, see _generate.
_GOODBYE = "EOF by user"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """One check of one bundle: what every step needs."""

    subject: Subject
    spec: SmokeSpec
    lab: Runner
    facts: ModelFacts
    model: Folder
    environment: dict[str, str]
    findings: Findings

    def command(self, name: str, *argv: str, **environment: str) -> Command:
        """Make a command with the device's environment."""
        return Command(name=name, argv=argv, environment={**self.environment, **environment})

    def version(self) -> None:
        """Start ``--version`` a few times: the commit must be the pinned one, the best start within the limit."""
        starts = 1 if self.lab.emulated else _STARTS
        command = self.command("llama-cli --version", "{BUNDLE}/llama-cli", "--version")
        runs = self.lab.run("smoke: start", [command] * starts)
        first, found = runs[0], self.findings
        if not found.ended(first, advice="the bundle does not start; check the abi and closure gates first"):
            return
        line = next((text.strip() for text in first.log.splitlines() if text.startswith("version:")), "")
        found.measured["version"] = line
        problem = _wrong_commit(self.subject, line)
        if problem is not None:
            found.add(problem, first)
        for run in runs[1:]:
            if not found.ended(run, advice="it started before and did not start again"):
                return
        if all(run.seconds is None for run in runs):
            # No clock in that shell: each start becomes a job of its own, and the engine's time an upper bound.
            runs = tuple(self.lab.run("smoke: start", [command])[0] for _ in range(starts))
        seconds = min((run.seconds for run in runs if run.seconds is not None), default=None)
        found.measured["startup_ms"] = None if seconds is None else round(seconds * 1000, 1)
        if self.lab.emulated:
            found.measured["startup_limit"] = "not applied under emulation"
        elif seconds is None:
            found.add("the start-up time could not be measured: the image needs a date(1) that knows %N")
        elif seconds > parse_duration(self.spec.startup):
            found.add(
                f"llama-cli takes {seconds * 1000:.0f} ms to start (best of {starts}), the limit is "
                f"{self.spec.startup}: look for work before main() and for libraries loaded at start, or raise "
                "gates.smoke.startup"
            )

    def devices(self) -> dict[str, str]:
        """List devices and find the expected ones; give each backend's device name, such as ``Vulkan0``."""
        found = self.findings
        command = self.command("llama-cli --list-devices", "{BUNDLE}/llama-cli", "--list-devices")
        ran = self.lab.run("smoke: devices", [command])[0]
        if not found.ended(ran, advice="no device can be listed"):
            return {}
        lines = ran.stdout.partition("Available devices:")[2].splitlines()
        lines = [line.strip() for line in lines if line.strip() and line.strip() != "(none)"]
        found.measured["devices"] = lines
        names = {}
        for backend, pattern in self.spec.devices.items():
            line = next((line for line in lines if re.search(pattern, line)), None)
            if line is None:
                found.add(
                    f"--list-devices shows no {backend} device like {pattern!r} but {'; '.join(lines) or 'none'}: the "
                    f"{backend} library is missing from the bundle, does not load, or image {self.spec.image!r} lacks "
                    "its driver",
                    ran,
                )
            else:
                names[backend] = line.partition(":")[0]
        return names

    def generate(self, name: str, *options: str, program: str = "{BUNDLE}", **environment: str) -> Command:
        """Make the command that generates the text.

        Interactive mode is on purpose: elsewhere the program exits without flushing its log thread, which also
        writes the text, and loses some of it in one run of five. Asking for input with colours on flushes.
        """
        return self.command(
            name,
            f"{program}/llama-completion",
            *("-lv", "4", "-m", "{MODEL}/tiny.gguf", "-p", self.facts.prompt, "-n", str(len(self.facts.expected))),
            *("--temp", "0", "--seed", "1", "-no-cnv", "-i", "--color", "on", "--simple-io", "--no-display-prompt"),
            *("--no-warmup", "-fit", "off", "--offline", *options),
            **environment,
        )

    def right_text(self, ran: Ran, *, advice: str) -> bool:
        """Tell whether the run generated exactly the reference's words; note it if not."""
        if not self.findings.ended(ran, advice=advice):
            return False
        words = _words(ran.stdout)
        if words == self.facts.expected:
            return True
        what = f"generated {' '.join(words)!r}" if words else "generated no text"
        self.findings.add(
            f"{ran.name} {what} where the reference gives {' '.join(self.facts.expected)!r}: {advice}", ran
        )
        return False

    def text(self) -> None:
        """Generate on the CPU, with one thread and with two."""
        runs = self.lab.run(
            "smoke: text",
            [self.generate(f"llama-completion -t {threads}", *_on_cpu(threads)) for threads in (1, 2)],
            folders=[self.model],
        )
        chosen = _LOADED_CPU.findall(runs[0].stderr)
        self.findings.measured["cpu_variant"] = chosen[-1] if chosen else None
        right = [self.right_text(ran, advice="the chosen CPU variant computes wrongly or crashes") for ran in runs]
        if all(right):
            self.findings.measured["text"] = " ".join(self.facts.expected)

    def variants(self) -> None:
        """Load every CPU variant alone; those this processor has must generate the text, the others must refuse."""
        names = sorted(match[1] for path in self.subject.root.iterdir() if (match := _CPU_LIBRARY.fullmatch(path.name)))
        if not names:
            self.findings.measured["cpu_variants"] = {}
            return
        suffix = ".dylib" if (self.subject.root / f"libggml-cpu-{names[0]}.dylib").exists() else ".so"
        bare = stage(self.subject.work / "smoke" / "bare", [self.subject.root], leave_out="libggml-cpu-*")
        folders = [Folder(name="BARE", path=bare), self.model]
        path = {name: f"{{BUNDLE}}/libggml-cpu-{name}{suffix}" for name in names}
        probes = self.lab.run(
            "smoke: CPU variants",
            [
                # llama-bench says synchronously what became of the library; other tools lose the line at exit.
                self.command(f"variant {name}", "{BARE}/llama-bench", "--list-devices", GGML_BACKEND_PATH=path[name])
                for name in names
            ],
            folders=folders,
        )
        states = dict(zip(names, (self._loads(probe) for probe in probes), strict=True))
        usable = [name for name in names if states[name] == "loads"]
        runs = self.lab.run(
            "smoke: text of each CPU variant",
            [
                self.generate(f"variant {name}", *_on_cpu(1), program="{BARE}", GGML_BACKEND_PATH=path[name])
                for name in usable
            ],
            folders=folders,
        )
        for name, ran in zip(usable, runs, strict=True):
            right = self.right_text(ran, advice=f"libggml-cpu-{name}{suffix} computes wrongly or crashes")
            states[name] = "passed" if right else "failed"
        self.findings.measured["cpu_variants"] = states

    def _loads(self, probe: Ran) -> str:
        """Say what became of a variant that was loaded alone."""
        advice = "it cannot be loaded; compare its undefined symbols with libggml-base"
        if not self.findings.ended(probe, advice=advice):
            return "failed"
        if _LOADED_CPU.search(probe.log):
            return "loads"
        if "is not supported on this system" in probe.log:
            return "not this processor's"
        self.findings.add(f"{probe.name} is neither loaded nor refused: {advice}", probe)
        return "failed"

    def driverless(self) -> None:
        """Run on a machine without a driver: a GPU bundle must still start, compute on the CPU and end cleanly."""
        if self.spec.device != "lavapipe":
            return
        advice = (
            "a machine without a Vulkan driver cannot use this bundle; a library that ggml closes again must be linked "
            "with -z nodelete"
        )
        listing = self.command(
            "llama-cli --list-devices without a driver", "{BUNDLE}/llama-cli", "--list-devices", **NO_DRIVER
        )
        text = self.generate("llama-completion without a driver", "-t", "1", "-ngl", "99", **NO_DRIVER)
        listed, generated = self.lab.run("smoke: no driver", [listing, text], folders=[self.model])
        self.findings.ended(listed, advice=advice)
        self.right_text(generated, advice=advice)

    def offloaded(self, backend: str, device: str) -> None:
        """Generate on a device: the same words, and the log must show that the layers were really there."""
        options = ("-t", "1", "-ngl", "99", "--device", device)
        ran = self.lab.run(
            f"smoke: {device}", [self.generate(f"llama-completion on {device}", *options)], folders=[self.model]
        )[0]
        if not self.right_text(ran, advice=f"the {backend} backend computes wrongly or crashes"):
            return
        layers = self.facts.layers + 1
        moved = [(int(some), int(all_)) for some, all_ in _OFFLOADED.findall(ran.stderr)]
        sizes = {
            kind: sum(map(float, re.findall(rf"\b{re.escape(device)} +{kind} buffer size = +([\d.]+) MiB", ran.stderr)))
            for kind in ("model", "compute")
        }
        self.findings.measured[f"offloaded_{backend}"] = "/".join(map(str, moved[-1])) if moved else None
        if moved != [(layers, layers)] or not all(sizes.values()):
            seen = moved[-1][0] if moved else "none"
            self.findings.add(
                f"{ran.name} fell back to the CPU: {seen} of its {layers} layers went to {device}, "
                f"with {sizes['model']} MiB of weights and {sizes['compute']} MiB of work space there; the {backend} "
                "library must take all of them",
                ran,
            )


def _on_cpu(threads: int) -> Sequence[str]:
    """Give the options that keep every GPU out, also for large batches."""
    return ("-t", str(threads), "-ngl", "0", "--device", "none")


def _words(stdout: str) -> tuple[str, ...]:
    """Take the generated words out of the program's output: without colours and the goodbye after them."""
    return tuple(_ESCAPE.sub("\n", stdout).replace(_GOODBYE, "").split())


def _wrong_commit(subject: Subject, line: str) -> str | None:
    """Compare what the program says of itself with BUILD_INFO.json; give the problem, or None."""
    source = subject.info.get("source")
    if not isinstance(source, dict) or "commit" not in source:
        return "BUILD_INFO.json names no source commit, so --version cannot be compared: pack the bundle again"
    pinned = source["commit"]
    expected = "local" if pinned is None else str(pinned)[:_COMMIT_DIGITS]
    words = re.findall(r"\w+", line.removeprefix("version:"))
    if any(
        word == expected or (pinned and len(word) > _COMMIT_DIGITS and str(pinned).startswith(word)) for word in words
    ):
        return None
    return (
        f"llama-cli --version prints {line!r}, but BUILD_INFO.json says commit {expected}: the program was built from "
        "another source, or without LLAMA_BUILD_COMMIT"
    )


class SmokeGate:
    """Runs the bundle in a bare image of the floor distribution, or on the host."""

    def __init__(
        self,
        *,
        find_lab: FindLab = open_lab,
        write_model: Callable[[Path], ModelFacts] = write_tiny_model,
        find_driver: FindDriver = host_lavapipe,
    ) -> None:
        """Take what finds a place to run programs and what writes the model; tests pass their own."""
        self.name = "smoke"
        self._find_lab = find_lab
        self._write_model = write_model
        self._find_driver = find_driver

    def check(self, subject: Subject) -> Verdict:
        """Run every step and collect all that is wrong."""
        spec = subject.cell.gates.smoke
        if spec is None:
            return skipped(self.name, "the cell has no gates.smoke in matrix.yaml")
        if spec.device in _GPUS:
            return skipped(self.name, f"needs {_GPUS[spec.device]}")
        if spec.device == "lavapipe" and not spec.devices:
            return failed(self.name, "device lavapipe without gates.smoke.devices checks no GPU; name those expected")
        try:
            return self._check(subject, spec)
        except NoLabError as error:
            return error.verdict(self.name)
        except LabInterruptedError:
            return skipped(self.name, "the run was cancelled")

    def _check(self, subject: Subject, spec: SmokeSpec) -> Verdict:
        deadline = parse_duration(spec.deadline)
        lab = self._find_lab(subject, gate=self.name, image=spec.image, deadline=deadline)
        environment = device_environment(spec.device, lab, self._find_driver)
        folder = subject.work / self.name / "model"
        folder.mkdir(parents=True, exist_ok=True)
        facts = self._write_model(folder / "tiny.gguf")
        findings = Findings(measured={"where": lab.where, "model_sha256": facts.sha256})
        run = _Run(
            subject=subject,
            spec=spec,
            lab=lab,
            facts=facts,
            model=Folder(name="MODEL", path=folder),
            environment=environment,
            findings=findings,
        )
        names: dict[str, str] = {}
        try:
            run.version()
            names = run.devices()
            run.text()
            run.variants()
            for backend, device in names.items():
                run.offloaded(backend, device)
            run.driverless()
        except StopError:
            findings.details.append("the remaining steps were not run")
        if findings.problems:
            more = f" (and {len(findings.problems) - 1} more)" if len(findings.problems) > 1 else ""
            return failed(self.name, findings.problems[0] + more, details=findings.details, **findings.measured)
        return passed(self.name, _summary(findings.measured, names.values()), **findings.measured)


def _summary(measured: dict[str, object], devices: Iterable[str]) -> str:
    """Say in one line what was proved."""
    where = ", ".join(["the CPU", *devices])
    states = measured.get("cpu_variants")
    parts = [f"generates the reference text on {where} ({measured['where']})"]
    if isinstance(states, dict) and states:
        parts.append(f"{sum(state == 'passed' for state in states.values())} of {len(states)} CPU variants run here")
    parts.append(f"starts in {measured['startup_ms']} ms")
    return "; ".join(parts)
