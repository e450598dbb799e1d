"""A pytest plugin: every report goes into the record of the suite, as one line of JSON.

With CI=true a test that is skipped has failed: the machine lacks something that it should have.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests.support.record import MEASURED, note

_REASON_CHARACTERS = 600


def _demands_all() -> bool:
    return os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where nothing may be left out."""
    report = yield
    if report.skipped and _demands_all():
        report.outcome = "failed"
        report.longrepr = f"not run, and with CI=true everything is: {_reason(report)}"
    return report


class _Measured:
    """Says when all that measures the host is over: others may begin then."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """See what there is of it."""
        self._left = {
            item.nodeid for item in session.items if item.get_closest_marker("measures_host")
        }
        self._tell_at_the_end()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """One less, or none of it."""
        if nodeid in self._left:
            self._left.remove(nodeid)
            self._tell_at_the_end()

    def _tell_at_the_end(self) -> None:
        if not self._left:
            note(MEASURED)


def pytest_configure(config: pytest.Config) -> None:
    """Watch what measures the host."""
    config.pluginmanager.register(_Measured())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a report down."""
    note(
        "test",
        name=report.nodeid,
        phase=report.when,
        outcome=report.outcome,
        took_s=round(report.duration, 3),
        reason=_reason(report) if report.outcome != "passed" else "",
        properties=dict(report.user_properties),
    )


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    if isinstance(report.longrepr, tuple):  # of a skip: file, line, why
        text = str(report.longrepr[2])
    else:
        text = str(crash.message if crash else report.longrepr)
    return " ".join(text.split())[:_REASON_CHARACTERS]
