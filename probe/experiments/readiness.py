"""How long from ``pulumi up`` to the first business transaction, by phase.

All stamps are on this host's monotonic clock and come from outside of the deployment. The poller
runs from before the engine starts until the first good answer and no longer.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from probe.errors import ProbeError
from probe.experiments.base import Context, Experiment
from probe.models.base import WATCHED_PHASES
from probe.poller import GatewayPoller, PollResult
from probe.records import Sample
from probe.transaction import (
    Shopper,
    Transaction,
    TransactionFailed,
    unchecked_context,
    verify_identity,
)

#: Phases in their order; each sample is seconds since the engine was started.
PHASES = (*WATCHED_PHASES, "ready_endpoint", "first_transaction")
#: How long between two attempts at a transaction that failed (seconds).
RETRY_S = 0.05
#: Failed attempts beyond this many are counted but not described.
DESCRIBED = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen at the gateway."""

    polled: PollResult
    bought: Transaction | None
    bought_at: float | None
    failures: tuple[str, ...]
    verdict: str = ""


class Race:
    """Polls the gateway and buys as soon as it is ready, in a thread beside the engine.

    Nothing that the engine or its driver does after the shop has become ready delays the stamp.
    """

    def __init__(self, ready_url: str, context: Context) -> None:
        """Take the address to ask and, from the context, clock, polling period and route."""
        self.url = ready_url
        self._clock = context.clock
        self._shopper = Shopper(
            "/".join(ready_url.split("/", 3)[:3]), unchecked_context(), clock=context.clock
        )
        self._poller = GatewayPoller(
            ready_url, period_s=context.plan.poll_period_s, direct=not is_remote(context.config)
        )
        self._bought: tuple[float, Transaction] | None = None
        self._failures: list[str] = []
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._run, name="first-transaction", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._poller.start()
        self._thread.start()

    def _run(self) -> None:
        self._poller.wait(None)
        if self._poller.result().ready_at is None:
            return
        while not self._halt.is_set():
            try:
                done = self._shopper.buy()
            except TransactionFailed as error:
                self._failures.append(str(error))
                self._halt.wait(RETRY_S)
                continue
            self._bought = (self._clock(), done)
            return

    def finish(self, timeout_s: float) -> Outcome:
        """Wait for the transaction, but not longer; then stop everything and return what was."""
        self._thread.join(max(timeout_s, 0))
        self._halt.set()
        polled = self._poller.stop()
        self._thread.join()
        self._shopper.close()
        at, done = self._bought or (None, None)
        return Outcome(polled, done, at, tuple(self._failures))


