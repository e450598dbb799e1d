"""Where else what a model ships runs: an image under other engines, a disk in other machines.

Nothing is built or converted for it: the same image from the same registry, the same disk with its
kernel and the same seed. What was deployed counts as the first environment.
"""

from __future__ import annotations

from typing import Final

from probe.errors import ProbeError
from probe.experiments.base import Context, Plan, StackExperiment
from probe.models.base import Environment, Inspector
from probe.records import Sample, State
from probe.target import Target

#: About what a model's trials take in all (seconds); Kubernetes has none.
_TRIALS_S: Final = {"docker": 24.0, "vm": 480.0}


class Portability(StackExperiment):
    """Tries what was deployed in every other environment that this host has."""

    name = "portability"
    summary = "engines that run the images, machine types and buses that run the disk"
    states = ("warm",)
    once = True

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return the time of the trials that a model has."""
        return _TRIALS_S.get(model, 0.0) if state in self.states else 0.0

    def look(self, context: Context, target: Target, inspector: Inspector) -> list[Sample]:
        """Return a sample per environment, and how many of those that were tried failed."""
        samples: list[Sample] = []
        try:
            with inspector.environments() as environments:
                samples += (self._tried(context, environment) for environment in environments)
        except ProbeError as error:
            # What was seen stays seen, though the stack is not what it was any more.
            return [*samples, self.failed(context, str(error))]
        return [*samples, self._total(context, samples)]

    def failed(self, context: Context, reason: str) -> Sample:
        """Return a failed sample of how many environments failed."""
        return context.sample(self.name, "environments_failed", None, "count", evidence=reason)

    def _tried(self, context: Context, environment: Environment) -> Sample:
        context.say(f"portability: {environment.name}")
        value: float | None = None
        try:
            works, evidence = environment.trial()
            value = float(works)
        except ProbeError as error:
            evidence = str(error)
        return context.sample(
            self.name,
            "environment_works",
            value,
            "count",
            outcome="not_measured" if value is None else "ok",
            evidence=evidence,
            environment=environment.name,
            varies=environment.varies or "none",
        )

    def _total(self, context: Context, samples: list[Sample]) -> Sample:
        def names(value: float | None) -> str:
            return "; ".join(s.labels["environment"] for s in samples if s.value == value)

        failed = sum(s.value == 0 for s in samples)
        seen = f"works in: {names(1) or 'none'}. Does not in: {names(0) or 'none'}"
        if left := names(None):
            seen += f". Not tried: {left}"
        # One environment, the one that was deployed, says nothing about others.
        enough = sum(s.value is not None for s in samples) > 1
        return context.sample(
            self.name,
            "environments_failed",
            failed if enough else None,
            "count",
            outcome="ok" if enough else "not_measured",
            evidence=seen,
        )
