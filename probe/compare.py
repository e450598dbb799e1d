"""Deploys each side several times in random order, measures it, tears it down, keeps the samples.

A side is a model with a shape of the shop in it. A round deploys every side once in each state
(cold, warm); the order within a round is random, from a recorded seed. Each deployment is a trial:
its samples are on disk before the next one begins, and whatever happens, Ctrl-C too, its stack is
destroyed and removed.
"""

from __future__ import annotations

import ipaddress
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe import cleaning, models, sites, store
from probe.engine import Engine, UpResult
from probe.errors import ProbeError
from probe.experiments import Context, Experiment, Plan, choose
from probe.experiments.readiness import Readiness
from probe.listener import Listener
from probe.models.guest import key_file, public_key
from probe.records import Manifest, Sample, Side, State, Trial, TrialDone
from probe.target import from_outputs
from probe.transaction import await_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How often a destroy is tried.
ATTEMPTS = 3
#: What a deployment of the monolith takes where no earlier run tells (seconds: up, first
#: transaction and destroy; a machine that is emulated), and how much longer the microservices do.
GUESSES: dict[tuple[str, str], float] = {
    ("docker", "cold"): 14.0,
    ("docker", "warm"): 15.0,
    ("kubernetes", "cold"): 62.0,
    ("kubernetes", "warm"): 56.0,
    ("vm", "cold"): 99.0,
    ("vm", "warm"): 103.0,
}
MICROSERVICES: dict[str, float] = {"docker": 1.6, "kubernetes": 1.3, "vm": 1.8}


@dataclass(frozen=True, slots=True)
class Order:
    """What to do: the part of the manifest that the planning needs."""

    sides: tuple[Side, ...]
    reps: int
    states: tuple[State, ...]
    seed: int

    def trials(self) -> list[Trial]:
        """Return all trials: round by round, within a round in random order."""
        rng = random.Random(self.seed)
        found: list[Trial] = []
        for number in range(1, self.reps + 1):
            block = [
                Trial(number, side.model, side.shape, state)
                for side in self.sides
                for state in self.states
            ]
            rng.shuffle(block)
            found += block
        return found


