"""The pytest plugin: who goes beside others, who alone, and the one repeat.

A test marked `measures_host` makes its call alone, and the report says what others took meanwhile.
If it failed while they starved the host it is repeated, once: whether the program or the host was
at fault can't be told then. Nothing else is ever repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol

from tests.quiet import pressure
from toolchain.gate import Gate

MARKER: Final = "measures_host"
#: The user property with an attempt's figures, as JSON: in the reports and in the JUnit record.
PROPERTY: Final = "host_pressure"
#: The outcome of a call that does not count, as another one takes its place.
REPEATED: Final = "repeated"
TITLE: Final = "repeated, as others starved the host"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and what acts on it."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}: its truth depends on the host, which it has to itself (docs/tests.md)",
    )
    gate = Gate.find()
    config.pluginmanager.register(Beside(gate), "triptych-beside")
    config.pluginmanager.register(HostTests(gate), "triptych-host-tests")


class Beside:
    """Whatever pytest does with a test, from its set-up to its end, it does beside others."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Collect beside others: that keeps a core busy as well."""
        with self._gate.beside():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Run a test beside others."""
        with self._gate.beside():
            return (yield)


class _Attempts:
    """What is known of a test's calls: how the host was, and whether another one is due."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        self.figures: list[pressure.Pressure] = []
        self.repeat = False


_attempts = pytest.StashKey[_Attempts]()


class _Next(pytest.Item):
    """What comes after a test: itself once more, or the test after it.

    What a test's end leaves standing depends on that, and it is known only when the call is over.
    As a sibling of the test it keeps everything but the test's own fixtures.
    """

    def __init__(self, *, attempts: _Attempts, after: pytest.Item | None, **more: Any) -> None:
        super().__init__(**more)
        self._attempts = attempts
        self._after = after

    def listchain(self) -> list[pytest.Item | pytest.Collector]:  # type: ignore[override]
        """Return what has to be there for it."""
        if self._attempts.repeat:
            return super().listchain()  # type: ignore[return-value]
        return self._after.listchain() if self._after else []  # type: ignore[return-value]

    def runtest(self) -> None:
        """Refuse: it only stands for another one."""
        raise NotImplementedError


class HostTests:
    """Runs the tests that measure the host."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Make the call alone, and look at what others take; a failure's text says it."""
        if _attempts not in item.stash:
            return (yield)
        attempts = item.stash[_attempts]
        asked_s = time.monotonic()
        with self._gate.alone():
            attempts.waited_s = time.monotonic() - asked_s
            watch = pressure.Watch()
            try:
                result = yield
            except BaseException as error:
                attempts.figures.append(watch.close())
                error.add_note(_in_words(attempts.figures[-1]))
                raise
            attempts.figures.append(watch.close())
            return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the figures into the report, and decide whether the call counts."""
        report = yield
        attempts = item.stash.get(_attempts, None)
        if attempts is None or call.when != "call" or not attempts.figures:
            return report
        # To wait for the gate is no part of the test.
        report.duration -= attempts.waited_s
        figures = attempts.figures[-1]
        number = len(attempts.figures)
        record = {"attempt": number, "outcome": report.outcome, **figures.record()}
        item.user_properties.append((PROPERTY, json.dumps(record)))
        report.user_properties = list(item.user_properties)
        ends = item.session.shouldstop or item.session.shouldfail
        attempts.repeat = report.failed and figures.starved and number == 1 and not ends
        return report

    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a test that measures the host, and once more if that is due."""
        if item.get_closest_marker(MARKER) is None:
            return None
        attempts = item.stash[_attempts] = _Attempts()
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        assert item.parent is not None
        following: pytest.Item = _Next.from_parent(
            item.parent, name=item.name, attempts=attempts, after=nextitem
        )
        reports = runtestprotocol(item, log=False, nextitem=following)
        if attempts.repeat:
            attempts.repeat = False
            first = next(report for report in reports if report.when == "call")
            reports = [
                _set_aside(first),
                # A fixture's end that failed is a fault whatever the host was like.
                *(report for report in reports if report.when == "teardown" and report.failed),
                *_after(first, runtestprotocol(item, log=False, nextitem=nextitem)),
            ]
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True


def _in_words(figures: pressure.Pressure) -> str:
    state = "starved by others" if figures.starved else "quiet"
    return f"the host was {state}: {figures}"


def _set_aside(report: pytest.TestReport) -> pytest.TestReport:
    report.outcome = REPEATED  # type: ignore[assignment]
    return report


def _after(first: pytest.TestReport, reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
    """Return an attempt's reports; one that failed says how the attempt before it did."""
    for report in reports:
        if report.failed:
            report.sections.append(("the attempt before", first.longreprtext))
    return reports


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, object] | None:
    """Count what does not count apart, and show it."""
    outcome: str = report.outcome
    if outcome == REPEATED:
        return REPEATED, "R", (REPEATED.upper(), {"yellow": True})
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each test that was repeated, and say how the host was both times."""
    stats = terminalreporter.stats
    if not stats.get(REPEATED):
        return
    terminalreporter.section(TITLE)
    for first in stats[REPEATED]:
        again = [
            report
            for category, reports in stats.items()
            if category != REPEATED
            for report in reports
            if isinstance(report, pytest.TestReport) and report.nodeid == first.nodeid
        ]
        records = [
            json.loads(str(value))
            for name, value in max((report.user_properties for report in again), key=len)
            if name == PROPERTY
        ]
        before, *then = [pressure.Pressure.of(record) for record in records]
        # There is no second one where the repeat's set-up failed.
        outcome = f"{records[1]['outcome']} ({then[0]})" if then else "failed in its set-up"
        terminalreporter.line(f"{first.nodeid}: {before}; then {outcome}")
