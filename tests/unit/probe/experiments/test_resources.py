"""Memory and CPU, counted alike in each model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probe.experiments.resources import Resources
from probe.models.base import Shares
from probe.models.docker import DockerInspector
from probe.models.vm import VmInspector
from tests.support.host_fakes import MIB, REPORT, Proc
from tests.support.probe_fakes import make_context


@pytest.fixture(params=["docker", "vm"])
def arm(
    request: pytest.FixtureRequest,
    docker_inspector: DockerInspector,
    vm_inspector: VmInspector,
) -> DockerInspector | VmInspector:
    return docker_inspector if request.param == "docker" else vm_inspector


def test_both_arms_count_the_same_things(
    arm: DockerInspector | VmInspector, proc: Proc, tmp_path: Path
) -> None:
    """The same samples, the same roles, and both workloads of 200 MiB come out as 200 MiB.

    One arm counting only its helper processes while the other counts the guest's memory is an
    error that published benchmarks have made.
    """
    context = make_context(tmp_path, model=arm._target.model, accelerator=arm._target.accelerator)
    experiment = Resources(proc=proc.root, cgroup_root=tmp_path / "no-cgroups")
    experiment.prepare(context)
    samples = experiment.observe(context, arm)
    pss = {s.labels["role"]: s.value for s in samples if s.metric == "memory_pss_bytes"}
    assert set(pss) == {"workload", "helpers", "daemons", "own"}
    assert pss["workload"] == 200 * MIB
    assert pss["helpers"] == 8 * MIB
    assert pss["own"] == 208 * MIB
    assert {s.labels["role"] for s in samples if s.metric == "cpu_idle_s_per_min"} == {
        "workload",
        "helpers",
        "daemons",
        "own",
    }
    assert sorted({s.metric for s in samples}) == [
        "cpu_idle_s_per_min",
        "memory_available_delta_bytes",
        "memory_cgroup_bytes",
        "memory_cgroup_reclaimable_bytes",
        "memory_guest_used_bytes",
        "memory_pss_bytes",
        "memory_pss_daemons_delta_bytes",
        "other_cpu_cores",
        "other_memory_delta_bytes",
        "probe_cpu_cores",
        "share_cpu_s_per_min",
        "share_memory_bytes",
    ]
    shares = {
        (s.labels["scope"], s.labels["part"]): s.value
        for s in samples
        if s.metric == "share_memory_bytes"
    }
    services = {part: value for (scope, part), value in shares.items() if scope == "application"}
    assert services == {"postgres": 120 * MIB, "monolith": 80 * MIB, "total": 200 * MIB}
    assert {scope for scope, _ in shares} == {"application", "platform", "shared"}


def test_a_machines_memory_is_shared_out_whole(
    vm_inspector: VmInspector, proc: Proc, tmp_path: Path
) -> None:
    """Services, guest, QEMU and dnsmasq make up what the processes on the host take."""
    stats = {"actual": 1572864, "available": 400 * 1024, "unused": 0, "usable": 190 * 1024}
    vm_inspector._domain._stats = stats
    vm_inspector._connection.report = REPORT.replace("136314880", "83886080")  # 70 MiB, not 120
    context = make_context(tmp_path, model="vm", accelerator="tcg")
    samples = Resources(proc=proc.root, cgroup_root=tmp_path).observe(context, vm_inspector)
    shares = {
        s.labels["part"]: s.value
        for s in samples
        if s.metric == "share_memory_bytes" and s.labels["part"] != "total"
    }
    assert shares == {
        "postgres": 70 * MIB,
        "monolith": 80 * MIB,
        "guest OS": 60 * MIB,
        "QEMU": 0,
        "the network's dnsmasq": 8 * MIB,
        "libvirt's daemons": 50 * MIB,
    }


def test_cpu_is_shared_out_per_minute(
    docker_inspector: DockerInspector,
    proc: Proc,
    groups: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = make_context(tmp_path)
    experiment = Resources(proc=proc.root, cgroup_root=groups)
    real = experiment._available

    def available(ctx: Any, seconds: float) -> float:
        # A fifth of a second more for one, a new beginning for the other.
        (groups / "docker/id21/cpu.stat").write_text("usage_usec 4200000\n")
        (groups / "docker/id31/cpu.stat").write_text("usage_usec 100000\n")
        return real(ctx, seconds)

    monkeypatch.setattr(experiment, "_available", available)
    samples = experiment.observe(context, docker_inspector)
    shares = {
        s.labels["part"]: s.value
        for s in samples
        if s.metric == "share_cpu_s_per_min" and s.labels["scope"] == "application"
    }
    assert shares == {
        "postgres": pytest.approx(6.0),
        "monolith": pytest.approx(3.0),
        "total": pytest.approx(9.0),
    }


def test_how_long_an_answer_takes_is_in_no_share(
    docker_inspector: DockerInspector,
    proc: Proc,
    groups: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One processor burned is one, though the first answer is late and the last one is not."""
    context = make_context(tmp_path)
    began = context.clock()
    delays = iter((5.0, 0.0))
    real = docker_inspector.shares

    def shares() -> Shares:
        context.sleep(next(delays))
        burned = 10_000_000 + round((context.clock() - began) * 1e6)
        (groups / "docker/id21/cpu.stat").write_text(f"usage_usec {burned}\n")
        return real()

    monkeypatch.setattr(docker_inspector, "shares", shares)
    samples = Resources(proc=proc.root, cgroup_root=groups).observe(context, docker_inspector)
    (found,) = (
        s.value
        for s in samples
        if s.metric == "share_cpu_s_per_min" and s.labels["part"] == "postgres"
    )
    assert found == pytest.approx(60)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ("TRIPTYCH report\nTRIPTYCH end\n", "names no service"),
        (REPORT.replace("inactive_file", "active_file"), "lacks 'inactive_file'"),
        (REPORT.replace("cpu.stat:usage_usec 9000000", ""), "lacks 'usage_usec'"),
        ("TRIPTYCH report\n", "did not answer within"),
    ],
)
def test_a_guest_that_cannot_tell_is_no_failure(
    vm_inspector: VmInspector,
    proc: Proc,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report: str,
    words: str,
) -> None:
    monkeypatch.setattr("probe.models.vm.REPORT_TIMEOUT_S", 0.05)
    vm_inspector._connection.report = report
    context = make_context(tmp_path, model="vm", accelerator="tcg")
    samples = Resources(proc=proc.root, cgroup_root=tmp_path).observe(context, vm_inspector)
    shares = [s for s in samples if s.metric.startswith("share_")]
    assert {s.outcome for s in shares} == {"not_measured"}
    assert all(words in s.evidence for s in shares)
    assert all(stream.aborted for stream in vm_inspector._connection.streams)


