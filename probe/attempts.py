"""What is tried from within a service, as somebody would who got in: run by the service's Python.

It stands alone and needs the standard library only. Nothing that it does outlives it: what it gets
hold of it gives back, and its own children die with it. ``sys.argv``: the host's address and a port
that listens there, the address and the port of a service that this one has no business with, and
the names of its own secrets with commas in between.

Prints one line of JSON: the attempts, each with whether it got through and by what it was stopped.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

#: Bounds of what is tried, so that a host without any of its own comes to no harm.
FORKS = 300
HOG_STEP = 8 << 20
HOG_LIMIT = 1 << 30
#: Where containers, pods and machines have secrets; a unit's own are below a name of its own.
SECRETS = (
    Path("/run/secrets"),
    Path("/var/run/secrets"),
    Path("/run/credentials"),
    Path("/etc/triptych/secrets"),
)


def said(number: int) -> str:
    """Return the name of an error."""
    return errno.errorcode.get(number, str(number))


def connects(host: str, port: str) -> tuple[bool, str]:
    """Tell whether somebody answers there."""
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError as error:
        how = "no answer" if isinstance(error, TimeoutError) else type(error).__name__
        return False, f"{how} from {host}"
    return True, f"{host} answered"


def sees_processes() -> tuple[bool, str]:
    """Tell whether another service's or the host's processes are there to be seen."""
    own = {"python3", "python", "uvicorn", "gunicorn"}
    names = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                names.add((entry / "comm").read_text().strip())
            except OSError:
                continue
    others = sorted(n for n in names if not any(n.startswith(o) for o in own))
    return bool(others), ", ".join(others[:5]) or "a PID namespace of its own"


def mounts() -> tuple[bool, str]:
    """Try to mount a file system in memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
        libc.umount2(b"/tmp", 2)
        return True, "mounted"
    return False, said(ctypes.get_errno())


def loads_a_module() -> tuple[bool, str]:
    """Try to load a kernel module; an empty one is refused as such only to those who may."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 175, "aarch64": 105}[os.uname().machine]
    if libc.syscall(number, b"", 0, b"") == 0:
        return True, "loaded"
    why = ctypes.get_errno()
    return why not in (errno.EPERM, errno.ENOSYS), said(why)


def writes_the_root() -> tuple[bool, str]:
    """Try to leave a file beside every volume."""
    for folder in ("/", "/usr", "/opt", "/var"):
        path = Path(folder, ".triptych-attempt")
        try:
            path.write_text("")
        except OSError as error:
            why = said(error.errno or 0)
        else:
            path.unlink()
            return True, folder
    return False, why


def gains_a_capability() -> tuple[bool, str]:
    """Tell whether there is a capability, or a way to root's."""
    status = Path("/proc/self/status").read_text()
    held = next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1]
    if int(held, 16):
        return True, f"holds {held}"
    try:
        os.setuid(0)
    except OSError as error:
        return False, said(error.errno or 0)
    return os.getuid() == 0, "is root already"


def gains_privileges() -> tuple[bool, str]:
    """Tell whether a program that belongs to root could run as root."""
    status = Path("/proc/self/status").read_text()
    value = next(line for line in status.splitlines() if line.startswith("NoNewPrivs")).split()[1]
    return value == "0", "no_new_privs" if value == "1" else "set-user-ID programs work"


def reads_other_secrets(own: str) -> tuple[bool, str]:
    """Look for secrets that are not this service's."""
    found = {
        path.name
        for folder in SECRETS
        for path in folder.rglob("*")
        if path.is_file() and os.access(path, os.R_OK)
    }
    foreign = sorted(found - set(own.split(",")))
    return bool(foreign), ", ".join(foreign) or "none but its own"


def exhausts_processes() -> tuple[bool, str]:
    """Start processes until somebody says no."""
    children: list[int] = []
    try:
        for _ in range(FORKS):
            try:
                child = os.fork()
            except OSError as error:
                return False, f"{said(error.errno or 0)} after {len(children)}"
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    return True, f"{FORKS} processes"


def exhausts_memory() -> tuple[bool, str]:
    """Have a child take memory until somebody says no; it is the first that the kernel kills."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        Path("/proc/self/oom_score_adj").write_text("1000")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        held = []
        for taken in range(0, HOG_LIMIT, HOG_STEP):
            held.append(bytearray(os.urandom(1) * HOG_STEP))
            os.write(writer, f"{taken}\n".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        last = 0
        for line in lines:
            last = int(line)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False, f"killed at {(last + HOG_STEP) >> 20} MiB"
    if os.WEXITSTATUS(status):
        return False, f"refused at {(last + HOG_STEP) >> 20} MiB"
    return True, f"{HOG_LIMIT >> 20} MiB"


def main() -> None:
    """Try everything."""
    host, host_port, other, other_port, own = sys.argv[1:6]
    attempts = {
        "see others' processes": sees_processes,
        "mount": mounts,
        "load a kernel module": loads_a_module,
        "write the root": writes_the_root,
        "hold or gain a capability": gains_a_capability,
        "run as root by set-user-ID": gains_privileges,
        "read another's secrets": lambda: reads_other_secrets(own),
        "reach a service it has no business with": lambda: connects(other, other_port),
        "reach the host": lambda: connects(host, host_port),
        "exhaust processes": exhausts_processes,
        "exhaust memory": exhausts_memory,
    }
    found = {}
    for name, attempt in attempts.items():
        try:
            found[name] = attempt()
        except Exception as error:
            found[name] = (False, f"{type(error).__name__}: {error}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
