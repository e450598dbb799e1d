from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import libvirt
import pytest

from probe import experiments, models, project
from probe.errors import ProbeError, StackNotUp, UsageProblem
from probe.experiments.ease import commands, files_of, lines_of
from probe.experiments.resources import Resources
from probe.models import guest as guest_module
from probe.models.base import GuestMemory, Roles, Shares, Stamps, Usage, is_ours
from probe.models.docker import DockerInspector, DockerWatcher, container_processes
from probe.models.guest import Guest
from probe.models.vm import ConsoleTail, VmInspector, VmWatcher, parse_report
from probe.target import Target, from_outputs
from settings import _SSH_KEY
from shop.catalogue import SHAPES
from tests.unit.probe_fakes import FakeClock, make_context
from toolchain.paths import Paths

MIB = 2**20


# What happens while a deployment comes up.


def docker_event(kind: str, action: str, name: str, **attributes: str) -> dict[str, Any]:
    actor: dict[str, Any] = {"ID": "x", "Attributes": {"name": name, **attributes}}
    if kind == "volume":
        actor = {"ID": name, "Attributes": {"driver": "local"}}
    return {"Type": kind, "Action": action, "Actor": actor}


def test_docker_events_become_phases() -> None:
    clock = FakeClock()
    watcher = DockerWatcher("triptych-cmp-1-docker", stamps=Stamps(clock=clock))
    prefix = "triptych-cmp-1-docker"
    for at, event in (
        (1, docker_event("network", "create", "triptych-cmp-1-docker2")),  # somebody else's
        (2, docker_event("network", "create", prefix)),
        (3, docker_event("volume", "create", f"{prefix}-postgres")),
        (4, docker_event("volume", "create", f"{prefix}-gateway-secrets")),
        (5, docker_event("container", "create", f"{prefix}-postgres")),
        (6, docker_event("container", "start", f"{prefix}-postgres")),
        (7, docker_event("container", "start", f"{prefix}-monolith")),
        (8, docker_event("volume", "create", f"{prefix}-late")),
        (9, docker_event("container", "start", f"{prefix}-gateway")),
        (10, docker_event("container", "exec_start: /bin/bash -c x", f"{prefix}-gateway")),
        (11, docker_event("container", "start", f"{prefix}-monolith")),  # restarted
    ):
        clock.now = at
        watcher.take(event)
    assert watcher.stamps() == {
        "platform_created": 2,
        "platform_ready": 4,
        "workload_started": 7,
    }
    assert not any("exec_" in str(entry["what"]) for entry in watcher.log())


def test_docker_waits_for_the_last_of_several_services() -> None:
    clock = FakeClock()
    watcher = DockerWatcher("p", stamps=Stamps(clock=clock))
    for at, service in ((1, "frontend"), (2, "auth"), (3, "valkey"), (4, "postgres")):
        clock.now = at
        watcher.take(docker_event("container", "start", f"p-{service}"))
    assert watcher.stamps()["workload_started"] == 2


def test_console_marks_are_stamped_once_and_old_ones_not(tmp_path: Path) -> None:
    clock = FakeClock()
    console = tmp_path / "triptych-s-console.log"
    console.write_bytes(b"TRIPTYCH platform-ready\nTRIPTYCH workload-started\n")
    stamps = Stamps(clock=clock)
    tail = ConsoleTail(tmp_path, "triptych-s", stamps)
    tail.poll()
    assert stamps.copy() == {}
    # A new machine of that name begins the file anew.
    console.write_bytes(b"booting\r\nTRIPTYCH platf")
    clock.now = 1
    tail.poll()
    assert stamps.copy() == {}
    with console.open("ab") as stream:
        stream.write(b"orm-ready\r\nother\n")
    clock.now = 2
    tail.poll()
    with console.open("ab") as stream:
        stream.write(b"TRIPTYCH workload-started")
    clock.now = 3
    tail.poll()
    clock.now = 4
    tail.poll()
    assert stamps.copy() == {"platform_ready": 2, "workload_started": 3}
    assert tail.last_words().splitlines()[-1] == "TRIPTYCH workload-started"


