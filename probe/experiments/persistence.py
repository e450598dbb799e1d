"""What is still there after its store has died: orders that were acknowledged, and a full cart.

Every store of the shop has a volume of its own (a disk, in a machine). What a container writes
beside one is looked at as well where a container can be had: the store's image, without a volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from probe.errors import ProbeError
from probe.experiments.base import Context, Plan, StackExperiment
from probe.models.base import Inspector, Kill
from probe.records import Sample, State
from probe.target import Target
from probe.transaction import Customers, await_ready, checked_context
from shop import catalogue

ORDERS: Final = 5
#: How long the shop may take to answer again (seconds); an emulated machine has to start.
AGAIN_S: Final = {"docker": 60.0, "kubernetes": 120.0, "vm": 600.0}
_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Owned:
    """What a customer has been told to own."""

    token: str
    orders: frozenset[str]
    cart: int


class Persistence(StackExperiment):
    """Kills the stores, then looks for what was acknowledged."""

    name = "persistence"
    summary = "acknowledged orders and carts that are lost when a store dies"
    states = ("warm",)
    goes_in = True

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return the time of the deaths and of what comes up again."""
        if state not in self.states:
            return 0.0
        return {"docker": 12.0, "kubernetes": 20.0, "vm": 240.0}.get(model, 20.0)

    def look(self, context: Context, target: Target, inspector: Inspector) -> list[Sample]:
        """Return what was lost by each kind of death."""
        customers = Customers(target.gateway_url, checked_context(target.ca_certificate))
        samples: list[Sample] = []
        try:
            for fault, kills in deaths(inspector).items():
                context.say(f"persistence: {fault}")
                try:
                    samples += self._lose(context, customers, fault, kills)
                except ProbeError as error:
                    samples.append(self._lost(context, fault, str(error)))
                    break
        finally:
            customers.close()
        samples += self._bare(context, inspector)
        # Who looks for it there has started a machine again.
        await_ready(
            target.ready_url,
            target.ca_certificate,
            AGAIN_S.get(context.model, 120.0),
            clock=context.clock,
            sleep=context.sleep,
        )
        return samples

    def failed(self, context: Context, reason: str) -> Sample:
        """Return a failed sample of the orders that are lost."""
        return self._lost(context, "process", reason)

    def _lose(
        self,
        context: Context,
        customers: Customers,
        fault: str,
        kills: Sequence[Kill],
    ) -> list[Sample]:
        owned = self._shop(customers)
        for kill in kills:
            kill.strike()
        nobody = not all(kill.repairer for kill in kills)
        if nobody:
            if context.redeploy is None:
                raise ProbeError("nobody repairs it, and the stack is not the probe's own")
            done = context.redeploy({})
            if done.error:
                raise ProbeError(f"pulumi up after it: {done.error}")
        found, cart = self._look(context, customers, owned, AGAIN_S.get(context.model, 120.0))
        how = f"{' and '.join(kill.what for kill in kills)}; brought back by " + (
            "pulumi up" if nobody else ", ".join(sorted({kill.repairer for kill in kills}))
        )
        lost = len(owned.orders - found)
        return [
            context.sample(
                self.name,
                "lost_orders",
                lost,
                "count",
                evidence=f"of {len(owned.orders)} acknowledged; {how}",
                fault=fault,
                volume="yes",
            ),
            context.sample(
                self.name,
                "lost_cart_items",
                max(owned.cart - cart, 0),
                "count",
                evidence=f"of {owned.cart}; {how}",
                fault=fault,
                volume="yes",
            ),
        ]

    def _shop(self, customers: Customers) -> Owned:
        try:
            token = customers.enroll()
            orders = frozenset(customers.order(token, n) for n in range(11, 11 + ORDERS))
            customers.fill(token, 21)
            return Owned(token, orders, customers.cart(token))
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise ProbeError(f"the shop could not be bought in before: {error}") from None

    def _look(
        self, context: Context, customers: Customers, owned: Owned, limit_s: float
    ) -> tuple[set[str], int]:
        """Return what is found once the shop answers again."""
        began = context.clock()
        while True:
            try:
                return customers.orders(owned.token), customers.cart(owned.token)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                if context.clock() - began > limit_s:
                    raise ProbeError(f"no answer {limit_s:.0f} s later: {error}") from None
            context.sleep(_POLL_S)

    def _bare(self, context: Context, inspector: Inspector) -> list[Sample]:
        """Return what becomes of what is written beside every volume."""
        try:
            lost = inspector.lost_without_volume()
        except ProbeError as error:
            fault = "machine" if "machine" in deaths(inspector) else "container"
            return [
                context.sample(
                    self.name,
                    "lost_files",
                    None,
                    "count",
                    outcome="not_measured",
                    evidence=str(error),
                    fault=fault,
                    volume="no",
                )
            ]
        return [
            context.sample(
                self.name,
                "lost_files",
                float(gone),
                "count",
                evidence="of one, written where no volume is",
                fault=fault,
                volume="no",
            )
            for fault, gone in lost.items()
        ]

    def _lost(self, context: Context, fault: str, reason: str) -> Sample:
        return context.sample(
            self.name, "lost_orders", None, "count", evidence=reason, fault=fault, volume="yes"
        )


def deaths(inspector: Inspector) -> Mapping[str, Sequence[Kill]]:
    """Return the stores' deaths by their kind; a machine has both stores and dies once.

    A cluster's node is left to the availability experiment: kind has dockerd start one again a
    single time.
    """
    found: dict[str, dict[str, Kill]] = {}
    for store in catalogue.DATASTORES:
        for kill in inspector.kills(store):
            if kill.fault == "node":
                continue
            found.setdefault(kill.fault, {}).setdefault(kill.what, kill)
    return {fault: tuple(kills.values()) for fault, kills in found.items()}
