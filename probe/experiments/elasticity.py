"""A step of load: how long until there is more capacity, and until it is given back.

Where a model has nobody who would add any, there is nothing to wait for: it adds none, and says so.
"""

from __future__ import annotations

from typing import Final

from probe.errors import ProbeError
from probe.experiments.availability import VICTIMS
from probe.experiments.base import Context, Plan, StackExperiment
from probe.models.base import Condition, Inspector, Replicas
from probe.records import Sample, State
from probe.target import Target
from probe.vegeta import Attack, Request
from shop import catalogue

#: Requests per second, by shape: more than one of the service can carry on its share of CPU.
RATES: Final = {"microservices": 80.0, "monolith": 200.0}
#: How long the load lasts at most, and how long is waited for its end to be noticed (seconds).
LOAD_S: Final = 150.0
AFTER_S: Final = 240.0
STARTED_S: Final = 60.0
_POLL_S: Final = 0.25
_NOBODY: Final = "one of each service, and nobody in the model who would start another"


class Elasticity(StackExperiment):
    """Waits for another replica under load, and for its end after it."""

    name = "elasticity"
    summary = "time to more capacity under load, and back"
    states = ("warm",)

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return what a cluster's autoscaler usually takes; the others have none."""
        return 105.0 if model == "kubernetes" and state in self.states else 0.0

    def look(self, context: Context, target: Target, inspector: Inspector) -> list[Sample]:
        """Return how many replicas were added, when, and when they were given back."""
        service = VICTIMS.get(target.shape, catalogue.GATEWAY)
        replicas = inspector.replicas(service)
        if replicas is None:
            return [self._added(context, 0, _NOBODY)]
        try:
            return self._step(context, target, service, replicas)
        finally:
            replicas.close()

    def failed(self, context: Context, reason: str) -> Sample:
        """Return a failed sample of what was added."""
        return self._added(context, None, reason)

    def _step(
        self, context: Context, target: Target, service: str, replicas: Replicas
    ) -> list[Sample]:
        if self._until(context, lambda: replicas.ready() > 0, STARTED_S) is None:
            raise ProbeError(f"{service} has no replica that takes requests")
        before = replicas.ready()
        rate = RATES.get(target.shape, 80.0)
        context.say(f"elasticity: {rate:.0f} requests a second for {LOAD_S:.0f} s at most")
        # Each search is another one, which no cache answers.
        words = [f"lamp{number}" for number in range(round(rate * LOAD_S))]
        attack = Attack(
            target.gateway_url,
            [Request("GET", f"/api/v1/products?q={word}") for word in words],
            rate=rate,
            seconds=LOAD_S,
            ca=target.ca_certificate,
        )
        try:
            added_s = self._until(context, lambda: replicas.ready() > before, LOAD_S)
            most = replicas.ready()
        finally:
            attack.stop()
        what = f"{service}: {before} before, {most} under {rate:.0f} requests a second"
        samples = [self._added(context, most - before, what)]
        if added_s is None:
            late = f"none was ready after {LOAD_S:.0f} s of load"
            return [*samples, context.sample(self.name, "added_s", None, "s", evidence=late)]
        samples.append(context.sample(self.name, "added_s", added_s, "s", evidence=what))
        context.say("elasticity: waiting for what was added to go again")
        back_s = self._until(context, lambda: replicas.ready() <= before, AFTER_S)
        late = "" if back_s is not None else f"still there after {AFTER_S:.0f} s without load"
        return [*samples, context.sample(self.name, "given_back_s", back_s, "s", evidence=late)]

    def _until(self, context: Context, holds: Condition, limit_s: float) -> float | None:
        """Return after how long it holds; None if it never does."""
        began = context.clock()
        while context.clock() - began < limit_s:
            if holds():
                return context.clock() - began
            context.sleep(_POLL_S)
        return None

    def _added(self, context: Context, value: int | None, evidence: str) -> Sample:
        return context.sample(self.name, "added_replicas", value, "count", evidence=evidence)