def test_the_console_of_another_stack_is_left_alone(tmp_path: Path) -> None:
    stamps = Stamps(clock=FakeClock())
    tail = ConsoleTail(tmp_path, "triptych-s", stamps)
    (tmp_path / "triptych-s2-console.log").write_bytes(b"TRIPTYCH platform-ready\n")
    tail.poll()
    assert stamps.copy() == {}


def test_libvirt_events_become_a_phase(tmp_path: Path) -> None:
    clock = FakeClock()
    watcher = VmWatcher("p", consoles=tmp_path, stamps=Stamps(clock=clock))
    clock.now = 1
    watcher.take("p", libvirt.VIR_DOMAIN_EVENT_DEFINED, 0)
    clock.now = 2
    watcher.take("other", libvirt.VIR_DOMAIN_EVENT_STARTED, 0)
    clock.now = 3
    watcher.take("p", libvirt.VIR_DOMAIN_EVENT_STARTED, 0)
    assert watcher.stamps() == {"platform_created": 3}
    assert watcher.missing() == {}


def test_a_console_on_another_machine_is_said(tmp_path: Path) -> None:
    watcher = VmWatcher("p", uri="qemu+ssh://host/system", consoles=tmp_path)
    assert set(watcher.missing()) == {"platform_ready", "workload_started"}


def test_names_are_not_mixed_up() -> None:
    assert is_ours("triptych-docker", "triptych-docker")
    assert is_ours("triptych-docker-gateway", "triptych-docker")
    assert not is_ours("triptych-docker2-gateway", "triptych-docker")


# What belongs to a deployment, from a made-up /proc with a process tree of known sizes.


