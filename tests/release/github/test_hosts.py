from __future__ import annotations

import pytest

from release.github.hosts import is_loopback, is_own_address


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "0.0.0.0", "::2", "api.github.com"]
)
def test_other_machines_are_not_this_one(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/api", "http://[::1]:1", "http://localhost"])
def test_addresses_of_this_machine(url: str) -> None:
    assert is_own_address(url)


@pytest.mark.parametrize(
    "url", ["https://api.github.com", "http://127.0.0.1@evil.example", "http://[::1", "", "localhost", "file:///x"]
)
def test_addresses_of_others_and_of_nobody(url: str) -> None:
    assert not is_own_address(url)
