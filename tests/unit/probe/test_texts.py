"""Texts of the table."""

from __future__ import annotations

from probe import summary, texts
from tests.support.probe_fakes import make_sample


def test_the_table_has_the_steps_where_there_are_any() -> None:
    sample = make_sample(model="kubernetes", metric="step_s", labels={"step": "node_ready"})
    headings = [heading for heading, _ in summary.rows(summary.Index([sample]))]
    assert headings[1] == texts.STEPS_HEADING
    assert texts.STEPS_HEADING not in [h for h, _ in summary.rows(summary.Index([make_sample()]))]