class Proc:
    """A made-up /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root).mkdir()
        (root / "meminfo").write_text("MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n")
        (root / "stat").write_text("cpu 100 0 100 1000 0 0 0 0 0 0\n")

    def add(
        self, pid: int, parent: int, command: str, pss_kib: int, *, ticks: int = 0, cg: str = "/"
    ) -> None:
        folder = self.root / str(pid)
        folder.mkdir()
        words = command.split()
        (folder / "cmdline").write_bytes(b"\0".join(w.encode() for w in words) + b"\0")
        (folder / "stat").write_text(
            f"{pid} ({words[0]}) S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 9 0 0\n"
        )
        (folder / "smaps_rollup").write_text(
            f"0-1 ---p 0 0:0 0 [rollup]\nRss: {pss_kib * 2} kB\nPss: {pss_kib} kB\n"
            f"Pss_Anon: {pss_kib} kB\n"
        )
        (folder / "cgroup").write_text(f"0::{cg}\n")


class FakeContainers:
    """A Docker client that knows containers and nothing else."""

    def __init__(self, containers: dict[str, dict[str, Any]]) -> None:
        self.api = self
        self._containers = containers

    def inspect_container(self, name: str) -> dict[str, Any]:
        return self._containers[name]

    def close(self) -> None:
        pass


REPORT = (
    "report\r\nTRIPTYCH report\r\n"
    "cpu.stat:usage_usec 9000000\r\n"
    "triptych.slice/triptych-postgres.service/memory.current:136314880\r\n"
    "triptych.slice/triptych-monolith.service/memory.current:88080384\r\n"
    "triptych.slice/triptych-postgres.service/memory.stat:inactive_file 10485760\r\n"
    "triptych.slice/triptych-monolith.service/memory.stat:inactive_file 4194304\r\n"
    "triptych.slice/triptych-postgres.service/cpu.stat:usage_usec 4000000\r\n"
    "triptych.slice/triptych-monolith.service/cpu.stat:usage_usec 3000000\r\n"
    "TRIPTYCH end\r\n"
)


class FakeStream:
    """A serial port whose other end answers a line with a report, a few bytes at a time."""

    def __init__(self, report: str) -> None:
        self._report = report.encode()
        self.aborted = False

    def send(self, data: bytes) -> int:
        assert data.endswith(b"\n")
        return len(data)

    def recv(self, _size: int) -> bytes | int:
        if not self._report:
            return -2
        part, self._report = self._report[:50], self._report[50:]
        return part

    def abort(self) -> None:
        self.aborted = True


class FakeDomain:
    def __init__(self, stats: dict[str, int]) -> None:
        self._stats = stats
        self.period = 0

    def openConsole(self, port: str, _stream: FakeStream, _flags: int) -> None:
        assert port == "serial1"

    def setMemoryStatsPeriod(self, period: int, _flags: int) -> None:
        self.period = period

    def memoryStats(self) -> dict[str, int]:
        return self._stats


class FakeLibvirt:
    def __init__(self, stats: dict[str, int]) -> None:
        self.domain = FakeDomain(stats)
        self.report = REPORT
        self.streams: list[FakeStream] = []

    def newStream(self, _flags: int) -> FakeStream:
        self.streams.append(FakeStream(self.report))
        return self.streams[-1]

    def lookupByName(self, _name: str) -> FakeDomain:
        return self.domain

    def close(self) -> None:
        pass


def target(model: str, inspect: dict[str, Any]) -> Target:
    return Target(
        stack="s",
        model=model,
        shape="monolith",
        storefront_url="https://127.0.0.1:8443",
        api_url="https://127.0.0.1:8443/api/v1",
        ready_url="https://127.0.0.1:8443/health/ready",
        ca_certificate="",
        accelerator="tcg" if model == "vm" else "none",
        prefix="triptych-s",
        memory_limit_bytes=1536 * MIB,
        cpu_limit=2.0,
        inspect=inspect,
    )


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """Two deployments of the same size, one in containers and one in a machine."""
    proc = Proc(tmp_path / "proc")
    mib = 1024
    proc.add(1, 0, "/sbin/init", 5 * mib)
    proc.add(10, 1, "/usr/sbin/dockerd --pidfile x", 60 * mib)
    proc.add(11, 10, "containerd --config x", 30 * mib)
    proc.add(20, 1, "/usr/bin/containerd-shim-runc-v2 -id aaa", 3 * mib)
    proc.add(21, 20, "postgres", 100 * mib, cg="/docker/id21")
    proc.add(22, 21, "postgres: checkpointer", 20 * mib, cg="/docker/id21")
    proc.add(30, 1, "/usr/bin/containerd-shim-runc-v2 -id bbb", 3 * mib)
    proc.add(31, 30, "python3 -m app", 80 * mib, cg="/docker/id31")
    proc.add(40, 10, "/usr/bin/docker-proxy -proto tcp -container-ip 172.20.0.2 -x", 2 * mib)
    # Another user's container, shim and proxy: not ours.
    proc.add(50, 1, "/usr/bin/containerd-shim-runc-v2 -id ccc", 3 * mib)
    proc.add(51, 50, "nginx", 500 * mib)
    proc.add(52, 10, "/usr/bin/docker-proxy -proto tcp -container-ip 172.20.0.9 -x", 2 * mib)
    proc.add(60, 1, "/usr/sbin/libvirtd -d", 40 * mib)
    proc.add(61, 1, "/usr/sbin/virtlogd -d", 10 * mib)
    proc.add(
        70, 1, "/usr/bin/qemu-system-x86_64 -name guest=triptych-s,debug-threads=on", 200 * mib
    )
    proc.add(
        71, 1, "/usr/sbin/dnsmasq --conf-file=/var/lib/libvirt/dnsmasq/triptych-s.conf", 8 * mib
    )
    # Another machine and network: not ours.
    proc.add(
        80, 1, "/usr/bin/qemu-system-x86_64 -name guest=triptych-s2,debug-threads=on", 900 * mib
    )
    proc.add(81, 1, "/usr/sbin/dnsmasq --conf-file=/var/lib/libvirt/dnsmasq/default.conf", 8 * mib)
    return proc


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Control groups of the two containers, of the size that the guest's report has."""
    root = tmp_path / "cgroup"
    for name, used, cache, usage_us in (
        ("id21", 130, 10, 4_000_000),
        ("id31", 84, 4, 3_000_000),
    ):
        folder = root / "docker" / name
        folder.mkdir(parents=True)
        (folder / "memory.current").write_text(f"{used * MIB}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache * MIB}\n")
        (folder / "cpu.stat").write_text(f"usage_usec {usage_us}\nuser_usec 1\n")
    (root / "cgroup.controllers").write_text("cpu memory\n")
    return root


