"""Figures from samples, with their units."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe import store, texts
from probe.records import Side
from probe.stats import describe
from probe.summary import Index, proof_of_concept, segments, show, show_range
from tests.support.probe_fakes import make_run, make_sample


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (0.0123, "s", "12.3 ms"),
        (4.256, "s", "4.26 s"),
        (43.21, "s", "43.2 s"),
        (512, "bytes", "512 B"),
        (-3 * 2**20, "bytes", "-3.00 MiB"),
        (300 * 2**20, "bytes", "300 MiB"),
        (1.5 * 2**30, "bytes", "1.50 GiB"),
        (0.016, "cores", "1.6 % of a core"),
        (12, "count", "12"),
    ],
)
def test_values_are_shown_with_their_unit(value: float | None, unit: str, text: str) -> None:
    assert show(value, unit) == text


def test_ranges_name_their_unit_once_where_it_is_one() -> None:
    assert show_range(describe([1.0, 2.0]), "s") == "1.00 to 2.00 s"
    assert show_range(describe([0.5, 2.0]), "s") == "500 ms to 2.00 s"
    assert show_range(describe([2.0, 2.0]), "s") == ""
    assert show_range(describe([2.0]), "s") == ""


def test_values_of_one_deployment_do_not_count_as_several() -> None:
    samples = [
        make_sample(experiment="latency", metric="transaction_s", round=r, value=v)
        for r, values in ((1, (1.0, 1.2, 9.0)), (2, (2.0, 2.2, 2.4)))
        for v in values
    ]
    index = Index(samples)
    interval = index.figure(index.columns[0], "latency", "transaction_s").interval
    assert interval.median == pytest.approx((1.2 + 2.2) / 2)
    assert interval.low is None  # two deployments, not six values
    assert interval.count == "6/6"


def test_phases_add_up_within_each_deployment(tmp_path: Path) -> None:
    make_run(tmp_path, fail=False)
    index = Index(store.read_run(tmp_path).samples)
    for column in index.columns:
        parts = segments(index, column)
        for number, phases in enumerate(index.trials(column).values()):
            whole = phases["first_transaction_s"].value
            total = sum(figure.samples[number].value or 0 for _, _, figure in parts)
            assert total == pytest.approx(whole)


def test_the_proof_of_concept_is_the_monolith_in_each_model(tmp_path: Path) -> None:
    everything = tuple(
        Side(model, shape) for model in ("docker", "vm") for shape in ("microservices", "monolith")
    )
    make_run(tmp_path / "all", sides=everything)
    title, columns = proof_of_concept(Index(store.read_run(tmp_path / "all").samples))
    assert title == texts.POC_TITLE
    assert [(c.model, c.shape, c.state) for c in columns] == [
        ("docker", "monolith", "warm"),
        ("vm", "monolith", "warm"),
    ]
    make_run(tmp_path / "own")
    title, columns = proof_of_concept(Index(store.read_run(tmp_path / "own").samples))
    assert title == texts.SHORT_TITLE
    assert len(columns) == 2
