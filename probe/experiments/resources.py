"""What a stack takes while idle: memory three ways, CPU, and what the instrument itself takes.

(i) the change of the host's MemAvailable from before the deployment to after it has settled; (ii)
the proportional set size of every process that belongs to it; (iii) its control groups' figure,
with the cache that the kernel would give back at once apart. The guest's own view stands beside
them. Every model is asked for the same roles of processes (see ``models.base.Roles``).

Each service's share is its control group's figure, in Docker and Kubernetes on the host and in a
machine as the guest says; what is no service is the platform's, part by part.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from probe import cgroups, host, models, processes
from probe.errors import ProbeError
from probe.experiments.base import Context, Experiment, Plan
from probe.models.base import ADD_ONS, CONTROL_PLANE, NODE, GuestMemory, Inspector, Roles, Shares
from probe.records import Sample, State

#: Readings of MemAvailable are this far apart; the median of them counts (seconds).
READ_EVERY_S = 0.25
#: How long the baseline is read before the deployment (seconds).
BASELINE_S = 1.0
#: What each part takes: metric and unit. Labels: ``scope`` and ``part``, with a total per scope.
SHARE_MEMORY: Final = ("share_memory_bytes", "bytes")
SHARE_CPU: Final = ("share_cpu_s_per_min", "s/min")
WHOLE: Final = {"scope": "application", "part": "total"}
#: How a share came about, by its part or else its scope.
EVIDENCE: Final = {
    "application": "the service's control group, without cache that the kernel gives back at once",
    "platform": "PSS and CPU time of the processes",
    "shared": "PSS and CPU time of daemons that serve others too",
    **dict.fromkeys(
        (CONTROL_PLANE, ADD_ONS),
        "its pods' control groups, without cache that the kernel gives back at once",
    ),
    NODE: "the node's control group, less its pods'",
    "image registry": "its control group, without cache that the kernel gives back at once",
    "guest OS": "what the guest uses in all, less the services",
    "QEMU": "what the QEMU process takes, less what is in use inside of the guest: emulation, and"
    " the guest's cache and free memory that it has touched",
}


class Resources(Experiment):
    """Memory three ways and CPU, idle."""

    name = "resources"
    summary = "memory three ways and CPU while idle"
    # Whether images were there beforehand makes no difference to what runs afterwards.
    states = ("warm", "up")

    def __init__(self, proc: Path = processes.PROC, cgroup_root: Path = cgroups.CGROUP) -> None:
        self._proc = proc
        self._cgroups = cgroup_root
        self._baseline: float | None = None
        self._daemons_before: int | None = None
        self._others_before: int | None = None

    def seconds(self, model: str, state: State, plan: Plan) -> float:
        """Return settle time plus window."""
        return plan.settle_s + plan.window_s + BASELINE_S if state in self.states else 0.0

    def prepare(self, context: Context) -> None:
        """Read the host's available memory and the daemons' share before anything is deployed."""
        if self.applies(context):
            return
        self._baseline = self._available(context, BASELINE_S)
        names = {
            "docker": ("dockerd", "containerd"),
            "kubernetes": ("dockerd", "containerd"),
            "vm": ("libvirtd", "virtqemud", "virtnetworkd", "virtstoraged", "virtlogd"),
        }.get(context.model, ())
        found: set[int] = set()
        for name in names:
            found |= processes.find(name, self._proc)
        self._others_before = processes.anonymous_of_others(found, self._proc)
        self._daemons_before = processes.memory_of_all(found, self._proc).pss_bytes

    def _available(self, context: Context, seconds: float) -> float:
        readings = []
        end = context.clock() + seconds
        while True:
            readings.append(host.available_bytes(self._proc))
            if context.clock() >= end:
                return statistics.median(readings)
            context.sleep(READ_EVERY_S)

    def measure(self, context: Context) -> list[Sample]:
        """Let the stack settle, watch it for a window, return every figure."""
        if context.target is None or context.not_up:
            return [
                context.sample(
                    self.name,
                    "memory_available_delta_bytes",
                    None,
                    "bytes",
                    outcome="failed",
                    evidence=context.not_up,
                )
            ]
        try:
            inspector = models.inspector(context.target)
        except ProbeError as error:
            return [
                context.sample(
                    self.name,
                    "memory_available_delta_bytes",
                    None,
                    "bytes",
                    outcome="failed",
                    evidence=str(error),
                )
            ]
        try:
            return self.observe(context, inspector)
        except ProbeError as error:
            return [
                context.sample(
                    self.name,
                    "memory_available_delta_bytes",
                    None,
                    "bytes",
                    outcome="failed",
                    evidence=str(error),
                )
            ]
        finally:
            inspector.close()

    def observe(self, context: Context, inspector: Inspector) -> list[Sample]:
        """Return the samples of a stack whose processes the inspector knows."""
        plan = context.plan
        context.say(f"settling {plan.settle_s:.0f} s, then idle for {plan.window_s:.0f} s")
        context.sleep(plan.settle_s)
        first = self._shares(context, inspector)
        before = inspector.roles()
        marks = inspector.marks()
        cpu_before = {role: self._cpu(pids) for role, pids in before.items()}
        group_cpu_before = self._group_cpu(before.workload, marks)
        busy_before = host.cpu_time(self._proc).busy_s
        own_before = _own_cpu()
        began = context.clock()

        available = self._available(context, plan.window_s)

        elapsed = context.clock() - began
        own_cpu = _own_cpu() - own_before
        busy = host.cpu_time(self._proc).busy_s - busy_before
        after = inspector.roles()
        group_cpu = self._group_cpu(after.workload, marks)
        cpu_after = {role: self._cpu(pids) for role, pids in after.items()}
        # Asking costs a guest some CPU: before the window and after it, not within.
        last = self._shares(context, inspector)
        guest = inspector.guest_memory()

        samples = self._headline(context, available, after)
        sizes = self._sizes(after)
        samples += self._pss(context, after, sizes)
        samples += self._control_groups(context, after.workload, marks)
        samples += self._guest(context, guest)
        per_minute = 60 / elapsed
        model_cpu = 0.0
        spent_by: dict[str, float] = {}
        for role, _ in after.items():
            spent = _spent(cpu_before[role], cpu_after[role])
            method = "process times"
            if role == "workload" and group_cpu is not None and group_cpu_before is not None:
                # Health checks come and go within the window; only their group remembers them.
                spent = max(group_cpu - group_cpu_before, 0.0)
                method = "control group"
            model_cpu += spent
            spent_by[role] = spent * per_minute
            samples.append(
                context.sample(
                    self.name,
                    "cpu_idle_s_per_min",
                    spent * per_minute,
                    "s/min",
                    evidence=f"{method}, {elapsed:.1f} s window",
                    role=role,
                )
            )
        samples.append(
            context.sample(
                self.name,
                "cpu_idle_s_per_min",
                spent_by["workload"] + spent_by["helpers"],
                "s/min",
                evidence="workload and helpers; daemons serve others too and stand apart",
                role="own",
            )
        )
        samples.append(context.sample(self.name, "probe_cpu_cores", own_cpu / elapsed, "cores"))
        others = max(busy - model_cpu - own_cpu, 0.0) / elapsed
        samples.append(
            context.sample(
                self.name,
                "other_cpu_cores",
                others,
                "cores",
                evidence="the host's busy time less the model's and the probe's",
            )
        )
        pss = {} if isinstance(sizes, str) else {r: float(m.pss_bytes) for r, m in sizes.items()}
        samples += self._shared_out(context, inspector, first, last, pss, guest, spent_by)
        return samples

    def _shares(self, context: Context, inspector: Inspector) -> tuple[float, Shares] | str:
        """Return what each service takes and when that was, or why it can't be told.

        The time is that of the answer: an inspector looks for the services first, or waits for a
        guest, and reads what they take last.
        """
        try:
            shares = inspector.shares()
            return context.clock(), shares
        except ProbeError as error:
            return str(error)

    def _shared_out(
        self,
        context: Context,
        inspector: Inspector,
        first: tuple[float, Shares] | str,
        last: tuple[float, Shares] | str,
        sizes: Mapping[str, float],
        guest: GuestMemory | None,
        spent_by: Mapping[str, float],
    ) -> list[Sample]:
        """Return each service's share of memory and CPU, and the platform's, part by part."""
        if isinstance(first, str) or isinstance(last, str):
            reason = first if isinstance(first, str) else str(last)
            return [
                context.sample(
                    self.name, metric, None, unit, outcome="not_measured", evidence=reason, **WHOLE
                )
                for metric, unit in (SHARE_MEMORY, SHARE_CPU)
            ]
        (since, start), (until, end) = first, last
        minutes = (until - since) / 60

        def per_minute(before: float, after: float) -> float:
            # One that was started again counts from nothing.
            return (after - before if after >= before else after) / minutes

        memory = {name: float(usage.memory_bytes) for name, usage in end.services.items()}
        cpu = {
            name: per_minute(start.services[name].cpu_s if name in start.services else 0.0, u.cpu_s)
            for name, u in end.services.items()
        }
        found = [
            *self._parts(context, SHARE_MEMORY, "application", memory),
            *self._parts(context, SHARE_CPU, "application", cpu),
        ]
        memory_of: dict[str, dict[str, float]] = {"platform": {}, "shared": {}}
        cpu_of: dict[str, dict[str, float]] = {"platform": {}, "shared": {}}
        for name, usage in end.platform.items():
            memory_of["platform"][name] = float(usage.memory_bytes)
            earlier = start.platform.get(name)
            cpu_of["platform"][name] = per_minute(earlier.cpu_s if earlier else 0.0, usage.cpu_s)
        if end.guest_cpu_s is not None and start.guest_cpu_s is not None:
            busy = per_minute(start.guest_cpu_s, end.guest_cpu_s)
            cpu_of["platform"]["guest OS"] = max(busy - sum(cpu.values()), 0.0)
            cpu_of["platform"]["QEMU"] = max(spent_by.get("workload", 0.0) - busy, 0.0)
        if guest is not None:
            memory_of["platform"]["guest OS"] = max(guest.used_bytes - sum(memory.values()), 0.0)
        if guest is not None and "workload" in sizes:
            beside = sizes["workload"] - guest.used_bytes
            memory_of["platform"]["QEMU"] = max(beside, 0.0)
        for part in inspector.platform_parts():
            cpu_of[part.scope][part.part] = spent_by.get(part.role, 0.0)
            if part.role in sizes:
                memory_of[part.scope][part.part] = sizes[part.role]
        for scope in ("platform", "shared"):
            found += self._parts(context, SHARE_MEMORY, scope, memory_of[scope])
            found += self._parts(context, SHARE_CPU, scope, cpu_of[scope])
        return found

    def _sizes(self, roles: Roles) -> dict[str, processes.Memory] | str:
        """Return each role's memory, or why this user may not read it."""
        try:
            return {role: processes.memory_of_all(pids, self._proc) for role, pids in roles.items()}
        except PermissionError as error:
            return f"reading other users' memory needs root: {error.filename}"

    def _parts(
        self, context: Context, metric: tuple[str, str], scope: str, values: Mapping[str, float]
    ) -> list[Sample]:
        """Return a sample per part and one of their sum."""
        name, unit = metric
        if not values:
            return []
        parts = {**values, "total": sum(values.values())}
        return [
            context.sample(
                self.name,
                name,
                value,
                unit,
                evidence=EVIDENCE.get(part, EVIDENCE[scope]),
                scope=scope,
                part=part,
            )
            for part, value in parts.items()
        ]

    def _headline(self, context: Context, available: float, roles: Roles) -> list[Sample]:
        """Return the change of MemAvailable, and beside it what others did to it meanwhile."""
        metric = "memory_available_delta_bytes"
        if self._baseline is None or self._others_before is None:
            reason = "the stack was up already, so there is no reading from before it"
            return [
                context.sample(
                    self.name, metric, None, "bytes", outcome="not_measured", evidence=reason
                )
            ]
        own = roles.workload | roles.helpers | roles.daemons
        others = processes.anonymous_of_others(own, self._proc) - self._others_before
        note = f"other processes changed by {others} bytes meanwhile"
        return [
            context.sample(self.name, metric, self._baseline - available, "bytes", evidence=note),
            context.sample(self.name, "other_memory_delta_bytes", others, "bytes"),
        ]

    def _pss(
        self, context: Context, roles: Roles, sizes: dict[str, processes.Memory] | str
    ) -> list[Sample]:
        if isinstance(sizes, str):
            return [
                context.sample(
                    self.name,
                    "memory_pss_bytes",
                    None,
                    "bytes",
                    outcome="not_measured",
                    evidence=sizes,
                    role="own",
                )
            ]
        samples = []
        own = 0
        for role, pids in roles.items():
            memory = sizes[role]
            if role != "daemons":
                own += memory.pss_bytes
            samples.append(
                context.sample(
                    self.name,
                    "memory_pss_bytes",
                    memory.pss_bytes,
                    "bytes",
                    evidence=f"{len(pids)} processes, {memory.pss_anon_bytes} bytes anonymous",
                    role=role,
                )
            )
            if role == "daemons" and self._daemons_before is not None:
                samples.append(
                    context.sample(
                        self.name,
                        "memory_pss_daemons_delta_bytes",
                        memory.pss_bytes - self._daemons_before,
                        "bytes",
                    )
                )
        if not roles.workload:
            return [
                context.sample(
                    self.name,
                    "memory_pss_bytes",
                    None,
                    "bytes",
                    outcome="failed",
                    evidence="no process of the deployment was found",
                    role="own",
                )
            ]
        samples.append(
            context.sample(
                self.name,
                "memory_pss_bytes",
                own,
                "bytes",
                evidence="workload and helpers; daemons serve others too and stand apart",
                role="own",
            )
        )
        return samples

    def _group_cpu(self, pids: frozenset[int], marks: tuple[str, ...]) -> float | None:
        try:
            return cgroups.cpu_seconds(pids, marks=marks, proc=self._proc, root=self._cgroups)
        except (cgroups.NotAlone, KeyError, OSError):
            return None

    def _control_groups(
        self, context: Context, pids: frozenset[int], marks: tuple[str, ...]
    ) -> list[Sample]:
        names = ("memory_cgroup_bytes", "memory_cgroup_reclaimable_bytes")
        try:
            found = cgroups.memory(pids, marks=marks, proc=self._proc, root=self._cgroups)
        except (cgroups.NotAlone, KeyError, OSError) as error:
            reason = str(error) or type(error).__name__
            return [
                context.sample(
                    self.name, name, None, "bytes", outcome="not_measured", evidence=reason
                )
                for name in names
            ]
        kind = f"cgroup v{cgroups.version(self._cgroups)}, workload only"
        values = (found.used_bytes - found.reclaimable_bytes, found.reclaimable_bytes)
        return [
            context.sample(self.name, name, value, "bytes", evidence=kind)
            for name, value in zip(names, values, strict=True)
        ]

    def _guest(self, context: Context, guest: GuestMemory | None) -> list[Sample]:
        if guest is None:
            reason = (
                "there is no guest"
                if context.accelerator == "none"
                else "the guest's balloon driver has not reported"
            )
            return [
                context.sample(
                    self.name,
                    "memory_guest_used_bytes",
                    None,
                    "bytes",
                    outcome="not_applicable" if context.accelerator == "none" else "not_measured",
                    evidence=reason,
                )
            ]
        return [
            context.sample(
                self.name,
                "memory_guest_used_bytes",
                guest.used_bytes,
                "bytes",
                evidence=f"of {guest.total_bytes} bytes in the guest, {guest.unused_bytes} unused",
            )
        ]

    def _cpu(self, pids: frozenset[int]) -> dict[int, float]:
        found = {}
        for pid in pids:
            stat = processes.stat_of(pid, self._proc)
            if stat is not None:
                found[pid] = stat.cpu_with_children_s
        return found


def _spent(before: dict[int, float], after: dict[int, float]) -> float:
    """Return the CPU seconds that the processes spent; one that is new counts from nothing."""
    return sum(max(spent - before.get(pid, 0.0), 0.0) for pid, spent in after.items())


def _own_cpu() -> float:
    times = os.times()
    return times.user + times.system
