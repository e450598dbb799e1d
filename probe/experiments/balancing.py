"""Several replicas under steady requests: which answers how many, and what one's death costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from probe.errors import ProbeError
from probe.experiments.availability import VICTIMS
from probe.experiments.base import Context, Plan, StackExperiment
from probe.models.base import Inspector, Replicas
from probe.outage import RATE, outage, timeline
from probe.records import Outcome, Sample, State
from probe.target import Target
from probe.vegeta import Attack, Request
from shop import catalogue

REPLICAS: Final = 3
#: How long requests arrive while shares are counted, and around a replica's death (seconds).
SHARE_S: Final = 20.0
DEATH_S: Final = 15.0
_STARTED_S: Final = 180.0
_POLL_S: Final = 0.5
_ONE: Final = "one of each service: there is nothing to spread requests over"


class Balancing(StackExperiment):
    """Counts each replica's share, then kills one."""

    name = "balancing"
    summary = "each replica's share of the requests, and those lost with one of them"
    states = ("warm",)
    failure_is_finding = True

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return the time that the replicas take to start, and the two spells of requests."""
        if model != "kubernetes" or state not in self.states:
            return 0.0
        return SHARE_S + 2 * DEATH_S

    def look(self, context: Context, target: Target, inspector: Inspector) -> list[Sample]:
        """Return a share per replica, the largest against a fair one, and what a death cost."""
        replicas = inspector.replicas(VICTIMS.get(target.shape, catalogue.GATEWAY))
        if replicas is None:
            return [self._ratio(context, None, _ONE, outcome="not_applicable")]
        try:
            return self._spread(context, target, replicas)
        finally:
            replicas.close()

    def failed(self, context: Context, reason: str) -> Sample:
        """Return a failed sample of the largest share."""
        return self._ratio(context, None, reason)

    def _ratio(
        self, context: Context, value: float | None, evidence: str, *, outcome: Outcome = "ok"
    ) -> Sample:
        return context.sample(
            self.name, "largest_share_ratio", value, "x", outcome=outcome, evidence=evidence
        )

    def _spread(self, context: Context, target: Target, replicas: Replicas) -> list[Sample]:
        context.say(f"balancing: waiting for {REPLICAS} replicas")
        replicas.hold(REPLICAS)
        try:
            self._wait(context, replicas)
            before = replicas.answered()
            attack = self._attack(target, SHARE_S)
            try:
                context.sleep(SHARE_S)
            finally:
                answers = attack.stop()
            shares = shares_of(before, replicas.answered())
            samples = [
                context.sample(
                    self.name,
                    "request_share",
                    share,
                    "share",
                    evidence=f"of {len(answers)} requests at {RATE:.0f} a second",
                    replica=str(number),
                )
                for number, share in enumerate(sorted(shares.values(), reverse=True), 1)
            ]
            largest = max(shares.values()) * len(shares)
            how = f"the largest of {len(shares)} shares against a fair one"
            samples.append(self._ratio(context, largest, how))
            return [*samples, self._death(context, target, replicas)]
        finally:
            replicas.release()

    def _wait(self, context: Context, replicas: Replicas) -> None:
        began = context.clock()
        while replicas.ready() < REPLICAS:
            if context.clock() - began > _STARTED_S:
                raise ProbeError(f"{replicas.ready()} replicas after {_STARTED_S:.0f} s")
            context.sleep(_POLL_S)

    def _attack(self, target: Target, seconds: float) -> Attack:
        requests = [Request("GET", f"/api/v1/products/{number}") for number in range(1, 100)]
        return Attack(
            target.gateway_url, requests, rate=RATE, seconds=seconds, ca=target.ca_certificate
        )

    def _death(self, context: Context, target: Target, replicas: Replicas) -> Sample:
        context.say("balancing: killing one of the replicas")
        attack = self._attack(target, 2 * DEATH_S)
        try:
            context.sleep(DEATH_S / 3)
            struck_at = time.time()
            replicas.lose_one()
            context.sleep(DEATH_S)
        finally:
            answers = attack.stop()
        context.timelines["one of three replicas killed"] = timeline(answers, struck_at)
        return context.sample(
            self.name,
            "lost_with_replica",
            outage(answers, struck_at).failed,
            "count",
            evidence=f"one of {REPLICAS}, without grace; of {len(answers)} requests",
        )


def shares_of(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, float]:
    """Return each replica's share of what was answered in between.

    Raises:
        ProbeError: if that was nothing.
    """
    answered = {name: max(count - before.get(name, 0), 0) for name, count in after.items()}
    total = sum(answered.values())
    if not total:
        raise ProbeError("no replica says that it answered anything")
    return {name: count / total for name, count in answered.items()}
