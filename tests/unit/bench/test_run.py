"""Which figures are measured, and in which order."""

from __future__ import annotations

import pytest

from bench import (
    run,
)
from probe.errors import UsageProblem


def test_names_and_their_beginnings_choose() -> None:
    assert run.chosen(()) == frozenset(run.NAMES)
    assert run.chosen(("docker", "unit-tests")) == {
        "docker-first-transaction",
        "docker-preview",
        "unit-tests",
    }
    with pytest.raises(UsageProblem, match=r"unknown figure 'speed'.*docker-first-transaction"):
        run.chosen(("speed",))


def test_each_side_begins_every_other_round() -> None:
    assert [run.order(number, "ours", "theirs")[0] for number in (0, 1, 2)] == [
        "ours",
        "theirs",
        "ours",
    ]