def test_available_memory_is_the_change_from_before(
    vm_inspector: VmInspector, proc: Proc, tmp_path: Path
) -> None:
    context = make_context(tmp_path, model="vm", accelerator="tcg")
    experiment = Resources(proc=proc.root, cgroup_root=tmp_path)
    experiment.prepare(context)
    (proc.root / "meminfo").write_text("MemTotal: 4000000 kB\nMemAvailable: 2900000 kB\n")
    samples = {s.metric: s for s in experiment.observe(context, vm_inspector)}
    assert samples["memory_available_delta_bytes"].value == 100000 * 1024
    assert samples["memory_guest_used_bytes"].value == 400000 * 1024


def test_without_a_baseline_the_headline_is_not_measured(
    docker_inspector: DockerInspector, proc: Proc, tmp_path: Path
) -> None:
    experiment = Resources(proc=proc.root, cgroup_root=tmp_path)
    samples = {s.metric: s for s in experiment.observe(make_context(tmp_path), docker_inspector)}
    assert samples["memory_available_delta_bytes"].outcome == "not_measured"
    assert samples["memory_guest_used_bytes"].outcome == "not_applicable"


def test_idle_cpu_is_per_minute(
    vm_inspector: VmInspector, proc: Proc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(tmp_path, model="vm", accelerator="tcg")
    experiment = Resources(proc=proc.root, cgroup_root=tmp_path)
    real = experiment._available

    def available(ctx: Any, seconds: float) -> float:
        # Half a second of CPU (50 ticks) in a window of two seconds.
        stat = proc.root / "70" / "stat"
        stat.write_text(stat.read_text().replace(" 0 0 0 0 20 0 1 0", " 50 0 0 0 20 0 1 0"))
        return real(ctx, seconds)

    monkeypatch.setattr(experiment, "_available", available)
    samples = experiment.observe(context, vm_inspector)
    spent = next(s for s in samples if s.labels.get("role") == "workload" and "cpu" in s.metric)
    assert spent.value == pytest.approx(15.0)
