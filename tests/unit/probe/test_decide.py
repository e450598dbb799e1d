from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from probe import decide
from probe.claims import ledger
from probe.errors import UsageProblem
from probe.records import Sample
from probe.summary import Index
from tests.support.probe_fakes import make_sample


def sample(model: str, experiment: str, metric: str, value: float | None, **more: Any) -> Sample:
    changes: dict[str, Any] = {"unit": "count", "outcome": "ok" if value is not None else "failed"}
    changes |= more
    return make_sample(model=model, experiment=experiment, metric=metric, value=value, **changes)


def updates(model: str, *values: float) -> list[Sample]:
    return [
        sample(
            model,
            "rollout",
            "update_failed_requests",
            value,
            round=number,
            labels={"direction": "update"},
        )
        for number, value in enumerate(values, 1)
    ]


def memory(model: str, value: float, **more: Any) -> Sample:
    metric = "memory_available_delta_bytes"
    return sample(model, "resources", metric, value, unit="bytes", **more)


def answers(samples: list[Sample], *needs: decide.Need) -> dict[str, tuple[str, ...]]:
    found = decide.decide(Index(samples), needs)
    return {c.column.model: tuple(step.answer for step in c.steps) for c in found}


ROLLING = decide.known()["rolling-updates"]


def test_every_need_cites_a_claim_of_the_ledger() -> None:
    claims = {claim.id for claim in ledger()}
    assert all(need.claim in claims for need in decide.known().values())


def test_a_model_meets_a_need_if_every_round_does() -> None:
    samples = updates("kubernetes", 0, 0, 0) + updates("docker", 61, 60, 62) + updates("vm", 0, 5)
    assert answers(samples, ROLLING) == {
        "docker": ("no",),
        "kubernetes": ("yes",),
        "vm": ("not known",),
    }


def test_what_was_not_measured_is_not_known() -> None:
    samples = [*updates("kubernetes", 0), memory("docker", 5e7)]
    found = decide.decide(Index(samples), [ROLLING])
    docker = next(choice for choice in found if choice.column.model == "docker")
    assert docker.answer == "not known"
    assert docker.steps[0].because == "not measured in this run: rollout"


def test_an_emulated_machine_meets_no_budget() -> None:
    (need,) = decide.budgets(memory="2GiB")
    samples = [memory("docker", 6e7), memory("vm", 1e9, accelerator="tcg")]
    assert answers(samples, need) == {"docker": ("yes",), "vm": ("not known",)}


def test_what_failed_is_not_met() -> None:
    healing = decide.known()["self-healing"]
    bad = sample("docker", "availability", "recovery_s", None, labels={"fault": "process"})
    assert answers([bad], healing) == {"docker": ("no",)}


def test_the_conclusion_names_models_reasons_and_gaps() -> None:
    samples = updates("kubernetes", 0) + updates("docker", 61) + [memory("vm", 1e9)]
    choices = decide.decide(Index(samples), [ROLLING])
    text = "\n".join(decide.conclusion(choices, "kubernetes"))
    assert "Meets all that was asked: Kubernetes" in text
    assert "Does not: Docker" in text
    assert "an update fails no request: 61 (1/1)" in text
    assert "Not known: Virtual machine" in text
    assert "The team knows Kubernetes" in text
    console = Console(file=io.StringIO(), width=160)
    console.print(decide.render(choices))
    assert "(claim: rolling-update)" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "bytes_"), [("2GiB", 2 * 2**30), ("1.5 GB", 1_500_000_000), ("512MiB", 2**29)]
)
def test_sizes(text: str, bytes_: int) -> None:
    assert decide.size(text) == bytes_


@pytest.mark.parametrize("text", ["", "two", "2 gigs", "-1GiB"])
def test_what_is_no_size_is_one_clear_line(text: str) -> None:
    with pytest.raises(UsageProblem, match="is no size"):
        decide.size(text)


def test_an_unknown_need_is_one_clear_line() -> None:
    with pytest.raises(UsageProblem, match="unknown need 'magic': known are rolling-updates"):
        decide.wanted(["magic"])