@dataclass(slots=True)
class Comparison:
    """A run of trials."""

    root: Path
    folder: store.RunFolder
    manifest: Manifest
    engine: Engine
    plan: Plan
    artefacts: dict[str, Any]
    listener: Listener = field(default_factory=Listener)
    clock: Callable[[], float] = time.monotonic
    #: What deployments took in an earlier run, by ``Trial.alike``.
    history: Mapping[str, float] = field(default_factory=dict)

    def stack_name(self, trial: Trial) -> str:
        """Return the name of the stack that a trial deploys."""
        return f"cmp-{self.manifest.run}-{trial.model}"

    def run(self, trials: Sequence[Trial], done: Mapping[str, TrialDone]) -> bool:
        """Do the trials that are not done yet; return whether all went well."""
        durations = {key: entry.seconds for key, entry in done.items()}
        todo = [t for t in trials if t.key not in done]
        good = all(entry.outcome == "ok" for entry in done.values())
        self.folder.claim()
        try:
            for trial in todo:
                number = trials.index(trial) + 1
                self.listener.begin(number, len(trials), trial, self._estimate(trial, durations))
                first = not any(
                    replace(t, round=trial.round) == trial for t in trials[: trials.index(trial)]
                )
                entry, samples = self.trial(trial, first)
                self.folder.finish_trial(samples, entry)
                durations[trial.key] = entry.seconds
                good = good and entry.outcome == "ok"
                self.listener.end(trial, entry, samples)
        finally:
            self.folder.release()
        return good

    def _estimate(self, trial: Trial, durations: Mapping[str, float]) -> float:
        here = {Trial.parse(key).alike: seconds for key, seconds in durations.items()}
        past = {**self.history, **here}
        return estimate_trial(trial, self.manifest.experiments, self.plan, past)

    def _config(self, trial: Trial) -> dict[str, str]:
        config = {str(k): str(v) for k, v in self.manifest.config.items()}
        config |= {
            "model": trial.model,
            "shape": trial.shape,
            "keep_images": "true" if trial.state == "warm" else "false",
        }
        if trial.model == "vm":
            uri = config.get("libvirt_uri", "qemu:///system")
            taken = sites.taken_subnets(uri)
            config["vm_subnet"] = sites.free_subnet(random.Random(), taken)
            if any(experiment.goes_in for experiment in choose(self.manifest.experiments)):
                config.setdefault("ssh_public_key", public_key(key_file()))
        else:
            address = config.get("bind_address", "127.0.0.1")
            config["gateway_port"] = str(sites.free_port(address))
        return config

    def context(self, trial: Trial, first: bool) -> Context:
        """Return a trial's context, with free places chosen for its deployment."""
        config = self._config(trial)
        return Context(
            run=self.manifest.run,
            model=trial.model,
            shape=trial.shape,
            round=trial.round,
            state=trial.state,
            first=first,
            plan=self.plan,
            root=self.root,
            artefacts=self.artefacts,
            config=config,
            prefix=f"triptych-{self.stack_name(trial)}",
            expected_ready_url=expected_ready_url(config),
            clock=self.clock,
            say=self.listener.phase,
        )

    def trial(self, trial: Trial, first: bool) -> tuple[TrialDone, list[Sample]]:
        """Deploy, measure and tear down once."""
        began = self.clock()
        name = self.stack_name(trial)
        context = self.context(trial, first)
        experiments = choose(self.manifest.experiments)
        samples: list[Sample] = []
        problem = ""
        try:
            self._deploy_and_measure(name, context, experiments, samples)
        except ProbeError as error:
            problem = str(error)
            context.up_error = context.up_error or problem
            if not samples:
                # Each experiment says in its own metrics that this deployment failed, so that it
                # counts wherever it would have counted.
                for experiment in experiments:
                    if not experiment.applies(context):
                        samples += experiment.measure(context)
        finally:
            # Watchers and clients first: they would only see the teardown.
            for experiment in experiments:
                with suppress(ProbeError):
                    experiment.cleanup(context)
            with shielded(self.listener):
                self.tear_down(name, context)
        samples += self._conclude(context, experiments)
        self.folder.write_raw(f"{trial.key}.json", context.raw)
        if context.timelines:
            self.folder.write_raw(f"{trial.key}{store.TIMELINES}", context.timelines)
        failed = problem or context.up_error or context.destroy_error
        findings = {e.name for e in experiments if e.failure_is_finding}
        bad = [s for s in samples if s.outcome == "failed" and s.experiment not in findings]
        ok = not failed and not bad
        entry = TrialDone(
            key=trial.key,
            outcome="ok" if ok else "failed",
            seconds=round(self.clock() - began, 3),
            samples=len(samples),
            note=(failed or next((s.evidence for s in bad), ""))[:500],
        )
        return entry, _with_accelerator(samples, context)

    def _deploy_and_measure(
        self,
        name: str,
        context: Context,
        experiments: Sequence[Experiment],
        samples: list[Sample],
    ) -> None:
        preparation = models.preparation(context.model, context.config, context.artefacts)
        self.listener.phase(f"making the host {context.state}")
        context.preparation = preparation.cold() if context.state == "cold" else preparation.warm()
        self.engine.create(name, context.config)
        context.watcher = models.watcher(context.model, context.prefix, context.config)
        self.listener.phase("reading the baseline")
        # Readiness is first in the list and last to prepare: its poller should run for as short
        # as possible before the clock starts, and not while the baseline is read.
        for experiment in reversed(experiments):
            if not experiment.applies(context):
                experiment.prepare(context)
        self.listener.phase("pulumi up")
        result = self.engine.up(name, self.plan.timeout_s)
        self._take(context, result, name)
        if context.state == "cold":
            context.fetched_bytes = preparation.fetched_bytes

        def again(secrets: Mapping[str, str | None]) -> UpResult:
            for key, value in secrets.items():
                self.engine.keep_secret(name, key, value)
            return self.engine.up(name, self.plan.timeout_s)

        context.redeploy = again
        if Readiness.name not in {experiment.name for experiment in experiments}:
            # Nobody else waits, and what is done to a stack is done to one that answers.
            self._await_answer(context)
        for experiment in experiments:
            if experiment.applies(context):
                continue
            self.listener.phase(experiment.name)
            samples += experiment.measure(context)

    def _await_answer(self, context: Context) -> None:
        target = context.target
        if target is None or context.not_up:
            return
        self.listener.phase("waiting until it is ready")
        said = await_ready(
            target.ready_url,
            target.ca_certificate,
            self.plan.timeout_s,
            clock=self.clock,
            sleep=context.sleep,
        )
        if said:
            raise ProbeError(f"not ready after {self.plan.timeout_s:.0f} s: {said}")

    def _take(self, context: Context, result: UpResult, name: str) -> None:
        context.started_at = result.started_at
        context.engine_first_at = result.first_event_at
        context.up_done_at = result.done_at
        context.up_error = result.error
        context.raw["engine"] = result.events
        if result.outputs:
            try:
                context.target = from_outputs(name, result.outputs)
            except ProbeError as error:
                context.up_error = context.up_error or str(error)
        if context.target is not None:
            context.accelerator = context.target.accelerator
        with suppress(ProbeError):
            context.resources = self.engine.resources(name)

    def tear_down(self, name: str, context: Context) -> None:
        """Destroy and remove the stack, and whatever of its name is left; note how it went."""
        self.listener.phase("pulumi destroy")
        # Ctrl-C in a terminal reaches the engine too and ends a destroy half-way, hence again.
        for _ in range(ATTEMPTS):
            try:
                context.destroy_s = self.engine.destroy(name)
                context.destroy_error = ""
                break
            except ProbeError as error:
                context.destroy_error = str(error)
        self.engine.remove(name)
        left = cleaning.remove_leftovers(context.prefix, context.config)
        if left and not context.destroy_error:
            context.destroy_error = f"destroy left behind: {', '.join(left)}"

    def _conclude(self, context: Context, experiments: Sequence[Experiment]) -> list[Sample]:
        samples: list[Sample] = []
        for experiment in experiments:
            reason = experiment.applies(context)
            if not reason:
                samples += experiment.conclude(context)
        return samples


