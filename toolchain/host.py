"""Facts about this machine, and how to become root on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError

# Debian keeps daemons in sbin, which is not on every user's PATH.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

# In the order of their numbers.
_CAPABILITY_NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG
MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM
BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(_CAPABILITY_NAMES.split())


@dataclass(frozen=True)
class Host:
    """What `doctor` says about the machine; sizes in bytes."""

    cores: int
    memory_bytes: int
    memory_available_bytes: int
    disk_free_bytes: int
    cgroup: str
    missing_capabilities: tuple[str, ...]
    kernel: str
    release: str
    systemd: bool


def find(command: str) -> Path | None:
    """Return where a command is, sbin included, or None."""
    found = shutil.which(command, path=SEARCH_PATH)
    return Path(found) if found else None


def capture(*argv: str | Path, timeout_s: float = 20, env: Mapping[str, str] | None = None) -> str:
    """Return what a command prints (stdout, then stderr), empty if it fails or hangs."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=True,
            env=None if env is None else {**os.environ, **env},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout + done.stderr


def become_root() -> tuple[str, ...]:
    """Return what to put before a command that needs root.

    Raises ToolchainError if we are not root and sudo would ask for a password or isn't there.
    """
    if os.geteuid() == 0:
        return ()
    if find("sudo") and _succeeds("sudo", "-n", "true"):
        return ("sudo", "-n")
    raise ToolchainError("this needs root", "run it as root, or as a user who may use sudo")


def ask_for_sudo() -> None:
    """Let sudo ask for its password now, on the terminal, if it will be needed."""
    if os.geteuid() != 0 and find("sudo"):
        subprocess.run(["sudo", "-v"], check=False)


def _succeeds(*argv: str) -> bool:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return done.returncode == 0


def runs_systemd() -> bool:
    """Tell whether systemd is the service manager here."""
    return Path("/run/systemd/system").is_dir()


def missing_capabilities(status: str | None = None) -> tuple[str, ...]:
    """Return the capabilities this machine withholds even from root (its bounding set).

    `status` is the text of /proc/self/status. Those newer than the kernel are not counted.
    """
    text = Path("/proc/self/status").read_text() if status is None else status
    bounding = next((line for line in text.splitlines() if line.startswith("CapBnd:")), "CapBnd: 0")
    held = int(bounding.split()[1], 16)
    try:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        last = len(CAPABILITIES) - 1
    return tuple(
        f"CAP_{name}"
        for number, name in enumerate(CAPABILITIES)
        if number <= last and not held >> number & 1
    )


def cgroup_version(mounts: str | None = None) -> str:
    """Return `v2`, `v1`, or `v1 (with an empty v2 beside it)`, from /proc/self/mounts."""
    text = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    kinds = [line.split()[2] for line in text.splitlines() if len(line.split()) > 2]
    if "cgroup" in kinds:
        return "v1 with v2 beside it" if "cgroup2" in kinds else "v1"
    return "v2" if "cgroup2" in kinds else "none mounted"


def os_release(text: str | None = None) -> dict[str, str]:
    """Return /etc/os-release as a dictionary."""
    if text is None:
        try:
            text = Path("/etc/os-release").read_text()
        except OSError:
            text = ""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip().strip('"') for name, _, value in pairs}


def look(directory: Path) -> Host:
    """Return the facts; free disk space is that of the file system `directory` is on."""
    memory = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line
    )

    def memory_bytes(name: str) -> int:
        return int(memory.get(name, "0 kB").split()[0]) * 1024

    where = directory
    while not where.exists():
        where = where.parent
    return Host(
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=memory_bytes("MemTotal"),
        memory_available_bytes=memory_bytes("MemAvailable"),
        disk_free_bytes=shutil.disk_usage(where).free,
        cgroup=cgroup_version(),
        missing_capabilities=missing_capabilities(),
        kernel=os.uname().release,
        release=os_release().get("PRETTY_NAME", "unknown"),
        systemd=runs_systemd(),
    )
