"""The experiments, by name. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable

from probe.errors import UsageProblem
from probe.experiments.availability import Availability
from probe.experiments.balancing import Balancing
from probe.experiments.base import Context, Experiment, Plan
from probe.experiments.disk import Disk
from probe.experiments.ease import Ease
from probe.experiments.elasticity import Elasticity
from probe.experiments.isolation import Isolation
from probe.experiments.latency import Latency
from probe.experiments.load import Load
from probe.experiments.persistence import Persistence
from probe.experiments.portability import Portability
from probe.experiments.provisioning import Provisioning
from probe.experiments.readiness import Readiness
from probe.experiments.resources import Resources
from probe.experiments.rollout import Rollout

__all__ = ["DEFAULT", "EXPERIMENTS", "Context", "Experiment", "Plan", "choose"]

#: In the order in which they measure: readiness first, as its clock is running; then those that
#: need an idle stack; then those that put load on it, up to more than it can carry; those that
#: take it apart last.
EXPERIMENTS: dict[str, type[Experiment]] = {
    cls.name: cls
    for cls in (
        Readiness,
        Resources,
        Disk,
        Ease,
        Latency,
        Isolation,
        Elasticity,
        Balancing,
        Rollout,
        Portability,
        Load,
        Persistence,
        Availability,
        Provisioning,
    )
}
#: Those of every run. The others take a minute or more of each deployment, and are asked for by
#: name.
DEFAULT = (
    Readiness.name,
    Resources.name,
    Disk.name,
    Ease.name,
    Latency.name,
    Provisioning.name,
)


def choose(names: Iterable[str]) -> list[Experiment]:
    """Return new experiments of these names in measuring order; raise UsageProblem for others."""
    wanted = set(names)
    unknown = sorted(wanted - set(EXPERIMENTS))
    if unknown:
        raise UsageProblem(
            f"unknown experiment {', '.join(unknown)}: known are {', '.join(EXPERIMENTS)}"
        )
    return [cls() for name, cls in EXPERIMENTS.items() if name in wanted]
