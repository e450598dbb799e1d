"""What the host itself says: available memory, load, pressure, busy time and what it is made of."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from probe import cgroups
from probe.processes import PROC

#: Another one each time that a kernel starts, so that two who read the same share a kernel.
BOOT_ID: Final = PROC / "sys" / "kernel" / "random" / "boot_id"


def meminfo(root: Path = PROC) -> dict[str, int]:
    """Return ``/proc/meminfo`` in bytes."""
    found: dict[str, int] = {}
    for line in (root / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split()
        found[name] = int(parts[0]) * (1024 if len(parts) > 1 else 1)
    return found


def available_bytes(root: Path = PROC) -> int:
    """Return MemAvailable: what could be handed out without swapping, cache counted as free."""
    return meminfo(root)["MemAvailable"]


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of CPU that all cores spent working, and those in a guest (already in ``busy_s``)."""

    busy_s: float


def cpu_time(root: Path = PROC) -> CpuTime:
    """Return the busy time of all cores since boot (user, nice, system, irq, softirq, steal)."""
    fields = [int(v) for v in (root / "stat").read_text().splitlines()[0].split()[1:]]
    idle = fields[3] + fields[4]
    # guest and guest_nice are already inside user and nice
    return CpuTime((sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK"))


def pressure(kind: str, root: Path = PROC) -> float | None:
    """Return the share of the last ten seconds in which something waited (PSI some avg10), in %."""
    try:
        line = (root / "pressure" / kind).read_text().splitlines()[0]
    except OSError:
        return None
    return float(dict(part.split("=") for part in line.split()[1:])["avg10"])


def load(root: Path = PROC) -> dict[str, float]:
    """Return the host's load as it is now: it stands beside each sample."""
    found = {"load1": float((root / "loadavg").read_text().split()[0])}
    for kind in ("cpu", "memory", "io"):
        value = pressure(kind, root)
        if value is not None:
            found[f"psi_{kind}_some_avg10"] = value
    return found


def machine(root: Path = PROC) -> dict[str, Any]:
    """Return what this host is: cores, memory, kernel, control group version, KSM."""
    cpu = ""
    for line in (root / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    ksm = Path("/sys/kernel/mm/ksm/run")
    return {
        "cores": os.cpu_count() or 0,
        "cpu": cpu,
        "memory_bytes": meminfo(root)["MemTotal"],
        "kernel": platform.release(),
        "os": _os_name(),
        "cgroup_version": cgroups.version(),
        "ksm": ksm.read_text().strip() if ksm.exists() else "absent",
        "kvm_device": Path("/dev/kvm").exists(),
    }


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def git_state(root: Path) -> dict[str, Any]:
    """Return the commit of the working tree and whether it has changes; empty outside of git."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(root, "status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()
