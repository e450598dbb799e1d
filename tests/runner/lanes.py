"""Which suites run beside each other: the longest first, as cores and memory allow.

Two that are hungry, as they take more than half of all cores, never run at once; what mostly waits
runs beside what works. What fits nowhere runs alone. What measures the host does so before all
others begin, or at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tests.runner.suites import Suite

#: What the suites' cores may add up to, of each core that there is: no suite works all the time.
MOST_PER_CORE = 1.25


@dataclass(frozen=True)
class Room:
    """What there is for the suites together."""

    cores: int
    memory_mib: int

    def fits(self, suite: Suite, running: Collection[Suite]) -> bool:
        """Tell whether a suite may run beside these."""
        together = (*running, suite)
        if not running:
            return True
        if suite.measures_first or any(one.alone for one in together):
            return False
        return (
            sum(self._is_hungry(one) for one in together) <= 1
            and sum(one.cores for one in together) <= self.cores * MOST_PER_CORE
            and sum(one.memory_mib for one in together) <= self.memory_mib
        )

    def _is_hungry(self, suite: Suite) -> bool:
        return suite.cores > self.cores / 2


def in_order(suites: Sequence[Suite], last_s: Mapping[str, float]) -> list[Suite]:
    """Return the suites: what measures first, then the longest first by what they took last."""
    return sorted(
        suites,
        key=lambda suite: (
            not suite.measures_first,
            -last_s.get(suite.name, suite.usually_s),
        ),
    )


def next_to_start(
    waiting: Sequence[Suite],
    running: Collection[Suite],
    room: Room,
) -> Suite | None:
    """Return the first of those that wait which fits beside what runs; None if none does."""
    last = sorted(waiting, key=lambda suite: suite.alone)
    return next((suite for suite in last if room.fits(suite, running)), None)


def remaining_s(
    waiting: Sequence[Suite],
    left_s: Mapping[Suite, float],
    room: Room,
    last_s: Mapping[str, float],
) -> float:
    """Return about how long all takes from now, by playing it through.

    `left_s` has what is left of each that runs.
    """
    running = dict(left_s)
    todo = list(waiting)
    now_s = 0.0
    while todo or running:
        while suite := next_to_start(todo, running, room):
            todo.remove(suite)
            running[suite] = now_s + last_s.get(suite.name, suite.usually_s)
        first = min(running, key=lambda suite: running[suite])
        now_s = max(now_s, running.pop(first))
    return now_s
