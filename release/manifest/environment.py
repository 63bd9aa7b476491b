"""Variables a client sets: only names on the allow-list, never the loader's, and only on the GPUs they are meant for.

Incident: a client set HSA_OVERRIDE_GFX_VERSION=10.3.0 for every AMD GPU; that is wrong on gfx1100, and an override on
gfx1103 ends in page faults. So a rule names its GPUs, and a rule for old versions of a project is left out for others.
"""

from __future__ import annotations

__all__ = ["environment_of", "is_allowed"]

import re

from pipeline.matrix.releases import names_a_path
from pipeline.matrix.spec import EnvironmentRule, Release
from release.manifest.measured import Facts
from release.manifest.records import Condition, Environment
from release.manifest.requires import rules_for

_ALLOWED = re.compile(r"(?:OLLAMA|GGML|HSA|HIP|ROCR|CUDA|VK)_[A-Z0-9_]+")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?P<rest>.*)", re.DOTALL)


def is_allowed(name: str) -> bool:
    """Tell whether a manifest may ask for this variable; LD_PRELOAD, HSA_TOOLS_LIB and their kin never are."""
    return _ALLOWED.fullmatch(name) is not None and not names_a_path(name)


def environment_of(facts: Facts, release: Release) -> tuple[Environment, ...]:
    """Give the variables of one bundle, in the order of matrix.yaml."""
    rules = (rule for rule in rules_for(facts.bundle, release) if _applies(rule, facts))
    return tuple(
        Environment(
            name=rule.name,
            value=rule.value,
            policy="if-unset",
            when=Condition(gfx=tuple(sorted(rule.gfx))),
            reason=" ".join(rule.reason.split()),
        )
        for rule in rules
    )


def _applies(rule: EnvironmentRule, facts: Facts) -> bool:
    """A bundle holds one version of its project, so the manifest need not leave that comparison to its readers."""
    if rule.engine_below is None:
        return True
    version = facts.bundle.inspection.info.source.version
    ours, limit = _comparable(version), _comparable(rule.engine_below)
    if ours is None or limit is None:
        facts.note(
            f"{rule.name} is for versions below {rule.engine_below!r}, which cannot be compared with {version!r}"
        )
        return False
    return ours < limit


def _comparable(text: str) -> tuple[tuple[int, ...], bool] | None:
    """Give numbers, then whether it is the release itself: 0.5.0-dev comes before 0.5.0."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part) for part in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), not match["rest"].startswith("-")
