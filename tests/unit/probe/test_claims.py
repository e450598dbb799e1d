"""Claims and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from probe.claims import Claim, Less, Ruling, ledger, rule
from probe.records import Sample
from probe.summary import Index
from tests.support.probe_fakes import make_sample


def claim(id_: str = "c", /, **test: object) -> Claim:
    usual = {"kind": "less", "experiment": "e", "metric": "m", "left": "docker", "right": "vm"}
    return claim_of(id_, [{**usual, **test}] if test else [])


def claim_of(id_: str, test: list[dict[str, object]]) -> Claim:
    """Return a claim with tests as the ledger's file has them."""
    words = {"id": id_, "en": "x", "es": "x", "experiments": ("e",), "test": test}
    return Claim.model_validate(words)


def samples(model: str, values: Sequence[float | None], **changes: object) -> list[Sample]:
    return [
        make_sample(
            experiment="e",
            metric="m",
            **{"model": model, "round": n, "value": v, **changes},
            outcome="ok" if v is not None else "failed",
        )
        for n, v in enumerate(values, 1)
    ]


def ruling(found: list[Sample], *claims: Claim) -> Ruling:
    return rule(Index(found), claims)[0]


LOW, HIGH = [1.0, 1.1, 1.2, 1.3, 1.4], [2.0, 2.1, 2.2, 2.3, 2.4]
SAMPLED = {"exact": False}


def test_the_ledger_has_the_thirteen_claims_in_both_languages() -> None:
    known = ledger()
    assert [c.id for c in known] == [
        "weight",
        "boot",
        "resources",
        "isolation",
        "security",
        "portability",
        "persistence",
        "autoscaling",
        "availability",
        "rolling-update",
        "load-balancing",
        "provisioning",
        "ease",
    ]
    assert all(c.en != c.es and c.experiments for c in known)


@pytest.mark.parametrize(
    ("docker", "vm", "verdict"),
    [(LOW, HIGH, "holds"), (HIGH, LOW, "does not hold"), (LOW, LOW, "inconclusive")],
)
def test_a_comparison(docker: list[float], vm: list[float], verdict: str) -> None:
    found = ruling(samples("docker", docker) + samples("vm", vm), claim(**SAMPLED))
    assert found.verdict == verdict
    assert found.findings[0].adjusted is not None


def test_three_rounds_can_not_rule_out_chance() -> None:
    found = ruling(samples("docker", LOW[:3]) + samples("vm", HIGH[:3]), claim(**SAMPLED))
    assert found.verdict == "inconclusive"
    assert "too few" in found.reason


def test_many_claims_take_more_evidence() -> None:
    both = samples("docker", LOW[:4]) + samples("vm", HIGH[:4])
    assert ruling(both, claim(**SAMPLED)).verdict == "holds"
    many = [claim(str(n), **SAMPLED) for n in range(13)]
    assert ruling(both, *many).verdict == "inconclusive"


def test_what_is_counted_needs_no_chance() -> None:
    found = ruling(samples("docker", [10]) + samples("vm", [20]), claim(exact=True))
    assert (found.verdict, found.findings[0].p) == ("holds", None)


def test_an_emulated_machines_speed_has_no_verdict() -> None:
    both = samples("docker", LOW) + samples("vm", HIGH, accelerator="tcg")
    found = ruling(both, claim(speed=True))
    assert (found.verdict, found.reason) == ("not tested", "not tested: no hardware virtualisation")
    assert ruling(both, claim(**SAMPLED)).verdict == "holds"


def test_shapes_are_not_mixed_up() -> None:
    both = samples("docker", LOW, shape="microservices") + samples("vm", HIGH)
    found = ruling(both, claim(**SAMPLED))
    assert found.verdict == "not tested"
    assert "no shape in common" in found.reason


def test_each_shape_is_tested_by_itself() -> None:
    found = ruling(
        samples("docker", LOW)
        + samples("vm", HIGH)
        + samples("docker", HIGH, shape="microservices")
        + samples("vm", LOW, shape="microservices"),
        claim(**SAMPLED),
    )
    assert {f.shape: f.verdict for f in found.findings} == {
        "microservices": "does not hold",
        "monolith": "holds",
    }
    assert found.verdict == "does not hold"


def test_several_values_of_a_deployment_count_once() -> None:
    once = samples("docker", LOW) + samples("vm", HIGH)
    often = once * 4
    (more,), (less,) = (ruling(found, claim(**SAMPLED)).findings for found in (often, once))
    assert [figure.n_ok for figure in more.figures] == [4 * figure.n_ok for figure in less.figures]
    assert [f.median for f in more.figures] == [f.median for f in less.figures]
    assert more.model_copy(update={"figures": ()}) == less.model_copy(update={"figures": ()})


@pytest.mark.parametrize(
    ("values", "kind", "verdict"),
    [
        ([1.0] * 6, "below", "holds"),
        ([9.0] * 6, "below", "does not hold"),
        ([1.0, 9.0] * 3, "below", "inconclusive"),
        ([9.0] * 6, "at_least", "holds"),
        ([1.0] * 3, "below", "inconclusive"),
    ],
)
def test_a_bound(values: list[float], kind: str, verdict: str) -> None:
    test = {"kind": kind, "experiment": "e", "metric": "m", "model": "docker", "limit": 5}
    bound = claim_of("c", [test])
    assert ruling(samples("docker", values), bound).verdict == verdict


def test_what_was_not_measured_says_so() -> None:
    found = ruling(samples("docker", LOW), claim())
    assert found.verdict == "not tested"
    other = claim().model_copy(update={"experiments": ("isolation",)})
    assert ruling(samples("docker", LOW), other).reason == "not measured in this run: isolation"


def test_failed_attempts_alone_decide_nothing() -> None:
    found = ruling(samples("docker", [None] * 5) + samples("vm", HIGH), claim(**SAMPLED))
    assert found.verdict == "inconclusive"
    assert "no attempt at m succeeded" in found.reason


def test_a_word_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="surprise"):
        Less.model_validate({**claim(**SAMPLED).test[0].model_dump(), "surprise": 1})
