"""What experiments have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probe.experiments.balancing import Balancing
from probe.experiments.elasticity import Elasticity
from probe.experiments.isolation import Isolation
from probe.experiments.persistence import Persistence
from probe.experiments.portability import Portability
from probe.experiments.rollout import Rollout
from tests.support.probe_fakes import make_context


@pytest.mark.parametrize(
    "experiment", [Elasticity, Balancing, Rollout, Persistence, Isolation, Portability]
)
def test_a_stack_that_is_not_up_is_one_failed_sample(experiment: Any, tmp_path: Path) -> None:
    (sample,) = experiment().measure(make_context(tmp_path, up_error="no space left"))
    assert (sample.outcome, sample.evidence) == (
        "failed",
        "the stack did not come up: no space left",
    )
