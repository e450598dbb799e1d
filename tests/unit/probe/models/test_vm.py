"""A machine's console, events and report."""

from __future__ import annotations

import subprocess
from pathlib import Path

import libvirt

from probe import models
from probe.models.base import GuestMemory, Roles, Shares, Stamps, Usage
from probe.models.vm import ConsoleTail, VmInspector, VmWatcher, parse_report
from tests.support.host_fakes import MIB
from tests.support.probe_fakes import FakeClock


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


def test_vm_roles(vm_inspector: VmInspector) -> None:
    roles = vm_inspector.roles()
    assert roles == Roles(frozenset({70}), frozenset({71}), frozenset({60, 61}))
    guest = vm_inspector.guest_memory()
    assert guest == GuestMemory(1400000 * 1024, 700000 * 1024, 1000000 * 1024)
    assert guest.used_bytes == 400000 * 1024


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
