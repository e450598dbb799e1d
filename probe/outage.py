"""Steady requests beside an event, and what they say of it: how long, how many, the longest gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from probe.vegeta import Answer

#: Requests per second, from before an event until after it.
RATE: Final = 20.0
#: So many good answers in a row: a second of them.
IN_A_ROW: Final = 20


@dataclass(frozen=True, slots=True)
class Outage:
    """What a strike cost. ``recovery_s`` is None if it did not recover while it was watched."""

    recovery_s: float | None
    failed: int
    longest_gap_s: float


def outage(answers: Sequence[Answer], struck_at: float, *, in_a_row: int = IN_A_ROW) -> Outage:
    """Return what the answers say; ``struck_at`` is on the clock that they are on.

    With no failed request there was no outage: recovery takes 0 s. The gap is the longest time
    without a good answer.
    """
    after = [a for a in answers if a.sent_at >= struck_at]
    bad = [n for n, a in enumerate(after) if not a.good]
    recovery: float | None = 0.0
    if bad:
        recovery, run = None, 0
        for n, a in enumerate(after[bad[0] :], bad[0]):
            run = run + 1 if a.good else 0
            if run == in_a_row:
                recovery = after[n - in_a_row + 1].ended_at - struck_at
                break
    good = sorted(a.ended_at for a in answers if a.good)
    last = max((a.ended_at for a in answers), default=struck_at)
    edges = [*good, last] if good else [struck_at, last]
    gap = max((later - earlier for earlier, later in pairwise(edges)), default=0)
    return Outage(recovery, len(bad), gap)


@dataclass(frozen=True, slots=True)
class Handover:
    """Who answered around a change: answers by the processes from before it, and by later ones.

    ``overlap_s`` is the time in which both did, 0 if the old ones had ended before; None if there
    is nothing to tell it by.
    """

    old: int
    new: int
    overlap_s: float | None


def handover(answers: Sequence[Answer], changed_at: float) -> Handover:
    """Return how a change passed from old processes to new ones."""
    before = {a.instance for a in answers if a.sent_at < changed_at and a.instance}
    old = [a for a in answers if a.instance in before]
    new = [a for a in answers if a.instance and a.instance not in before]
    if not old or not new:
        return Handover(len(old), len(new), None)
    overlap_s = max(a.ended_at for a in old) - min(a.ended_at for a in new)
    return Handover(len(old), len(new), max(0.0, overlap_s))


def timeline(answers: Sequence[Answer], at: float) -> list[tuple[float, float, str]]:
    """Return each answer as seconds since an event, latency in seconds, and what went wrong."""
    return [
        (round(a.sent_at - at, 3), round(a.latency_s, 4), "" if a.good else a.note) for a in answers
    ]
