"""Which suites run beside each other."""

from __future__ import annotations

import pytest

from tests.runner.lanes import Room, in_order, next_to_start, remaining_s
from tests.runner.suites import SUITES, Suite, chosen


def suite(name: str, cores: float, memory_mib: int = 100, usually_s: float = 60) -> Suite:
    return Suite(name, (), cores, memory_mib, usually_s)


HUNGRY, HUNGRIER = suite("hungry", 1.2), suite("hungrier", 1.6)
WAITS, WAITS_TOO = suite("waits", 0.3), suite("waits too", 0.4)
TWO_CORES = Room(2, 1000)


def test_two_hungry_ones_never_run_at_once() -> None:
    assert next_to_start([HUNGRIER], [HUNGRY], TWO_CORES) is None
    # However many cores others leave them.
    a_little_more = suite("a little more", 1.1)
    assert next_to_start([a_little_more], [suite("another", 1.1)], TWO_CORES) is None
    assert next_to_start([a_little_more], [suite("another", 1.1)], Room(4, 1000)) is a_little_more


def test_cores_are_shared_out_but_a_little_more_than_there_are() -> None:
    half = suite("half", 1.0)
    assert next_to_start([half], [HUNGRY], TWO_CORES) is half
    assert next_to_start([half], [HUNGRIER], TWO_CORES) is None


def test_what_waits_runs_beside_what_works() -> None:
    assert next_to_start([HUNGRIER, WAITS], [HUNGRY], TWO_CORES) is WAITS
    assert next_to_start([WAITS_TOO], [HUNGRY, WAITS], TWO_CORES) is WAITS_TOO


def test_memory_is_kept_to() -> None:
    large = suite("large", 0.1, memory_mib=950)
    assert next_to_start([large], [WAITS], TWO_CORES) is None


def test_what_fits_nowhere_runs_alone() -> None:
    huge = suite("huge", 8.0, memory_mib=9000)
    assert next_to_start([huge], [], TWO_CORES) is huge


def test_what_measures_the_host_runs_at_the_end_with_nothing_beside_it() -> None:
    alone = Suite("alone", (), 0.1, 10, 500, alone=True)
    assert next_to_start([alone, WAITS], [], TWO_CORES) is WAITS
    assert next_to_start([alone], [WAITS], TWO_CORES) is None
    assert next_to_start([alone], [], TWO_CORES) is alone
    assert next_to_start([WAITS], [alone], TWO_CORES) is None
    assert remaining_s([alone, WAITS], {}, TWO_CORES, {}) == pytest.approx(560)


def test_what_begins_with_measurements_is_first_and_joins_nobody() -> None:
    first = Suite("first", (), 0.1, 10, 5, measures_first=True)
    assert in_order([HUNGRY, first], {}) == [first, HUNGRY]
    assert next_to_start([first], [WAITS], TWO_CORES) is None
    assert next_to_start([first], [], TWO_CORES) is first
    # Others may join it; when, the run sees.
    assert next_to_start([WAITS], [first], TWO_CORES) is WAITS


def test_the_longest_is_first_by_its_last_time() -> None:
    slow, quick = suite("slow", 1, usually_s=90), suite("quick", 1, usually_s=10)
    assert in_order([quick, slow], {}) == [slow, quick]
    assert in_order([quick, slow], {"quick": 500.0}) == [quick, slow]


def test_what_is_left_is_played_through() -> None:
    # One after the other, and what waits beside them.
    waiting = [HUNGRY, HUNGRIER, WAITS]
    assert remaining_s(waiting, {}, TWO_CORES, {}) == pytest.approx(120)
    assert remaining_s([], {HUNGRY: 20.0}, TWO_CORES, {}) == pytest.approx(20)


def test_suites_are_chosen_by_name() -> None:
    assert chosen("") == SUITES
    assert [one.name for one in chosen("units, docker")] == ["units", "docker"]
    with pytest.raises(KeyError, match="nonsense"):
        chosen("units,nonsense")


def test_no_two_suites_have_the_same_name() -> None:
    assert len({one.name for one in SUITES}) == len(SUITES)
