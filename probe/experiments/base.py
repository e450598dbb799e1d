"""The interface that every experiment has, and what it is handed.

An experiment is one file with one class. Within a deployment it gets four calls in this order:
``prepare`` before the engine starts, ``measure`` once ``up`` has returned and the shop has answered
(or has not), ``conclude`` after the teardown, ``cleanup`` whatever happened. It returns samples by
``Context.sample`` and never raises for what the deployment does wrong: that is a failed sample.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from probe import host, models
from probe.errors import ProbeError
from probe.models.base import Inspector, Watcher
from probe.poller import PERIOD_S
from probe.records import Outcome, Sample, State
from probe.target import Target

if TYPE_CHECKING:
    from probe.engine import UpResult


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to wait and look: stated in the manifest and in the report."""

    settle_s: float = 5.0
    window_s: float = 20.0
    poll_period_s: float = PERIOD_S
    timeout_s: float = 300.0
    transactions: int = 10
    #: How long each rate of the load lasts.
    load_s: float = 10.0
    #: Up to which rate (requests per second) it goes, if the stack keeps up.
    max_rate: float = 640.0

    @classmethod
    def quick(cls) -> Plan:
        """Return the plan of ``--quick``."""
        return cls(settle_s=2.0, window_s=5.0, transactions=5, load_s=5.0)


@dataclass(slots=True)
class Context:
    """One deployment as the experiments see it. The engine's side fills it as it goes on."""

    run: str
    model: str
    shape: str
    round: int
    state: State
    first: bool
    plan: Plan
    root: Path
    artefacts: dict[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    #: The address at which the gateway will answer, known before the deployment where it is chosen.
    expected_ready_url: str = ""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    read_load: Callable[[], Mapping[str, float]] = host.load
    say: Callable[[str], None] = lambda _text: None

    accelerator: str = "none"
    target: Target | None = None
    #: Moment at which ``pulumi up`` was started, and when its summary came.
    started_at: float | None = None
    up_done_at: float | None = None
    up_error: str = ""
    destroy_s: float | None = None
    destroy_error: str = ""
    engine_first_at: float | None = None
    resources: dict[str, int] = field(default_factory=dict)
    preparation: str = ""
    #: Tells what a cold deployment really unpacked, where that can be told. It asks the daemon for
    #: more than is fair while a clock is running.
    fetched_bytes: Callable[[], int | None] = lambda: None
    watcher: Watcher | None = None
    #: Deploys once more with these secrets changed (None: taken out again), and returns what became
    #: of it. None where the stack is somebody's own.
    redeploy: Callable[[Mapping[str, str | None]], UpResult] | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    #: Requests around an event, by its name: seconds since it, latency, what went wrong.
    timelines: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)

    @property
    def not_up(self) -> str:
        """Return why there is nothing to measure; an empty text if the stack is up."""
        if self.target is None or self.up_error:
            return f"the stack did not come up: {self.up_error or 'no outputs'}"
        return ""

    def sample(
        self,
        experiment: str,
        metric: str,
        value: float | None,
        unit: str,
        *,
        outcome: Outcome = "ok",
        evidence: str = "",
        **labels: str,
    ) -> Sample:
        """Return a sample of this deployment; a missing value is a failed one by default."""
        if value is None and outcome == "ok":
            outcome = "failed"
        return Sample(
            run=self.run,
            model=self.model,
            shape=self.shape,
            experiment=experiment,
            round=self.round,
            metric=metric,
            value=None if outcome != "ok" or value is None else float(value),
            unit=unit,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            outcome=outcome,
            evidence=evidence or ("" if outcome == "ok" else "no value and no reason known"),
            state=self.state,
            first=self.first,
            accelerator=self.accelerator,
            labels=labels,
            host=dict(self.read_load()),
        )


class Experiment(ABC):
    """One way to measure a deployment."""

    name: ClassVar[str]
    #: What it says about itself in listings.
    summary: ClassVar[str]
    #: Whether a ``measure`` on a stack that is up already can do it.
    works_on_running: ClassVar[bool] = True
    #: Whether ``prepare`` needs what the others need least: the last word before the clock starts.
    states: ClassVar[tuple[State, ...]] = ("cold", "warm", "up")
    #: Whether it has to get into a machine's guest.
    goes_in: ClassVar[bool] = False
    #: Whether the first round's is enough, as nothing in it is sampled.
    once: ClassVar[bool] = False
    #: Whether a failed sample is what was to be found out, and no fault of the run.
    failure_is_finding: ClassVar[bool] = False

    def applies(self, context: Context) -> str:
        """Return why the experiment makes no sense here, or an empty text if it does."""
        if context.state not in self.states:
            return f"not repeated in {context.state} deployments"
        if self.once and context.round != 1:
            return "nothing is sampled, so once is enough"
        return ""

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return about how long it adds to a deployment."""
        return 0.0

    def prepare(self, context: Context) -> None:  # noqa: B027 - most have nothing to prepare
        """Do what has to be done before the engine starts."""

    @abstractmethod
    def measure(self, context: Context) -> list[Sample]:
        """Return the samples of a stack that is up, or failed ones if it never came up."""

    def conclude(self, context: Context) -> list[Sample]:
        """Return the samples that are known only after the teardown."""
        return []

    def cleanup(self, context: Context) -> None:  # noqa: B027 - most have nothing to clean up
        """Give back what ``prepare`` took; called whatever happened."""


class StackExperiment(Experiment):
    """An experiment on a living stack, with what the model's inspector knows of it."""

    def measure(self, context: Context) -> list[Sample]:
        """Return what ``look`` does, or one failed sample where there is nothing to look at."""
        target = context.target
        if target is None or context.not_up:
            return [self.failed(context, context.not_up)]
        try:
            inspector = models.inspector(target)
        except ProbeError as error:
            return [self.failed(context, str(error))]
        try:
            return self.look(context, target, inspector)
        except ProbeError as error:
            return [self.failed(context, str(error))]
        finally:
            inspector.close()

    @abstractmethod
    def look(self, context: Context, target: Target, inspector: Inspector) -> list[Sample]:
        """Return the samples; a ProbeError becomes the one that ``failed`` makes."""

    @abstractmethod
    def failed(self, context: Context, reason: str) -> Sample:
        """Return the sample that says why there is no other."""
