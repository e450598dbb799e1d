"""A pytest inside a pytest: its tests show and count in the outer one.

The inner one, a process of its own with this module as plugin, hands on each report through a
pipe; the outer one takes them for its own. So the suites that know a shop only by its address run
against a stack while it is up, several beside each other, and `make test` counts their tests too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from toolchain.gate import stepped_aside

_PIPE = "TRIPTYCH_REPORTS_FD"


class Inner:
    """A pytest that runs beside this one; `label` stands before its tests' names."""

    def __init__(
        self, config: pytest.Config, label: str, *arguments: str, environment: Mapping[str, str]
    ) -> None:
        self._config = config
        self._label = label
        self._arguments = arguments
        self._reports: list[dict[str, Any]] = []
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `stop`
        reader, writer = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "--live", "-p", __name__),
                    *("-p", "no:cacheprovider", *arguments),
                ],
                cwd=config.rootpath,
                env={**environment, _PIPE: str(writer)},
                pass_fds=(writer,),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
            )
        finally:
            os.close(writer)
        self._listener = threading.Thread(target=self._listen, args=(reader,), daemon=True)
        self._listener.start()

    def _listen(self, reader: int) -> None:
        with os.fdopen(reader) as lines:
            for line in lines:
                self._reports.append(json.loads(line))

    def finish(self, request: pytest.FixtureRequest) -> None:
        """Wait for its end and take over its reports. Fail if a test of it did."""
        with stepped_aside():
            code = self._process.wait()
            self._listener.join()
        counted = failed = 0
        for data in self._reports:
            report = self._report(data)
            counted += report.when == "call"
            failed += report.failed
            _take_over(request, report)
        self._output.seek(0)
        said = self._output.read()
        command = f"pytest {' '.join(self._arguments)}"
        assert code in (0, 1), f"{command}: code {code}\n{said}"
        assert counted > 0, f"{self._label}: no tests\n{said}"
        assert failed == 0, f"{self._label}: {failed} of {counted} tests failed"
        assert code == 0, f"{command}: code {code}\n{said}"

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._output.close()

    def _report(self, data: dict[str, Any]) -> pytest.TestReport:
        report: pytest.TestReport = self._config.hook.pytest_report_from_serializable(
            config=self._config, data=data
        )
        report.nodeid = f"{self._label}::{report.nodeid}"
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
    if _PIPE in os.environ:
        config.pluginmanager.register(_Forwarder(config))
