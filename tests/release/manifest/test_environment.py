"""Variables: an allow-list, conditions, and rules for versions that this bundle does not have."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.matrix.spec import EnvironmentRule, Release
from release.manifest.environment import environment_of, is_allowed
from release.manifest.measured import Facts
from release.manifest.records import Condition, Environment
from tests.release.builders import load_matrix
from tests.release.manifest.paper import GPU_TEXT, facts_of

CPU = "llama.cpp/linux-x86_64/cpu"
FOUND = load_matrix(GPU_TEXT).file.release
assert FOUND is not None
RULES: Release = FOUND


def rules(**values: object) -> Release:
    given = {"cells": "*/*/*", "name": "GGML_TEST", "value": "1", "reason": "a\n  test", **values}
    rule = msgspec.convert(given, EnvironmentRule)
    return msgspec.structs.replace(RULES, environment=(rule,))


@pytest.mark.parametrize(
    "name",
    ["OLLAMA_VULKAN", "GGML_VK_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION", "HIP_X", "ROCR_X", "CUDA_X", "VK_X"],
)
def test_what_may_be_set(name: str) -> None:
    assert is_allowed(name)


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PATH", "HOME", "GGML_", "GGML_x", "ggml_A", "XGGML_A",
     "GGML_A\n", "GGML_A=B", "CUDA", "", "HSA_TOOLS_LIB", "CUDA_INJECTION64_PATH", "VK_ICD_FILENAMES",
     "VK_DRIVER_FILES", "VK_ADD_LAYER_PATH", "OLLAMA_LLM_LIBRARY"],
)  # fmt: skip
def test_what_may_never_be_set(name: str) -> None:
    assert not is_allowed(name)


@given(st.text(max_size=12))
def test_the_loaders_variables_never_are(rest: str) -> None:
    assert not is_allowed(f"LD_{rest}")
    assert not is_allowed(f"DYLD_{rest}")


def test_a_variable_with_its_condition() -> None:
    assert environment_of(facts_of(CPU), rules(gfx=["gfx1102", "gfx1101"])) == (
        Environment(
            name="GGML_TEST",
            value="1",
            policy="if-unset",
            when=Condition(gfx=("gfx1101", "gfx1102")),
            reason="a test",
        ),
    )


def test_a_rule_for_other_cells() -> None:
    assert environment_of(facts_of(CPU), rules(cells="*/*/{vulkan,all}")) == ()


def of_version(version: str) -> Facts:
    facts = facts_of(CPU)
    info = facts.bundle.inspection.info
    changed = msgspec.structs.replace(info, source=msgspec.structs.replace(info.source, version=version))
    return Facts(
        dataclasses.replace(facts.bundle, inspection=dataclasses.replace(facts.bundle.inspection, info=changed))
    )


@pytest.mark.parametrize(
    ("version", "below", "applies"),
    [
        ("0.29.9", "0.30", True),
        ("0.30.0", "0.30", False),
        ("0.30", "0.30.0", False),
        ("0.30.0-rc1", "0.30", True),
        ("0.31.0-dev", "0.30", False),
        ("0.9", "0.30", True),
        ("1.0", "0.30", False),
        ("v0.29", "0.30", True),
    ],
)
def test_a_rule_for_old_versions(version: str, below: str, applies: bool) -> None:
    facts = of_version(version)

    assert bool(environment_of(facts, rules(engine_below=below))) is applies
    assert facts.problems == []


def test_versions_that_cannot_be_compared() -> None:
    facts = of_version("nightly")

    assert environment_of(facts, rules(engine_below="0.30")) == ()
    assert facts.problems == [f"{CPU}: GGML_TEST is for versions below '0.30', which cannot be compared with 'nightly'"]
