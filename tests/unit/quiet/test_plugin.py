"""The plugin in a pytest of its own, where the figures of the host are made up."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.quiet import plugin, pressure
from tests.quiet.plugin import PROPERTY, TITLE
from tests.quiet.pressure import Pressure
from toolchain import gate

pytest_plugins = ["pytester"]

QUIET = Pressure(
    window_s=10, cores=2, others_cores=0.03, own_cores=0.4, steal_share=0.0, run_queue=0.6
)
STARVED = Pressure(
    window_s=10,
    cores=2,
    others_cores=1.31,
    own_cores=0.4,
    steal_share=0.0,
    run_queue=5.2,
    psi_cpu_some_share=0.83,
    psi_cpu_full_share=0.0,
)

#: A test that fails as often as it is told to, and says in `diary` what of it ran.
TEST = """
import pytest
from pathlib import Path

diary = Path("diary")

def note(what):
    with diary.open("a") as file:
        print(what, file=file)

@pytest.fixture(scope="class")
def stack():
    note("stack up")
    yield
    note("stack down")

@pytest.fixture
def shop(stack):
    note("shop")
    yield
    note("no shop")

class TestLife:
    {mark}
    def test_an_update(self, shop):
        note("call")
        assert diary.read_text().split().count("call") > {failures}, "lost"

    def test_after_it(self, stack):
        note("after it")
"""


class Inner:
    """Runs TEST under a host that is first this way and then that."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch

    def run(
        self, *figures: Pressure, failures: int, mark: str = "@pytest.mark.measures_host"
    ) -> pytest.RunResult:
        left = list(figures)

        class Watch:
            def close(self) -> Pressure:
                return left.pop(0)

        self._monkeypatch.setattr(pressure, "Watch", Watch)
        self._pytester.makepyfile(TEST.format(mark=mark, failures=failures))
        result = self._pytester.runpytest_inprocess(
            "--strict-markers", "--junit-xml=record.xml", "-rA", plugins=[plugin]
        )
        assert not left
        return result

    @property
    def diary(self) -> list[str]:
        return (self._pytester.path / "diary").read_text().splitlines()

    @property
    def records(self) -> list[dict[str, object]]:
        """Return the figures in the JUnit record, attempt by attempt."""
        root = ElementTree.parse(self._pytester.path / "record.xml")
        return [
            json.loads(found.get("value", ""))
            for found in root.iter("property")
            if found.get("name") == PROPERTY
        ]


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    # Its gate is none: the one outside belongs to the tests outside.
    monkeypatch.delenv(gate.VARIABLE, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return Inner(pytester, monkeypatch)


ONCE = ["stack up", "shop", "call", "no shop", "after it", "stack down"]
TWICE = ["stack up", *ONCE[1:4], *ONCE[1:]]


def test_what_passes_is_not_repeated(inner: Inner) -> None:
    result = inner.run(QUIET, failures=0)
    result.assert_outcomes(passed=2)
    assert inner.diary == ONCE
    assert TITLE not in result.stdout.str()


def test_what_passes_on_a_starved_host_is_not_repeated(inner: Inner) -> None:
    result = inner.run(STARVED, failures=0)
    result.assert_outcomes(passed=2)
    assert inner.diary == ONCE
    assert TITLE not in result.stdout.str()


def test_what_fails_on_a_quiet_host_has_failed(inner: Inner) -> None:
    result = inner.run(QUIET, failures=1)
    result.assert_outcomes(passed=1, failed=1)
    assert inner.diary == ONCE
    assert TITLE not in result.stdout.str()
    result.stdout.fnmatch_lines(["E*the host was quiet: others took 0.03 of 2 cores, *"])


def test_what_failed_on_a_starved_host_counts_as_it_is_repeated(inner: Inner) -> None:
    result = inner.run(STARVED, QUIET, failures=1)
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 2, "repeated": 1}
    assert inner.diary == TWICE
    result.stdout.fnmatch_lines(
        [
            f"*{TITLE}*",
            "*::test_an_update: others took 1.31 of 2 cores, PSI some 83 %, steal 0 %,"
            " run queue 5.2; then passed (others took 0.03 of 2 cores, PSI some unknown,*",
        ]
    )


