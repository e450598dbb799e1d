"""What this machine has, where each tool came from, and what is missing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolchain import accelerator, daemons, debian
from toolchain.artefacts import node
from toolchain.errors import ToolchainError
from toolchain.host import capture, find, look
from toolchain.paths import Paths
from toolchain.plugins import PROVIDERS
from toolchain.python_env import venv_python
from toolchain.tools import go_command, read_records
from toolchain.versions import parse_version, show

GIB = 1 << 30
DISK_WANTED_BYTES = 12 * GIB
#: As long as Kubernetes is still to be built, for Go's own cache and modules.
COLD_DISK_WANTED_BYTES = 30 * GIB
MEMORY_WANTED_BYTES = 4 * GIB

Verdict = Literal["ok", "missing", "note"]


@dataclass(frozen=True)
class Row:
    """One line of the table; `cure` is the command that gets what is missing."""

    name: str
    value: str
    source: str
    verdict: Verdict = "ok"
    cure: str = ""


def _version(*argv: str | Path) -> str:
    return show(parse_version(capture(*argv)) or ()) or "?"


def _debian_source(command: Path) -> str:
    """Say which package a command is of, or that it is someone's own."""
    owner = ""
    for place in dict.fromkeys((command, command.resolve(), _without_usr(command))):
        owner = capture("dpkg-query", "-S", place)
        if owner:
            break
    if not owner:
        return f"present: {command}"
    return f"Debian package {owner.partition(':')[0]}"


def _without_usr(path: Path) -> Path:
    """Return /sbin/x for /usr/sbin/x: dpkg knows older packages' files by that name."""
    return Path("/") / path.relative_to("/usr") if path.is_relative_to("/usr") else path


DEBIAN_TOOLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("dockerd", ("--version",)),
    ("docker", ("--version",)),
    ("libvirtd", ("--version",)),
    ("virsh", ("--version",)),
    ("qemu-system-x86_64", ("--version",)),
    ("qemu-img", ("--version",)),
    ("mmdebstrap", ("--version",)),
    ("buildah", ("--version",)),
    ("docker-registry", ("--version",)),
    ("dnsmasq", ("--version",)),
    ("genisoimage", ("--version",)),
    ("gcc", ("--version",)),
)


def tool_rows(paths: Paths) -> list[Row]:
    """Return a row for each tool, those of `.triptych/tools.json` first."""
    records = read_records(paths)
    rows = []
    helpers = ("pulumi-language-python", "pulumi-resource-pulumi-python")
    providers = tuple(f"pulumi-resource-{name}" for name in PROVIDERS)
    for name in ("pulumi", *helpers, *providers, "kind", "kubectl", "vegeta", "stripe-mock"):
        entry = records.get(name)
        if entry is None or not Path(entry["path"]).exists():
            rows.append(Row(name, "-", "-", "missing", "make setup"))
        else:
            rows.append(Row(name, entry["version"], f"{entry['source']} ({entry['why']})"))
    if entry := records.get("compose"):
        rows.append(Row("compose", entry["version"], f"{entry['source']} (for make bench)"))
    python = venv_python(paths)
    if python.exists():
        rows.append(Row("python (.venv)", _version(python, "--version"), str(python.resolve())))
    else:
        rows.append(Row("python (.venv)", "-", "-", "missing", "make setup"))
    try:
        go = go_command()
        rows.append(Row("go", _version(go, "version"), _debian_source(go)))
    except ToolchainError:
        rows.append(Row("go", "-", "-", "missing", "toolchain/bootstrap.sh setup"))
    for name, flags in DEBIAN_TOOLS:
        command = find(name)
        if command is None:
            if name == "libvirtd" and find("virtqemud"):
                continue
            rows.append(Row(name, "-", "-", "missing", "make setup"))
        else:
            rows.append(Row(name, _version(command, *flags), _debian_source(command)))
    lacking = [need.package for need in debian.missing()]
    if lacking:
        rows.append(Row("Debian packages", "-", " ".join(lacking), "missing", "make setup"))
    return rows


def node_row(paths: Paths) -> Row:
    """Return which node image a Kubernetes cluster is made of, and where it came from."""
    found = node.read_node(paths)
    if found is None:
        return Row("node image", "-", "-", "missing", "make build")
    source = {"built": "built here"}.get(found.source, f"upstream's {found.source}")
    return Row("node image", f"Kubernetes {found.version}", f"{source}: {found.ref}")