def _with_accelerator(samples: Sequence[Sample], context: Context) -> list[Sample]:
    """Mark the samples taken before the accelerator was known, too."""
    return [replace(s, accelerator=context.accelerator) for s in samples]


def expected_ready_url(config: Mapping[str, str]) -> str:
    """Return where a deployment with this configuration will answer."""
    if config["model"] == "vm":
        return f"https://{sites.vm_address(config['vm_subnet'])}:8443/health/ready"
    address = ipaddress.ip_address(config.get("bind_address", "127.0.0.1"))
    host = "127.0.0.1" if address.is_unspecified else str(address)
    return f"https://{host}:{config['gateway_port']}/health/ready"


def estimate_trial(
    trial: Trial,
    experiments: Sequence[str],
    plan: Plan,
    history: Mapping[str, float] | None = None,
) -> float:
    """Return about how long a trial takes (seconds): as long as last time, else a guess.

    ``history`` has seconds by ``Trial.alike``. Where it has only a first round, or only later ones,
    what is measured once makes the difference.
    """
    takes = {e: e.seconds(trial.model, trial.state, plan) for e in choose(experiments)}
    once_s = sum(seconds for e, seconds in takes.items() if e.once)
    past = history or {}
    if (known := past.get(trial.alike)) is not None:
        return known
    first = trial.round == 1
    if (other := past.get(replace(trial, round=2 if first else 1).key)) is not None:
        return max(0.0, other + once_s if first else other - once_s)
    measured = sum(takes.values()) - (0.0 if first else once_s)
    deployed = GUESSES.get((trial.model, trial.state), 60.0)
    if trial.shape == "microservices":
        deployed *= MICROSERVICES.get(trial.model, 1.5)
    return deployed + measured


@contextmanager
def shielded(listener: Listener) -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM from cutting a teardown short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def later(_signal: int, _frame: object) -> None:
        listener.note("tearing down first, please wait")

    before = {s: signal.signal(s, later) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that it tears down as well."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