@pytest.fixture
def docker_inspector(proc: Proc, groups: Path) -> DockerInspector:
    def container(pid: int, address: str) -> dict[str, Any]:
        return {
            "Id": f"id{pid}",
            "State": {"Pid": pid},
            "NetworkSettings": {"Networks": {"n": {"IPAddress": address}}},
        }

    containers = {"a": container(21, "172.20.0.2"), "b": container(31, "172.20.0.3")}
    return DockerInspector(
        target("docker", {"containers": {"postgres": "a", "monolith": "b"}}),
        client=FakeContainers(containers),  # type: ignore[arg-type]
        proc=proc.root,
        cgroup_root=groups,
    )


@pytest.fixture
def vm_inspector(proc: Proc) -> VmInspector:
    stats = {"actual": 1572864, "available": 1400000, "unused": 700000, "usable": 1000000}
    return VmInspector(
        target("vm", {"domain": "triptych-s", "network": "triptych-s"}),
        connection=FakeLibvirt(stats),
        proc=proc.root,
    )


def test_docker_roles(docker_inspector: DockerInspector) -> None:
    roles = docker_inspector.roles()
    assert roles == Roles(frozenset({21, 22, 31}), frozenset({20, 30, 40}), frozenset({10, 11}))
    assert docker_inspector.guest_memory() is None


def test_vm_roles(vm_inspector: VmInspector) -> None:
    roles = vm_inspector.roles()
    assert roles == Roles(frozenset({70}), frozenset({71}), frozenset({60, 61}))
    guest = vm_inspector.guest_memory()
    assert guest == GuestMemory(1400000 * 1024, 700000 * 1024, 1000000 * 1024)
    assert guest.used_bytes == 400000 * 1024


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


def test_the_guests_own_script_is_understood(tmp_path: Path) -> None:
    """What answers in the guest, on control groups that are made up."""
    for name, used in (("", 0), ("auth", 50), ("stripe-mock", 20)):
        folder = tmp_path / (f"triptych.slice/triptych-{name}.service" if name else "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.stat").write_text(f"usage_usec {used + 1}000000\nuser_usec 7\n")
        if name:
            (folder / "memory.current").write_text(f"{used * MIB}\n")
            (folder / "memory.stat").write_text(
                f"anon 1\ninactive_file {MIB}\nactive_file 3\nworkingset_refault_file 4\n"
            )
    root = Path(models.__file__).parents[2]
    script = (root / "shop/guest/root/usr/local/sbin/triptych-report").read_text()
    assert script.count("/sys/fs/cgroup") == 1
    done = subprocess.run(
        ["sh", "-c", script.replace("/sys/fs/cgroup", str(tmp_path))],
        input="report\nreport\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.count("TRIPTYCH report") == done.stdout.count("TRIPTYCH end") == 2
    assert parse_report(done.stdout) == Shares(
        {"auth": Usage(49 * MIB, 51.0), "stripe-mock": Usage(19 * MIB, 21.0)}, 1.0
    )


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


def test_a_container_without_its_own_group_is_its_tree(proc: Proc) -> None:
    assert container_processes(21, proc.root) == {21, 22}


# Outputs, names, counts.

OUTPUTS: dict[str, Any] = {
    "model": "docker",
    "shape": "monolith",
    "storefront_url": "https://127.0.0.1:8443",
    "endpoints": {"api": "https://127.0.0.1:8443/api/v1"},
    "readiness_probe": {"url": "https://127.0.0.1:8443/health/ready"},
    "ca_certificate": "PEM",
    "limits": {"memory_mib": 1280.0, "cpus": 2.0},
    "prefix": "triptych-docker",
    "accelerator": "none",
    "inspect": {"containers": {}},
}


def test_outputs_become_a_target() -> None:
    found = from_outputs("docker", OUTPUTS)
    assert found.gateway_url == "https://127.0.0.1:8443"
    assert found.memory_limit_bytes == 1280 * MIB


def test_a_stack_that_is_not_up_is_one_clear_line() -> None:
    with pytest.raises(StackNotUp, match="not up: run `pulumi up -s docker`"):
        from_outputs("docker", {})
    half = {k: v for k, v in OUTPUTS.items() if k != "readiness_probe"}
    with pytest.raises(StackNotUp, match="lacks the output 'readiness_probe'"):
        from_outputs("docker", half)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="'lxc': known are docker, kubernetes, vm"):
        models.known("lxc")
    with pytest.raises(UsageProblem, match="unknown experiment speed: known are readiness"):
        experiments.choose(["readiness", "speed"])


