"""A pytest inside a pytest: its tests show and count in the outer one.

The inner one, a process of its own with this module as plugin, writes each report to a pipe; the
outer one takes them for its own. So the suites that know a shop only by its address can be run
against a stack while it is up, and the last line of `make test` counts them too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import pytest

_PIPE = "TRIPTYCH_REPORTS_FD"


def run_inside(
    request: pytest.FixtureRequest, label: str, *arguments: str, environment: Mapping[str, str]
) -> None:
    """Run pytest with these arguments; its tests appear as `label::test`. Fail if one does."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile("w+") as output:
        inner = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", __name__, "-p", "no:cacheprovider", *arguments],
            cwd=request.config.rootpath,
            env={**environment, _PIPE: str(writer)},
            pass_fds=(writer,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        os.close(writer)
        counted = failed = 0
        try:
            with os.fdopen(reader) as reports:
                for line in reports:
                    report = _report(request.config, json.loads(line), label)
                    counted += report.when == "call"
                    failed += report.failed
                    _take_over(request, report)
            code = inner.wait()
        finally:
            inner.kill()
            inner.wait()
        output.seek(0)
        assert code in (0, 1), f"pytest {' '.join(arguments)}: code {code}\n{output.read()}"
    assert counted > 0, f"{label}: no tests"
    assert failed == 0, f"{label}: {failed} of {counted} tests failed"
    assert code == 0


def _report(config: pytest.Config, data: dict[str, Any], label: str) -> pytest.TestReport:
    report: pytest.TestReport = config.hook.pytest_report_from_serializable(
        config=config, data=data
    )
    report.nodeid = f"{label}::{report.nodeid}"
    return report


def _take_over(request: pytest.FixtureRequest, report: pytest.TestReport) -> None:
    session = request.session
    if report.when == "call":
        session.testscollected += 1
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        request.node.ihook.pytest_runtest_logreport(report=report)


class _Forwarder:
    """Hands each report on, in the inner pytest."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._pipe = int(os.environ[_PIPE])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        os.write(self._pipe, json.dumps(data).encode() + b"\n")


def pytest_configure(config: pytest.Config) -> None:
    """Begin, where this module is a plugin: in the inner pytest."""
    config.pluginmanager.register(_Forwarder(config))