def test_what_fails_twice_has_failed(inner: Inner) -> None:
    result = inner.run(STARVED, STARVED, failures=2)
    assert result.parseoutcomes() == {"passed": 1, "failed": 1, "repeated": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert inner.diary == TWICE
    result.stdout.fnmatch_lines(
        [
            "E*the host was starved by others: others took 1.31 of 2 cores, *",
            "*the attempt before*",
            f"*{TITLE}*",
            "*::test_an_update: others took 1.31 *; then failed (others took 1.31 *",
        ]
    )


def test_it_is_repeated_once_however_starved_the_host_is(inner: Inner) -> None:
    inner.run(STARVED, STARVED, failures=3)
    assert inner.diary.count("call") == 2


def test_what_does_not_measure_the_host_is_never_repeated(inner: Inner) -> None:
    result = inner.run(failures=1, mark="")
    result.assert_outcomes(passed=1, failed=1)
    assert inner.diary == ONCE


def test_a_setup_that_fails_is_not_repeated(inner: Inner, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "import pytest\n\n"
        "@pytest.fixture(autouse=True)\n"
        "def _deployed(request):\n"
        "    assert request.node.name == 'test_after_it'\n"
    )
    result = inner.run(failures=0)
    result.assert_outcomes(passed=1, errors=1)


def test_a_fixture_whose_end_fails_stays_a_fault(inner: Inner, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "import pytest\n\n"
        "@pytest.fixture(autouse=True)\n"
        "def _clean():\n"
        "    yield\n"
        "    assert open('diary').read().count('call') != 1\n"
    )
    result = inner.run(STARVED, QUIET, failures=1)
    assert result.parseoutcomes() == {"passed": 2, "repeated": 1, "errors": 1}


def test_the_figures_are_in_the_record(inner: Inner) -> None:
    inner.run(STARVED, QUIET, failures=1)
    first, second = inner.records
    assert (first["attempt"], first["outcome"], first["starved"]) == (1, "failed", True)
    assert (second["attempt"], second["outcome"], second["starved"]) == (2, "passed", False)
    assert Pressure.of(first) == STARVED
    assert Pressure.of(second) == QUIET


def test_only_the_call_is_alone(
    inner: Inner,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A lock that others could have at that moment says how the gate is held."""
    monkeypatch.setenv(gate.VARIABLE, str(tmp_path / "gate"))
    pytester.makeconftest(
        "import fcntl, os, pytest\n\n"
        "def free(how):\n"
        f"    with open({str(tmp_path / 'gate' / 'room')!r}) as room:\n"
        "        try:\n"
        "            fcntl.flock(room, how | fcntl.LOCK_NB)\n"
        "            return True\n"
        "        except BlockingIOError:\n"
        "            return False\n\n"
        "def held():\n"
        "    if free(fcntl.LOCK_EX):\n"
        "        return 'free'\n"
        "    return 'beside' if free(fcntl.LOCK_SH) else 'alone'\n\n"
        "def note(node, when):\n"
        "    with open('held', 'a') as file:\n"
        "        print(node.name, when, held(), file=file)\n\n"
        "def pytest_itemcollected(item):\n"
        "    note(item, 'collected')\n\n"
        "@pytest.fixture(autouse=True)\n"
        "def _held(request):\n"
        "    note(request.node, 'setup')\n"
        "    yield\n"
        "    note(request.node, 'teardown')\n\n"
        "def pytest_runtest_call(item):\n"
        "    note(item, 'call')\n\n"
        "def pytest_sessionfinish(session):\n"
        "    note(session, 'end')\n"
    )
    inner.run(STARVED, QUIET, failures=1)
    attempt = [f"test_an_update {w}" for w in ("setup beside", "call alone", "teardown beside")]
    assert (pytester.path / "held").read_text().splitlines() == [
        "test_an_update collected beside",
        "test_after_it collected beside",
        *attempt,
        *attempt,
        *(f"test_after_it {when} beside" for when in ("setup", "call", "teardown")),
        " end free",
    ]


@pytest.mark.parametrize(
    ("change", "starved"),
    [
        ({"others_cores": 0.25}, False),
        ({"others_cores": 0.26}, True),
        ({"others_cores": 0.26, "cores": 16}, False),
        ({"steal_share": 0.05}, False),
        ({"steal_share": 0.051}, True),
        # Of these the tests have their part, so they judge nothing.
        ({"run_queue": 9.0, "psi_cpu_some_share": 0.99, "own_cores": 2.0}, False),
    ],
)
def test_from_where_on_a_host_is_starved(change: dict[str, float], starved: bool) -> None:
    assert Pressure.of({**QUIET.record(), **change}).starved is starved
