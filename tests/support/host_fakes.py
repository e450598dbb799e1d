"""A made-up host: /proc, Docker's containers, libvirt's machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MIB = 2**20


# What happens while a deployment comes up.


def docker_event(kind: str, action: str, name: str, **attributes: str) -> dict[str, Any]:
    actor: dict[str, Any] = {"ID": "x", "Attributes": {"name": name, **attributes}}
    if kind == "volume":
        actor = {"ID": name, "Attributes": {"driver": "local"}}
    return {"Type": kind, "Action": action, "Actor": actor}


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
