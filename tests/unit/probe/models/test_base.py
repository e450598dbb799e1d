"""Names of models and stacks."""

from __future__ import annotations

import pytest

from probe import experiments, models
from probe.errors import UsageProblem
from probe.models.base import is_ours


def test_names_are_not_mixed_up() -> None:
    assert is_ours("triptych-docker", "triptych-docker")
    assert is_ours("triptych-docker-gateway", "triptych-docker")
    assert not is_ours("triptych-docker2-gateway", "triptych-docker")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="'lxc': known are docker, kubernetes, vm"):
        models.known("lxc")
    with pytest.raises(UsageProblem, match="unknown experiment speed: known are readiness"):
        experiments.choose(["readiness", "speed"])
