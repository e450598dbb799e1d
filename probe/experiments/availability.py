"""What happens when something dies: how long until the shop works again, and who saw to it.

Requests arrive at a steady rate from outside before, during and after. It has recovered with the
first of so many good answers in a row.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probe.errors import ProbeError
from probe.experiments.base import Context, Plan, StackExperiment
from probe.models.base import NODE_WATCHED_S, WATCHED_S, Inspector, Kill
from probe.outage import RATE, Outage, outage, timeline
from probe.records import Sample, State
from probe.target import Target
from probe.vegeta import Answer, Attack, Request
from shop import catalogue

#: How long requests arrive before the strike (seconds).
BEFORE_S: Final = 3.0
#: An answer that is not late (seconds), and how often it is tried whether all are.
PROMPT_S: Final = 1.0
SETTLES: Final = 5
#: The service that is struck, by shape: the one that the requests are for.
VICTIMS: Final = {"microservices": "products", "monolith": "monolith"}
#: How long each thing that a model can lose is watched.
WATCHED: Final = {
    "docker": (WATCHED_S, WATCHED_S),
    "kubernetes": (WATCHED_S, WATCHED_S, NODE_WATCHED_S),
    "vm": (WATCHED_S, WATCHED_S),
}


class Availability(StackExperiment):
    """Kills a process, a pod, a node or a machine under steady requests."""

    name = "availability"
    summary = "time to work again after a kill, and the requests that failed meanwhile"
    states = ("warm",)
    goes_in = True
    failure_is_finding = True

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return the time of the strikes that a model has."""
        if state not in self.states:
            return 0.0
        return sum(2 * BEFORE_S + watched_s for watched_s in WATCHED.get(model, (WATCHED_S,)))

    def look(self, context: Context, target: Target, inspector: Inspector) -> list[Sample]:
        """Return samples per kind of strike; the last one may leave the stack broken."""
        samples: list[Sample] = []
        for kill in inspector.kills(VICTIMS.get(target.shape, catalogue.GATEWAY)):
            context.say(f"availability: killing {kill.what}")
            try:
                samples += self._strike(context, target, kill)
            except ProbeError as error:
                samples.append(self._unknown(context, kill.fault, str(error)))
        return samples

    def failed(self, context: Context, reason: str) -> Sample:
        """Return a failed sample of the recovery of a process."""
        return self._unknown(context, "process", reason)

    def _strike(self, context: Context, target: Target, kill: Kill) -> list[Sample]:
        prompt = self._settle(context, target)
        attack = self._attack(target, BEFORE_S + kill.watched_s)
        answers: list[Answer] = []
        try:
            context.sleep(BEFORE_S)
            struck_at = time.time()
            kill.strike()
            context.sleep(kill.watched_s)
        finally:
            answers = attack.stop()
        if not any(a.good for a in answers if a.sent_at < struck_at):
            raise ProbeError("the shop did not answer before anything was killed")
        context.timelines[f"{kill.fault} killed"] = timeline(answers, struck_at)
        samples = self._samples(context, kill, outage(answers, struck_at), answers)
        if prompt:
            return samples
        late = f"not all answers came within {PROMPT_S:.0f} s before the kill either"
        return [replace(s, evidence="; ".join(filter(None, (s.evidence, late)))) for s in samples]

    def _settle(self, context: Context, target: Target) -> bool:
        """Wait until all is answered at once: connections to stores that died may still hang.

        False if it never was.
        """
        for _ in range(SETTLES):
            attack = self._attack(target, BEFORE_S)
            try:
                context.sleep(BEFORE_S)
            finally:
                answers = attack.stop()
            if all(a.good and a.latency_s < PROMPT_S for a in answers):
                return True
        return False

    def _attack(self, target: Target, seconds: float) -> Attack:
        requests = [Request("GET", f"/api/v1/products/{number}") for number in range(1, 100)]
        authority = target.ca_certificate
        return Attack(target.gateway_url, requests, rate=RATE, seconds=seconds, ca=authority)

    def _samples(
        self, context: Context, kill: Kill, found: Outage, answers: Sequence[Answer]
    ) -> list[Sample]:
        repaired = found.recovery_s is not None
        who = kill.repairer if repaired and kill.repairer else "nobody"
        evidence = f"killed: {kill.what}; repaired by: {who}"
        if not repaired:
            evidence += f" within {kill.watched_s:.0f} s"
        return [
            context.sample(
                self.name,
                "recovery_s",
                found.recovery_s,
                "s",
                evidence=evidence,
                fault=kill.fault,
            ),
            context.sample(
                self.name,
                "failed_requests",
                found.failed,
                "count",
                evidence=f"of {len(answers)} at {RATE:.0f} a second",
                fault=kill.fault,
            ),
            context.sample(self.name, "longest_gap_s", found.longest_gap_s, "s", fault=kill.fault),
        ]

    def _unknown(self, context: Context, fault: str, reason: str) -> Sample:
        return context.sample(self.name, "recovery_s", None, "s", evidence=reason, fault=fault)
