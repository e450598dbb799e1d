"""Outages, from answers."""

from __future__ import annotations

import pytest

from probe.outage import Outage, outage
from tests.support.probe_fakes import answers


def test_recovery_is_the_first_of_so_many_good_answers_in_a_row() -> None:
    #                           struck at 0.4
    found = outage(answers("....xx..x....."), 0.4, in_a_row=3)
    assert found.failed == 3
    assert found.recovery_s == pytest.approx(0.9 + 0.01 - 0.4)


def test_good_answers_after_the_strike_and_before_the_outage_are_none_of_it() -> None:
    found = outage(answers("......xxx...."), 0.2, in_a_row=3)
    assert found.recovery_s == pytest.approx(0.9 + 0.01 - 0.2)


def test_without_a_failed_request_there_was_no_outage() -> None:
    found = outage(answers("." * 20), 0.4)
    assert found == Outage(0.0, 0, found.longest_gap_s)
    assert found.longest_gap_s == pytest.approx(0.1)


def test_what_does_not_recover_has_no_recovery() -> None:
    found = outage(answers("....xxxx.x.x"), 0.4, in_a_row=3)
    assert found.recovery_s is None
    assert found.failed == 6


def test_the_gap_is_the_time_without_a_good_answer() -> None:
    # Answers of 0.3 and 0.9 s are good, at 0.31 and 0.91.
    assert outage(answers("....xxxxx..."), 0.4).longest_gap_s == pytest.approx(0.6)
    assert outage(answers("....xxxxxx"), 0.4).longest_gap_s == pytest.approx(0.6)
    assert outage(answers("xxxx"), 0.0).longest_gap_s == pytest.approx(0.31)
