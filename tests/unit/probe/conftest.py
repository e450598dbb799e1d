"""Two deployments of the same size on a made-up host, and a run that is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probe import store
from probe.models.docker import DockerInspector
from probe.models.vm import VmInspector
from probe.records import Side
from probe.report import write_report
from tests.support.host_fakes import MIB, FakeContainers, FakeLibvirt, Proc
from tests.support.probe_fakes import make_run, target


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    sides = (Side("docker", "monolith"), Side("vm", "monolith"))
    make_run(folder, accelerator="kvm", sides=sides)
    write_report(folder, store.read_run(folder))
    return folder