class Readiness(Experiment):
    """Stamps the phases of a deployment."""

    name = "readiness"
    summary = "time from the engine's start to the first business transaction, by phase"
    works_on_running = False
    states = ("cold", "warm")

    def __init__(self) -> None:
        self._race: Race | None = None

    def prepare(self, context: Context) -> None:
        """Start watcher, poller and customer, all outside of the timed window."""
        if context.watcher is not None:
            context.watcher.start()
        if context.expected_ready_url:
            self._race = Race(context.expected_ready_url, context)
            self._race.start()

    def measure(self, context: Context) -> list[Sample]:
        """Wait for the first transaction and return every phase."""
        if context.started_at is None:
            reason = context.up_error or "the engine never started"
            return [self._failed(context, phase, reason) for phase in PHASES]
        deadline = context.started_at + context.plan.timeout_s
        if context.up_error:
            # What is half there may still answer, but nobody waits minutes for it.
            deadline = min(deadline, context.clock() + 1)
        target = context.target
        late = False
        if target is not None and (self._race is None or self._race.url != target.ready_url):
            # The address was not known beforehand, or it turned out otherwise.
            if self._race is not None:
                self._race.finish(0)
            self._race = Race(target.ready_url, context)
            self._race.start()
            late = True
        if self._race is None:
            return [self._failed(context, phase, self._evidence(context, ())) for phase in PHASES]
        outcome = self._race.finish(deadline - context.clock())
        self._race = None
        if outcome.bought is not None and target is not None:
            verdict = verify_identity(
                target.gateway_url,
                target.ca_certificate,
                [outcome.bought.certificate, outcome.polled.certificate],
            )
            outcome = replace(outcome, verdict=verdict)
        samples = self._phases(context, outcome)
        samples += self._instrument(context, outcome.polled, late)
        if outcome.bought is not None and not outcome.verdict:
            samples += [
                context.sample(self.name, "first_transaction_step_s", seconds, "s", step=step)
                for step, seconds in outcome.bought.steps_s.items()
            ]
        context.raw["readiness"] = {
            "started_at": context.started_at,
            "events": context.watcher.log() if context.watcher is not None else [],
            "poll": {
                "attempts": outcome.polled.attempts,
                "seen": outcome.polled.seen,
                "ready_at": outcome.polled.ready_at,
                "last_bad_at": outcome.polled.last_bad_at,
            },
            "failed_transactions": list(outcome.failures),
        }
        return samples

    def _phases(self, context: Context, outcome: Outcome) -> list[Sample]:
        assert context.started_at is not None
        zero = context.started_at
        polled, failures = outcome.polled, outcome.failures
        stamps = context.watcher.stamps() if context.watcher is not None else {}
        missing = context.watcher.missing() if context.watcher is not None else {}
        evidence = ""
        if outcome.bought is None:
            evidence = self._evidence(context, failures)
        samples: list[Sample] = []
        if context.engine_first_at is not None:
            samples.append(
                context.sample(
                    self.name, "engine_first_event_s", context.engine_first_at - zero, "s"
                )
            )
        for phase in WATCHED_PHASES:
            if phase in missing:
                samples.append(
                    context.sample(
                        self.name,
                        f"{phase}_s",
                        None,
                        "s",
                        outcome="not_measured",
                        evidence=missing[phase],
                    )
                )
            elif phase in stamps:
                samples.append(context.sample(self.name, f"{phase}_s", stamps[phase] - zero, "s"))
            else:
                samples.append(self._failed(context, phase, evidence or "never seen"))
        samples += self._steps(context, stamps, missing)
        if polled.ready_at is not None:
            samples.append(
                context.sample(
                    self.name,
                    "ready_endpoint_s",
                    polled.ready_at - zero,
                    "s",
                    evidence=_answers(polled),
                )
            )
        else:
            samples.append(self._failed(context, "ready_endpoint", evidence))
        if outcome.bought_at is not None and not outcome.verdict:
            note = f"{len(failures)} attempts failed before: {'; '.join(failures[:DESCRIBED])}"
            samples.append(
                context.sample(
                    self.name,
                    "first_transaction_s",
                    outcome.bought_at - zero,
                    "s",
                    evidence=note if failures else "",
                )
            )
        else:
            samples.append(self._failed(context, "first_transaction", outcome.verdict or evidence))
        if polled.ready_at is not None:
            samples.append(
                context.sample(self.name, "failed_first_transactions", len(failures), "count")
            )
        return samples

    def _steps(
        self, context: Context, stamps: Mapping[str, float], missing: Mapping[str, str]
    ) -> list[Sample]:
        """Return a model's own steps between the phases that all have."""
        assert context.started_at is not None
        samples = []
        for step in (*stamps, *(m for m in missing if m not in stamps)):
            if step in WATCHED_PHASES:
                continue
            samples.append(
                context.sample(
                    self.name,
                    "step_s",
                    None if step in missing else stamps[step] - context.started_at,
                    "s",
                    outcome="not_measured" if step in missing else "ok",
                    evidence=missing.get(step, ""),
                    step=step,
                )
            )
        return samples

    def _instrument(self, context: Context, polled: PollResult, late: bool) -> list[Sample]:
        """Return what the poller says about itself: its resolution and what it took."""
        samples = []
        for metric, value in (
            ("poll_gap_median_s", polled.gap(0.5)),
            ("poll_gap_p99_s", polled.gap(0.99)),
        ):
            if value is not None:
                samples.append(context.sample(self.name, metric, value, "s"))
        if polled.ready_at is not None:
            if polled.last_bad_at is not None and not late:
                samples.append(
                    context.sample(
                        self.name, "ready_uncertainty_s", polled.ready_at - polled.last_bad_at, "s"
                    )
                )
            else:
                samples.append(
                    context.sample(
                        self.name,
                        "ready_uncertainty_s",
                        None,
                        "s",
                        outcome="not_measured",
                        evidence="polling began late: the address was not known beforehand"
                        if late
                        else "no attempt failed before the first good one",
                    )
                )
        if polled.wall_s > 0:
            samples.append(context.sample(self.name, "poll_cpu_cores", polled.cpu_share, "cores"))
        return samples

    def _evidence(self, context: Context, failures: Sequence[str]) -> str:
        lines = []
        if context.up_error:
            lines.append(f"pulumi up: {context.up_error}")
        else:
            lines.append(f"nothing within {context.plan.timeout_s:.0f} s")
        lines += failures[-DESCRIBED:]
        if context.watcher is not None:
            try:
                lines.append(context.watcher.last_words())
            except ProbeError as error:
                lines.append(str(error))
        return "\n".join(line for line in lines if line)

    def _failed(self, context: Context, phase: str, evidence: str) -> Sample:
        return context.sample(
            self.name, f"{phase}_s", None, "s", outcome="failed", evidence=evidence or "never seen"
        )

    def cleanup(self, context: Context) -> None:
        """Stop whatever still runs."""
        if self._race is not None:
            self._race.finish(0)
            self._race = None
        if context.watcher is not None:
            context.watcher.stop()


def _answers(polled: PollResult) -> str:
    bad = {k: v for k, v in polled.seen.items() if k != "200"}
    listed = ", ".join(f"{name} {count}x" for name, count in sorted(bad.items()))
    return f"{polled.attempts} attempts; before the first 200: {listed or 'nothing else'}"


def is_remote(config: Mapping[str, str]) -> bool:
    """Tell whether the deployment goes to another machine, by way of whatever router."""
    uri = config.get("libvirt_uri", "")
    daemon = config.get("docker_host", "")
    return "+" in uri.partition("://")[0] or daemon.startswith(("ssh://", "tcp://"))
