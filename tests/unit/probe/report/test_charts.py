"""The report's charts of load, updates and kills."""

from __future__ import annotations

from typing import Any

import pytest

from probe.records import Timeline, Trial
from probe.report import charts
from probe.summary import Index
from tests.support.probe_fakes import make_sample

COMMON: dict[str, Any] = {"state": "warm", "shape": "microservices"}


def latencies(model: str, rate: int, p50: float, p99: float) -> list[Any]:
    return [
        make_sample(
            **COMMON,
            model=model,
            experiment="load",
            metric="latency_s",
            value=value,
            evidence="100 of 100 good: 200 100x",
            labels={"rate": str(rate), "quantile": quantile},
        )
        for quantile, value in (("p50", p50), ("p99", p99))
    ]


def test_latency_is_drawn_against_the_rate() -> None:
    samples = [
        *latencies("docker", 20, 0.004, 0.01),
        *latencies("docker", 10, 0.003, 0.009),
        *latencies("kubernetes", 10, 0.005, 0.02),
    ]
    chart = charts.load(Index(samples))
    assert chart is not None
    lines = {line["name"]: line for line in chart.data}
    assert len(lines) == 4
    (name,) = [n for n in lines if n.startswith("Docker") and n.endswith("p99")]
    assert lines[name]["x"] == [10, 20]
    assert lines[name]["y"] == pytest.approx([9, 10])
    assert chart.layout["xaxis"]["tickvals"] == [10, 20]


def test_no_load_no_chart() -> None:
    assert charts.load(Index([make_sample()])) is None
    assert charts.timelines(Index([make_sample()]), ()) is None


def test_every_request_around_an_event_is_drawn() -> None:
    index = Index([make_sample(**COMMON), make_sample(**COMMON, model="kubernetes")])
    found = [
        Timeline("1-docker-microservices-warm", "update", ((-1.0, 0.01, ""), (0.5, 0.0, "503"))),
        Timeline("2-docker-microservices-warm", "update", ((-1.0, 0.01, ""),)),
        Timeline("1-kubernetes-microservices-warm", "update", ((0.0, 0.02, ""),)),
        # Of a side that is no column of the run.
        Timeline("1-vm-monolith-warm", "update", ((0.0, 0.02, ""),)),
    ]
    chart = charts.timelines(index, found)
    assert chart is not None
    marks = {series["name"]: series for series in chart.data}
    assert len(marks["answered"]["x"]) == 3
    assert marks["failed"]["x"] == [0.5]
    assert "503" in marks["failed"]["text"][0]
    assert len(chart.layout["yaxis"]["ticktext"]) == 2


def test_a_key_is_read_as_it_was_written() -> None:
    trial = Trial(2, "vm", "monolith", "cold")
    assert Trial.parse(trial.key) == trial
    for key in ("2-vm-monolith", "x-vm-monolith-cold", "2-vm-monolith-tepid"):
        with pytest.raises(ValueError, match=r"key|unpack|int"):
            Trial.parse(key)
