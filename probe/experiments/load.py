"""What a stack carries: the business mix at a rising rate, until it no longer keeps up.

Open loop (see ``probe.vegeta``). The knee is the highest rate at which at least 99 % of the
requests were answered well, the 99th percentile stayed below a second, and the generator kept its
own rate.
"""

from __future__ import annotations

from typing import Final

import httpx

from probe import vegeta
from probe.errors import ProbeError
from probe.experiments.base import Context, Plan, StackExperiment
from probe.models.base import Inspector
from probe.records import Sample, State
from probe.target import Target
from probe.transaction import Customers, await_ready, checked_context
from probe.vegeta import Report, Request

#: Requests per second, one after the other.
RATES: Final = (10, 20, 40, 80, 160, 320, 640)
GOOD_SHARE: Final = 0.99
SLOWEST_S: Final = 1.0
#: So much of the intended rate the generator has to reach, else it was the bottleneck.
KEPT_RATE: Final = 0.98
#: How long a stack that was overloaded may take to be itself again (seconds), and by how many good
#: answers in a row it is known.
RECOVERY_S: Final = 180.0
STEADY: Final = 20
#: Between two rates the stack gets this long to work off what is left (seconds).
PAUSE_S: Final = 2.0


def mix(tokens: list[str]) -> list[Request]:
    """Return the mix: looking around mostly, some carts, some lists of orders.

    Paying and logging in are left out: what they cost is bounded on purpose (the payment gateway,
    the password's hash), and their latency is the business transaction's.
    """
    looking = [
        Request("GET", "/", weight=4),
        *(Request("GET", f"/api/v1/products?q={word}") for word in ("lamp", "desk", "chair")),
        *(Request("GET", f"/api/v1/products?page={page}") for page in range(1, 6)),
        *(Request("GET", f"/api/v1/products/{number}") for number in range(1, 41, 4)),
    ]
    own = []
    for token in tokens:
        who = {"Authorization": f"Bearer {token}"}
        own += [
            Request("PUT", "/api/v1/cart/items/7", who, {"quantity": 1}),
            Request("GET", "/api/v1/cart", who),
            Request("GET", "/api/v1/orders", who),
        ]
    return looking + own


def rates_up_to(highest: float) -> tuple[int, ...]:
    """Return the rates, the lowest in any case."""
    return tuple(rate for rate in RATES if rate <= max(highest, RATES[0]))


def keeps_up(report: Report) -> bool:
    """Tell whether a stack kept up with a rate."""
    return report.success >= GOOD_SHARE and report.latencies_s["p99"] <= SLOWEST_S


class Load(StackExperiment):
    """Latency and throughput against the rate, up to saturation."""

    name = "load"
    summary = "latency, throughput, CPU and memory against the rate, up to saturation"
    states = ("warm", "up")

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return a guess: half of the rates are reached."""
        if state not in self.states:
            return 0.0
        # Most stacks fail before the highest.
        return min(len(rates_up_to(plan.max_rate)), 6) * (plan.load_s + PAUSE_S)

    def look(self, context: Context, target: Target, inspector: Inspector) -> list[Sample]:
        """Return samples per rate, and the knee."""
        samples = self._climb(context, target, mix(self._log_in(target)), inspector)
        return [*samples, self._recovery(context, target)]

    def failed(self, context: Context, reason: str) -> Sample:
        """Return a failed sample of the knee."""
        return context.sample(self.name, "knee_rate", None, "1/s", evidence=reason)

    def _recovery(self, context: Context, target: Target) -> Sample:
        """Wait until the stack answers steadily again; whoever measures next finds it so."""
        context.say("load: waiting for it to answer steadily again")
        began = context.clock()
        said = await_ready(
            target.ready_url,
            target.ca_certificate,
            RECOVERY_S,
            streak=STEADY,
            clock=context.clock,
            sleep=context.sleep,
        )
        took = None if said else context.clock() - began
        evidence = f"{STEADY} good answers in a row"
        if said:
            evidence = f"not {evidence} within {RECOVERY_S:.0f} s: {said}"
        return context.sample(self.name, "overload_recovery_s", took, "s", evidence=evidence)

    def _log_in(self, target: Target) -> list[str]:
        customers = Customers(target.gateway_url, checked_context(target.ca_certificate))
        try:
            return [customers.enroll() for _ in range(5)]
        except httpx.HTTPError as error:
            raise ProbeError(f"no customer could log in: {error}") from None
        finally:
            customers.close()

    def _climb(
        self, context: Context, target: Target, requests: list[Request], inspector: Inspector
    ) -> list[Sample]:
        samples: list[Sample] = []
        knee, note = None, "not even the lowest rate"
        for rate in rates_up_to(context.plan.max_rate):
            context.say(f"load: {rate} requests a second for {context.plan.load_s:.0f} s")
            before = self._cpu_s(inspector)
            try:
                report = vegeta.attack(
                    target.gateway_url,
                    requests,
                    rate=rate,
                    seconds=context.plan.load_s,
                    ca_certificate=target.ca_certificate,
                )
            except ProbeError as error:
                note = str(error)
                break
            samples += self._of_rate(context, rate, report)
            samples += self._cost(context, rate, report, before, inspector)
            if report.rate < KEPT_RATE * rate:
                note = f"the generator sent {report.rate:.1f} of {rate} a second: its limit"
                break
            if not keeps_up(report):
                if report.success >= GOOD_SHARE:
                    knee = knee or 0  # slow from the lowest rate on: a finding, not a failure
                note = (
                    f"at {rate} a second {report.success:.1%} good,"
                    f" p99 {report.latencies_s['p99']:.2f} s"
                )
                break
            knee, note = rate, "the highest rate that was tried"
            context.sleep(PAUSE_S)
        samples.append(context.sample(self.name, "knee_rate", knee, "1/s", evidence=note))
        return samples

    def _of_rate(self, context: Context, rate: int, report: Report) -> list[Sample]:
        codes = ", ".join(f"{code} {n}x" for code, n in sorted(report.codes.items()))
        answered = f"{report.good} of {report.requests} good: {codes}"
        samples = [
            context.sample(
                self.name, "latency_s", value, "s", evidence=answered, quantile=name, rate=str(rate)
            )
            for name, value in report.latencies_s.items()
        ]
        for metric, value, unit in (
            ("throughput", report.throughput, "1/s"),
            ("sent_rate", report.rate, "1/s"),
            ("failed_share", 1 - report.success, "share"),
        ):
            evidence = "; ".join(report.errors[:3]) if metric == "failed_share" else answered
            samples.append(
                context.sample(self.name, metric, value, unit, evidence=evidence, rate=str(rate))
            )
        return samples

    def _cpu_s(self, inspector: Inspector) -> float | None:
        try:
            return sum(usage.cpu_s for usage in inspector.shares().services.values())
        except ProbeError:
            return None

    def _cost(
        self,
        context: Context,
        rate: int,
        report: Report,
        before: float | None,
        inspector: Inspector,
    ) -> list[Sample]:
        """Return the services' CPU per 100 good answers, and what they hold right after."""
        after = self._cpu_s(inspector)
        if before is None or after is None or not report.good:
            return []
        held = sum(usage.memory_bytes for usage in inspector.shares().services.values())
        return [
            context.sample(
                self.name,
                "cpu_s_per_100",
                (after - before) / report.good * 100,
                "s",
                rate=str(rate),
            ),
            context.sample(self.name, "memory_under_load_bytes", held, "bytes", rate=str(rate)),
        ]
