"""A fault of the program is found on a starved host as well, and no repeat hides it.

The same check as the real update's (tests/e2e), of a gateway that loses one request in a hundred
while it is updated, and of one that loses none; beside them a process keeps each core busy.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from probe.vegeta import Answer, Attack, Request
from tests.quiet import pressure
from tests.quiet.plugin import TITLE
from tests.support.probe_server import Shop, serve
from toolchain import gate

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
PATHS = ("/", "/health/ready", "/api/v1/products", "/api/v1/orders")
#: As much as 200 requests, against waiting for ever: half of them are enough.
RATE = 20
SECONDS = 10
#: So many requests are answered before the update, and so many while it lasts.
BEFORE, MEANWHILE = 5, 101
_HANGS_S = 60


class Gateway(Shop):
    """A gateway that loses each hundredth request while it is updated, if it is a bad one."""

    def __init__(self, *, bad: bool) -> None:
        super().__init__()
        self._bad = bad
        self._updating = False
        self._asked = itertools.count(1)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        good = super().answer(method, path, body)
        if self._bad and self._updating and next(self._asked) % 100 == 0:
            # As a gateway answers when the process behind it has gone.
            return 502, {"title": "bad gateway"}
        return good

    def update(self) -> None:
        """Be updated in the midst of an attack."""
        self._await(BEFORE)
        self._updating = True
        self._await(BEFORE + MEANWHILE)
        self._updating = False

    def _await(self, requests: int) -> None:
        deadline_s = time.monotonic() + _HANGS_S
        while len(self.requests) < requests:
            assert time.monotonic() < deadline_s, f"{len(self.requests)} requests came"
            time.sleep(0.02)


def update(folder: Path, *, bad: bool) -> list[Answer]:
    """Update a gateway while customers look around; return what answers they got."""
    with serve(folder, Gateway(bad=bad)) as gateway:
        requests = [Request("GET", path) for path in PATHS]
        attack = Attack(
            gateway.url, requests, rate=RATE, seconds=SECONDS, ca=gateway.ca_certificate
        )
        try:
            gateway.update()
        finally:
            answers = attack.stop()
    return answers


INNER = """
import pytest

from tests.support.updates import assert_none_lost
from tests.tools.test_faults_under_load import update

@pytest.mark.measures_host
def test_an_update(tmp_path):
    assert_none_lost(update(tmp_path, bad={bad}))
"""
#: Ends with its input, and so with the process that started it.
BUSY = """
import os
import threading

threading.Thread(target=lambda: os.read(0, 1) or os._exit(0)).start()
while True:
    pass
"""


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep each core busy with a process that belongs to no test within."""
    with ExitStack() as started:
        for _ in range(os.cpu_count() or 1):
            process = started.enter_context(
                subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE)
            )
            started.callback(process.kill)
        yield


@pytest.fixture
def run_inner(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Return what runs an update's test in a pytest of its own, on a host that is starved."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # It is on its own: what keeps the cores busy is not of its process tree, so another's.
    monkeypatch.delenv(gate.VARIABLE, raising=False)
    monkeypatch.delenv(pressure.RUNNER, raising=False)

    def run(*, bad: bool) -> pytest.RunResult:
        pytester.makepyfile(INNER.format(bad=bad))
        with busy_cores():
            return pytester.runpytest_subprocess("-p", "tests.quiet.plugin", "--strict-markers")

    return run


# Nobody else could measure anything beside it.
@pytest.mark.measures_host
class TestStarved:
    def test_an_update_that_loses_requests_fails_both_times(
        self, run_inner: Callable[..., pytest.RunResult]
    ) -> None:
        result = run_inner(bad=True)
        assert result.parseoutcomes() == {"failed": 1, "repeated": 1}
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "E*AssertionError: 1 of * requests were lost: *502 Bad Gateway*",
                "*the host was starved by others*",
                f"*{TITLE}*",
                "*::test_an_update: others took *; then failed (others took *",
            ]
        )

    def test_an_update_that_loses_none_passes(
        self, run_inner: Callable[..., pytest.RunResult]
    ) -> None:
        result = run_inner(bad=False)
        assert result.parseoutcomes() == {"passed": 1}
