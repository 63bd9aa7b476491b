"""Unit tests reach no network, no Docker and no other process unless they say so with a marker."""

from __future__ import annotations

import socket
import subprocess
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.github import contract
from tests.github.fake import FakeGitHub

# Examples are the same in every run and take the time they take: a busy machine must not fail what is right.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-docker", action="store_true", help="run the tests that need a Docker engine")
    parser.addoption("--run-browser", action="store_true", help="run the tests that render pages in chromium")
    parser.addoption("--run-tools", action="store_true", help="run the tests that need minisign, gh and cosign")
    parser.addoption("--run-rsign", action="store_true", help="run the tests that need rsign2, which Debian lacks")
    parser.addoption("--run-network", action="store_true", help="run the tests that reach a package registry")
    parser.addoption("--bundles", metavar="DIR", help="run the tests that need really built bundles, found in DIR")
    parser.addoption(
        "--no-contract", action="store_true", help="do without GitHub's API description, which is not in the repository"
    )
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")


def pytest_configure(config: pytest.Config) -> None:
    """Hold every exchange with the fake GitHub to GitHub's own description, unless that was declined in so many words.

    From here on, for the fakes of module fixtures too: these start before any test's own fixture.
    """
    contract.held = not config.getoption("--no-contract")
    if contract.held and not (contract.DATA / contract.DESCRIPTION).is_file():
        msg = f"GitHub's API description is not in {contract.DATA}; --no-contract runs the tests without it"
        raise pytest.UsageError(msg)
    FakeGitHub.observers.append(contract.check)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what is not looked at."""
    if config.getoption("--no-contract"):
        return "contract: NOT checked, exchanges with the fake GitHub are not held to its description (--no-contract)"
    return None


_NEEDS = {
    "docker": "--run-docker",
    "browser": "--run-browser",
    "network": "--run-network",
    "bundle": "--bundles",
    "tools": "--run-tools",
    "rsign": "--run-rsign",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, rather than skip, what was not asked for: a skip would look like something that ran."""
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        needs = [option for mark, option in _NEEDS.items() if item.get_closest_marker(mark)]
        wanted = all(config.getoption(option) for option in needs)
        wanted = wanted and (contract.held or item.get_closest_marker("contract") is None)
        (kept if wanted else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.fixture(autouse=True)
def _contract(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold every exchange with the fake GitHub to its own description, but where a test breaks it on purpose."""
    if request.node.get_closest_marker("off_contract") is not None:
        monkeypatch.setattr(FakeGitHub, "observers", [])


@pytest.fixture(autouse=True)
def _protect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an unmarked test that reaches out fail at the call, with a message that says why."""
    marks = {mark.name for mark in request.node.iter_markers()}

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        msg = "this test is not marked docker, process, network, loopback, tools or bundle, so it may not reach out"
        raise AssertionError(msg)

    if marks & {"docker", "process", "network", "bundle", "browser", "tools"}:
        return
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    if "loopback" not in marks:
        monkeypatch.setattr(socket.socket, "connect", refuse)
