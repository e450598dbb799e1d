"""What one business transaction takes on an idle stack, one after the other.

This is a closed loop with one customer: it says how long a transaction takes, nothing about what a
model carries under load.
"""

from __future__ import annotations

from probe.experiments.base import Context, Experiment, Plan
from probe.records import Sample, State
from probe.transaction import Shopper, TransactionFailed, checked_context


class Latency(Experiment):
    """Transactions one by one, over a checked TLS connection."""

    name = "latency"
    summary = "business transactions one after the other on an idle stack"
    states = ("warm", "up")

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return a guess: under a second each where nothing is emulated."""
        return plan.transactions * (1.0 if model == "vm" else 0.3) if state in self.states else 0.0

    def measure(self, context: Context) -> list[Sample]:
        """Return a sample per transaction."""
        target = context.target
        if target is None or context.not_up:
            return [context.sample(self.name, "transaction_s", None, "s", evidence=context.not_up)]
        shopper = Shopper(
            target.gateway_url, checked_context(target.ca_certificate), clock=context.clock
        )
        samples = []
        try:
            for number in range(1, context.plan.transactions + 1):
                try:
                    done = shopper.buy()
                except TransactionFailed as error:
                    samples.append(
                        context.sample(
                            self.name,
                            "transaction_s",
                            None,
                            "s",
                            evidence=str(error),
                            number=str(number),
                        )
                    )
                    continue
                # Registering is part of the first one only, and is not what is compared.
                seconds = done.seconds - done.steps_s.get("register", 0.0)
                samples.append(
                    context.sample(self.name, "transaction_s", seconds, "s", number=str(number))
                )
        finally:
            shopper.close()
        return samples
