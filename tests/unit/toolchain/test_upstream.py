"""Upstream releases: whether they are reached, and what their checksums say."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable

import pytest

from toolchain import upstream
from toolchain.errors import ToolchainError


def test_checksums_must_list_the_file() -> None:
    sums = f"{'a' * 64} *one\nshort two\n"
    assert upstream.checksum_for(sums, "one") == "a" * 64
    with pytest.raises(ToolchainError, match="do not list two"):
        upstream.checksum_for(sums, "two")


def test_only_https_is_fetched() -> None:
    with pytest.raises(ToolchainError, match="anything but https"):
        upstream.fetch("http://example.invalid/x")


@pytest.fixture
def fresh_probe() -> Callable[[], None]:
    upstream._probe.cache_clear()
    return upstream._probe.cache_clear


def test_releases_are_probed_once_for_the_run(
    fresh_probe: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(self: http.client.HTTPConnection, *_: object, **__: object) -> None:
        asked.append(self.host)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(http.client.HTTPSConnection, "request", refuse)
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(upstream.reachable())) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh_probe()
    assert answers == [False] * 5
    assert asked == ["github.com"]


def test_a_name_server_that_never_answers_costs_only_the_limit(
    fresh_probe: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    release_it = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release_it.wait(10)

    monkeypatch.setattr(http.client.HTTPSConnection, "request", hang)
    monkeypatch.setattr(upstream, "PROBE_S", 0.1)
    try:
        assert upstream.reachable() is False
    finally:
        release_it.set()
        fresh_probe()


def test_checksums_may_be_of_one_file_alone() -> None:
    assert upstream.checksum_for("A" * 64 + "\n", "kubectl") == "a" * 64