def test_lines_that_say_something(tmp_path: Path) -> None:
    python = tmp_path / "a.py"
    python.write_text(
        '"""One\n\ntwo."""\n\nimport x  # why\n\n# no\ndef f():\n    """Doc."""\n    y\n'
    )
    assert lines_of(python) == 3
    docker = tmp_path / "Dockerfile"
    docker.write_text("# no\nFROM x\n\nRUN y \\\n    z\n")
    assert lines_of(docker) == 3


def test_configuration_is_found_for_each_model() -> None:
    root = Path(models.__file__).parents[2]
    for model in models.MODELS:
        for shape in SHAPES:
            found = list(files_of(root, model, shape))
            assert any(p.name == f"{model}.py" for p in found), model
            assert not any("__pycache__" in p.parts for p in found)
            dockerfiles = {p.parent.name for p in found if p.parent.parent.name == "app"}
            assert ("monolith" in dockerfiles) == (model != "vm" and shape == "monolith")


def test_a_shape_that_is_not_the_models_own_takes_a_command_more() -> None:
    assert commands("docker", "microservices") == ("make build", "pulumi up -s docker")
    assert commands("vm", "microservices") == (
        "make build",
        "pulumi config set shape microservices -s vm",
        "pulumi up -s vm",
    )


def test_only_what_a_shape_runs_counts_for_it() -> None:
    built = {"images": {n: {"ref": n} for n in ("monolith", "auth", "gateway")}}
    assert set(project.images_of(built, "monolith")) == {"monolith", "gateway"}
    assert set(project.images_of(built, "microservices")) == {"auth", "gateway"}
    guests = {"guests": {"monolith": {"key": "1"}}}
    assert project.guest_of(guests, "monolith") == {"key": "1"}
    assert project.guest_of(guests, "microservices") == {}


def test_a_container_that_went_is_one_clear_line(
    docker_inspector: DockerInspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docker.errors import NotFound

    def gone(_name: str) -> dict[str, Any]:
        raise NotFound("no such container")

    monkeypatch.setattr(docker_inspector._client.api, "inspect_container", gone)
    with pytest.raises(ProbeError, match="is the stack still up"):
        docker_inspector.roles()


# Into the guest.


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Return a guest whose shell is this machine's: SSH's place is taken by a script."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor word in "$@"; do last=$word; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    return Guest("192.0.2.1", tmp_path / "key", [str(ssh)])


def test_scripts_run_in_the_guest_with_their_arguments(guest: Guest, tmp_path: Path) -> None:
    assert guest.run('echo "$1+$2"', "10.0.0.1", "a,b") == "10.0.0.1+a,b\n"
    guest.write(f"{tmp_path}/folder/file", "text\n")
    assert (tmp_path / "folder" / "file").read_text() == "text\n"


@pytest.mark.parametrize("word", ["$(reboot)", "a b", "x'y", "a\nb"])
def test_nothing_is_handed_to_the_guest_that_a_shell_could_read(guest: Guest, word: str) -> None:
    with pytest.raises(ProbeError, match="nothing to hand to the guest"):
        guest.run("true", word)


def test_a_guest_that_lets_nobody_in_is_one_line(guest: Guest) -> None:
    with pytest.raises(ProbeError, match=r"^the guest by SSH: Permission denied \(publickey\)\.$"):
        guest.run("echo first >&2; echo 'Permission denied (publickey).' >&2; exit 255")


def test_a_clones_key_is_made_once_and_is_its_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_module.Paths, "find", lambda: Paths(tmp_path, tmp_path, tmp_path))
    file = guest_module.key_file()
    assert file.stat().st_mode & 0o777 == 0o600
    assert guest_module.key_file().read_bytes() == file.read_bytes()
    line = guest_module.public_key(file)
    told = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True).stdout
    assert line.split()[:2] == told.split()[:2]
    assert _SSH_KEY.fullmatch(line)
    assert [path.name for path in file.parent.iterdir()] == ["probe-key"]
