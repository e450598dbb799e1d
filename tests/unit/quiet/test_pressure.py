"""Whose CPU was whose, by a /proc that is made up."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from tests.quiet.pressure import OwnCpu, Watch, stalled_s

_TICKS = os.sysconf("SC_CLK_TCK")
RUNNER = 100
#: Docker's names for containers, and whether they are ours.
CONTAINERS = {"ours": True, "theirs": False}


class Host:
    """Processes that come, work and go."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        (proc / "pressure").mkdir(parents=True)
        self.totals(user=0, stolen=0, waited=0, runnable=1)
        self.has(1, "init", parent=0)
        self.has(RUNNER, "make", parent=1)

    def has(
        self, pid: int, name: str, *, parent: int, cpu: float = 0, waited: float = 0, **more: str
    ) -> None:
        """Put a process there, or what it has taken by now, itself and what it has waited for."""
        folder = self.proc / str(pid)
        folder.mkdir(exist_ok=True)
        ticks = f"{round(cpu * _TICKS)} 0 {round(waited * _TICKS)} 0"
        (folder / "stat").write_text(f"{pid} ({name}) S {parent} {'0 ' * 9}{ticks} 20 0 1")
        command = more.get("command", name).split()
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))

    def loses(self, pid: int) -> None:
        folder = self.proc / str(pid)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    def totals(self, *, user: float, stolen: float, waited: float, runnable: int) -> None:
        """Say what all of it took so far."""
        cores = f"{round(user * _TICKS)} 0 0 0 0 900 900 {round(stolen * _TICKS)} 0 0"
        (self.proc / "stat").write_text(f"cpu  {cores}\ncpu0 {cores}\n")
        line = "avg10=0.00 avg60=0.00 avg300=0.00 total="
        text = f"some {line}{round(waited * 1e6)}\nfull {line}0\n"
        (self.proc / "pressure" / "cpu").write_text(text)
        (self.proc / "loadavg").write_text(f"9.00 9.00 9.00 {runnable}/400 1234\n")

    def own(self) -> OwnCpu:
        return OwnCpu(self.proc, RUNNER, CONTAINERS.__getitem__)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "proc")


def test_the_runner_and_all_below_it_are_ours(host: Host) -> None:
    host.has(110, "pytest", parent=RUNNER, cpu=5)
    host.has(900, "go", parent=1, cpu=7)
    own = host.own()
    own.look()
    host.has(110, "pytest", parent=RUNNER, cpu=6)
    host.has(111, "pulumi", parent=110, cpu=2)
    host.has(900, "go", parent=1, cpu=17)
    own.look()
    assert own.cpu_s == pytest.approx(3)


def test_a_process_that_ended_is_in_its_parents_figure_once(host: Host) -> None:
    host.has(110, "pytest", parent=RUNNER)
    host.has(111, "pulumi", parent=110, cpu=2)
    own = host.own()
    own.look()
    host.loses(111)
    host.has(110, "pytest", parent=RUNNER, waited=2.5)
    own.look()
    assert own.cpu_s == pytest.approx(0.5)


def test_who_lost_its_parent_is_ours_still_and_counts_to_its_end(host: Host) -> None:
    host.has(110, "pytest", parent=RUNNER)
    host.has(111, "conmon", parent=110)
    host.has(112, "shop", parent=111, cpu=1)
    own = host.own()
    own.look()
    host.loses(111)
    host.has(112, "shop", parent=1, cpu=2)
    own.look()
    assert own.cpu_s == pytest.approx(1)
    host.loses(112)
    own.look()
    assert own.cpu_s == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "command", "ours"),
    [
        ("dockerd", "dockerd", True),
        ("libvirtd", "libvirtd", True),
        ("kthreadd", "", True),
        ("containerd-shim", "containerd-shim-runc-v2 -namespace moby -id ours", True),
        ("containerd-shim", "containerd-shim-runc-v2 -namespace moby -id theirs", False),
        # Another engine's own.
        ("containerd-shim", "containerd-shim-runc-v2 -namespace default -id ours", False),
        ("qemu-system-x86", "qemu-system-x86_64 -name guest=triptych-vm-shop,x=y", True),
        ("qemu-system-x86", "qemu-system-x86_64 -name guest=windows,x=y", False),
        ("go", "go build", False),
    ],
)
def test_what_belongs_to_the_tests(host: Host, name: str, command: str, ours: bool) -> None:
    host.has(900, name, parent=1, command=command)
    host.has(901, "below", parent=900)
    own = host.own()
    own.look()
    host.has(901, "below", parent=900, cpu=2)
    own.look()
    assert own.cpu_s == pytest.approx(2 if ours else 0)


def test_a_foreign_container_is_foreign_whatever_is_in_it_or_above_it(host: Host) -> None:
    theirs = "containerd-shim-runc-v2 -namespace moby -id theirs"
    host.has(800, "dockerd", parent=1)
    host.has(900, "containerd-shim", parent=800, command=theirs)
    host.has(901, "containerd", parent=900)
    own = host.own()
    own.look()
    host.has(800, "dockerd", parent=1, cpu=1)
    host.has(901, "containerd", parent=900, cpu=2)
    own.look()
    assert own.cpu_s == pytest.approx(1)


def test_what_is_not_ours_is_the_others(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(host.proc))
    host.totals(user=10, stolen=1, waited=100, runnable=4)
    watch = Watch(host.own(), host.proc)
    host.has(110, "pytest", parent=RUNNER, cpu=3)
    host.totals(user=18, stolen=2, waited=104, runnable=4)
    seen = watch.close()
    # How long the window was is the clock's; what was in it is not.
    assert seen.own_cores * seen.window_s == pytest.approx(3)
    assert seen.others_cores * seen.window_s == pytest.approx(5)
    assert seen.steal_share * seen.window_s * seen.cores == pytest.approx(1)
    assert seen.run_queue == 3
    assert seen.psi_cpu_some_share is not None
    assert seen.psi_cpu_some_share * seen.window_s == pytest.approx(4)
    assert seen.psi_cpu_full_share == 0


def test_a_kernel_without_pressure_figures(tmp_path: Path) -> None:
    assert stalled_s(tmp_path) == {}


def test_this_host() -> None:
    """The kernel's own files can be read, by whoever runs the tests."""
    seen = Watch().close()
    assert seen.cores == os.cpu_count()
    assert str(seen).startswith("others took ")