def daemon_rows(paths: Paths) -> list[Row]:
    """Return a row for each daemon: whether it answers, and who runs it."""
    rows = []
    for daemon in (daemons.DOCKERD, daemons.LIBVIRTD, daemons.REGISTRY):
        answer = daemon.ask()
        if answer == "answers":
            rows.append(Row(f"{daemon.name} (daemon)", "answers", daemons.whose(paths, daemon)))
        else:
            cure = daemon.permission_hint if answer == "no permission" else "make setup"
            rows.append(Row(f"{daemon.name} (daemon)", answer, "-", "missing", cure))
    return rows


def machine_rows(paths: Paths) -> list[Row]:
    """Return what the machine is: cores, memory, disk, control groups, capabilities."""
    host = look(paths.cache)
    missing = host.missing_capabilities
    bounded = "CAP_SYS_RESOURCE" in missing
    disk_wanted = DISK_WANTED_BYTES if node.read_node(paths) else COLD_DISK_WANTED_BYTES
    small_disk = host.disk_free_bytes < disk_wanted
    small_memory = host.memory_available_bytes < MEMORY_WANTED_BYTES
    return [
        Row("release", host.release, f"kernel {host.kernel}"),
        Row("service manager", "systemd" if host.systemd else "none", _manager(host.systemd)),
        Row("cores", str(host.cores), ""),
        Row(
            "memory",
            f"{host.memory_bytes / GIB:.1f} GiB",
            f"{host.memory_available_bytes / GIB:.1f} GiB available"
            + (f", {MEMORY_WANTED_BYTES // GIB} wanted" if small_memory else ""),
            "note" if small_memory else "ok",
        ),
        Row(
            "disk free",
            f"{host.disk_free_bytes / GIB:.1f} GiB",
            f"where {paths.cache} is",
            "missing" if small_disk else "ok",
            f"free some: {disk_wanted // GIB} GiB are needed" if small_disk else "",
        ),
        Row("control groups", host.cgroup, ""),
        Row(
            "capabilities missing",
            ", ".join(missing) or "none",
            "dockerd, if we start it, gets an OCI runtime that trims them" if bounded else "",
            "note" if missing else "ok",
        ),
    ]


def _manager(systemd: bool) -> str:
    return "it is asked to start daemons" if systemd else "daemons are started by pid file"


def accelerator_row(paths: Paths) -> Row:
    """Return which accelerator a VM really gets, by the probe guest."""
    found = accelerator.detect(paths)
    probed = "not probed" not in found.reason
    return Row(
        "accelerator",
        found.kind,
        found.reason,
        "ok" if probed else "missing",
        "" if probed else "make setup",
    )


def rows(paths: Paths) -> list[tuple[str, list[Row]]]:
    """Return the whole table, by part."""
    return [
        ("Tools", [*tool_rows(paths), node_row(paths)]),
        ("Daemons", daemon_rows(paths)),
        ("Machine", [*machine_rows(paths), accelerator_row(paths)]),
    ]


def plain(parts: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """Return the table as plain text."""
    everything = [row for _, part in parts for row in part]
    wide = max(len(row.name) for row in everything)
    values = min(28, max(len(row.value) for row in everything))
    lines = []
    for title, part in parts:
        lines.append(title)
        for row in part:
            mark = {"ok": " ", "missing": "!", "note": "~"}[row.verdict]
            cure = f"  -> {row.cure}" if row.cure else ""
            lines.append(
                f"{mark} {row.name:<{wide}}  {row.value:<{values}}  {row.source}{cure}".rstrip()
            )
    return "\n".join(lines)


def show_rich(parts: Sequence[tuple[str, Sequence[Row]]]) -> bool:
    """Print the table with Rich; False where Rich isn't there (before the venv exists)."""
    try:
        console_module = importlib.import_module("rich.console")
        table_module = importlib.import_module("rich.table")
    except ImportError:
        return False
    console = console_module.Console()
    style = {"ok": "", "missing": "bold red", "note": "yellow"}
    for title, part in parts:
        table = table_module.Table(title=title, title_justify="left", title_style="bold")
        for heading in ("", "version or value", "where it came from"):
            table.add_column(heading, overflow="fold")
        for row in part:
            cure = f"\n-> {row.cure}" if row.cure else ""
            table.add_row(row.name, row.value, row.source + cure, style=style[row.verdict])
        console.print(table)
    return True


def doctor(paths: Paths) -> int:
    """Print the table; return 1 if something needed is missing."""
    parts = rows(paths)
    if not (sys.stdout.isatty() and show_rich(parts)):
        print(plain(parts))
    lacking = [row for _, part in parts for row in part if row.verdict == "missing"]
    if not lacking:
        print("Everything needed is here.")
        return 0
    names = ", ".join(row.name for row in lacking)
    cures = "; ".join(dict.fromkeys(row.cure for row in lacking if row.cure))
    print(f"Missing: {names}. To get it: {cures}")
    return 1
