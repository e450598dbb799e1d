"""An update and its rollback under steady requests: who fails meanwhile, and for how long.

The update is the one that every model has alike: another secret of the service that takes
payments, brought in by `pulumi up`. It takes other processes, as another image would, and no build.
What a model does then is its own best practice, named in the evidence.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

import httpx

from probe.errors import ProbeError
from probe.experiments.base import Context, Experiment, Plan
from probe.outage import RATE, Handover, handover, outage, timeline
from probe.records import Sample, State
from probe.target import Target
from probe.transaction import Customers, await_ready, checked_context
from probe.vegeta import Attack, Request

BEFORE_S: Final = 3.0
#: How long is waited for the shop to be ready after `up` at most, and how long requests go on then:
#: what was replaced drains (seconds).
READY_S: Final = 300.0
AFTER_S: Final = 30.0
#: For how long it is tried to log in before, and how often (seconds).
ENROLL_S: Final = 30.0
_AGAIN_S: Final = 0.5
#: What a change takes in all, about.
TAKES_S: Final = {"docker": 12.0, "kubernetes": 12.0, "vm": 110.0}
#: Longer than any update and what follows it; the attack is ended when they are.
_LONGEST_S: Final = 900.0
SECRET: Final = "stripe_api_key"
PRACTICES: Final = {
    "docker": "the container is taken away and another one started, as Compose does it",
    "kubernetes": "rolling update: no pod goes before another one is ready, and it drains first",
    "vm": "the machine starts anew with another seed, its data disk kept",
}


class Rollout(Experiment):
    """Updates a service under load, and takes the update back."""

    name = "rollout"
    summary = "requests that fail, and the longest gap, while a service is updated and rolled back"
    states = ("warm",)
    failure_is_finding = True

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return the time of both updates with what follows them."""
        if state not in self.states:
            return 0.0
        return 2 * (BEFORE_S + TAKES_S.get(model, 15.0) + AFTER_S)

    def measure(self, context: Context) -> list[Sample]:
        """Return samples of the update and of its rollback."""
        target = context.target
        if target is None or context.not_up:
            return [self._failed(context, "update", context.not_up)]
        if context.redeploy is None:
            reason = "the stack is not the probe's own: it is not updated"
            return [self._failed(context, "update", reason)]
        try:
            token = self._customer(context, target)
        except ProbeError as error:
            return [self._failed(context, "update", str(error))]
        samples: list[Sample] = []
        other, before = f"sk_test_probe{secrets.token_hex(4)}", context.config.get(SECRET)
        for direction, value in (("update", other), ("rollback", before)):
            context.say(f"rollout: {direction}")
            try:
                samples += self._change(context, target, token, direction, value)
            except ProbeError as error:
                samples.append(self._failed(context, direction, str(error)))
                break
        return samples

    def _customer(self, context: Context, target: Target) -> str:
        customers = Customers(target.gateway_url, checked_context(target.ca_certificate))
        began = context.clock()
        try:
            while True:
                try:
                    return customers.enroll()
                except httpx.HTTPError as error:
                    if context.clock() - began > ENROLL_S:
                        raise ProbeError(f"no customer could log in: {error}") from None
                context.sleep(_AGAIN_S)
        finally:
            customers.close()

    def _change(
        self, context: Context, target: Target, token: str, direction: str, value: str | None
    ) -> list[Sample]:
        assert context.redeploy is not None
        who = {"Authorization": f"Bearer {token}"}
        attack = Attack(
            target.gateway_url,
            [Request("GET", "/api/v1/orders", who)],
            rate=RATE,
            seconds=_LONGEST_S,
            ca=target.ca_certificate,
        )
        try:
            context.sleep(BEFORE_S)
            began_at, began = time.time(), context.clock()
            done = context.redeploy({SECRET: value})
            took = context.clock() - began
            await_ready(
                target.ready_url,
                target.ca_certificate,
                READY_S,
                clock=context.clock,
                sleep=context.sleep,
            )
            context.sleep(AFTER_S)
        finally:
            answers = attack.stop()
        if done.error:
            raise ProbeError(f"{direction}: {done.error}")
        if not any(a.good for a in answers if a.sent_at < began_at):
            raise ProbeError("the shop did not answer before the update")
        found = outage(answers, began_at)
        context.timelines[direction] = timeline(answers, began_at)
        practice = PRACTICES.get(context.model, "")
        evidence = f"{practice}; of {len(answers)} at {RATE:.0f} a second"
        if found.recovery_s is None:
            evidence += "; not well again while it was watched"
        return [
            context.sample(
                self.name,
                "update_failed_requests",
                found.failed,
                "count",
                evidence=evidence,
                direction=direction,
            ),
            context.sample(
                self.name,
                "update_longest_gap_s",
                found.longest_gap_s,
                "s",
                evidence=practice,
                direction=direction,
            ),
            self._overlap(context, direction, handover(answers, began_at)),
            context.sample(self.name, "update_s", took, "s", direction=direction),
        ]

    def _overlap(self, context: Context, direction: str, found: Handover) -> Sample:
        told = found.overlap_s is not None
        counts = f"{found.old} answers by the processes from before, {found.new} by later ones"
        return context.sample(
            self.name,
            "update_overlap_s",
            found.overlap_s,
            "s",
            outcome="ok" if told else "not_measured",
            evidence=counts,
            direction=direction,
        )

    def _failed(self, context: Context, direction: str, reason: str) -> Sample:
        return context.sample(
            self.name,
            "update_failed_requests",
            None,
            "count",
            evidence=reason,
            direction=direction,
        )
