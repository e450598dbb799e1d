"""Debian packages of the host's own release, only those that are missing."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.host import become_root, capture, find, os_release
from toolchain.paths import Paths
from toolchain.steps import Step, StepContext


@dataclass(frozen=True)
class Need:
    """Something to have, what shows that it is there, and the package that brings it."""

    name: str
    package: str
    is_there: Callable[[], bool]


def _command(command: str, package: str) -> Need:
    return Need(command, package, lambda: find(command) is not None)


def _file(name: str, package: str, *places: str) -> Need:
    def is_there() -> bool:
        return any(any(Path("/").glob(place.lstrip("/"))) for place in places)

    return Need(name, package, is_there)


def _package(package: str) -> Need:
    return Need(package, package, lambda: is_installed(package))


def is_installed(package: str) -> bool:
    """Tell whether dpkg has the package installed."""
    return capture("dpkg-query", "-W", "-f", "${db:Status-Status}", package) == "installed"


def python_headers() -> Path:
    """Return where the headers of the Python that makes the venv should be."""
    return Path(sysconfig.get_path("include")) / "Python.h"


# What the venv's build takes: no daemon, and nothing that brings one.
VENV_NEEDS: tuple[Need, ...] = (
    _command("pkg-config", "pkg-config"),
    _command("gcc", "gcc"),
    _file("libc headers", "libc6-dev", "/usr/include/stdio.h"),
    _file("libvirt headers", "libvirt-dev", "/usr/include/libvirt/libvirt.h"),
    Need("Python headers", "python3-dev", lambda: python_headers().exists()),
)

NEEDS: tuple[Need, ...] = (
    # Whoever has another dockerd (docker-ce, a build of their own) keeps it.
    _command("dockerd", "docker.io"),
    _command("docker", "docker-cli"),
    _command("iptables", "iptables"),
    Need(
        "libvirtd",
        "libvirt-daemon-system",
        lambda: find("libvirtd") is not None or find("virtqemud") is not None,
    ),
    _command("virsh", "libvirt-clients"),
    _command("qemu-system-x86_64", "qemu-system-x86"),
    _command("qemu-img", "qemu-utils"),
    _command("dnsmasq", "dnsmasq-base"),
    _command("genisoimage", "genisoimage"),
    _command("xsltproc", "xsltproc"),
    _command("ssh", "openssh-client"),
    _command("mmdebstrap", "mmdebstrap"),
    _command("buildah", "buildah"),
    # Another engine for the images, which is what the probe's portability experiment is about.
    _command("podman", "podman"),
    _command("mkfs.ext4", "e2fsprogs"),
    _command("zstd", "zstd"),
    _command("docker-registry", "docker-registry"),
    _package("debian-archive-keyring"),
    *VENV_NEEDS,
)

# Only what tests use: a browser that can be told whom to trust, and a private shop without
# containers.
TEST_NEEDS: tuple[Need, ...] = (
    Need("chromium", "chromium", lambda: bool(find("chromium") or find("google-chrome"))),
    _command("certutil", "libnss3-tools"),
    _file("PostgreSQL", "postgresql", "/usr/lib/postgresql/*/bin/initdb"),
    Need("redis", "redis-server", lambda: bool(find("redis-server") or find("valkey-server"))),
)


def missing(needs: Sequence[Need] = NEEDS) -> list[Need]:
    """Return the needs that are not met on this machine."""
    return [need for need in needs if not need.is_there()]


def _candidate(package: str) -> bool:
    """Tell whether the release has the package (older ones have docker's client in docker.io)."""
    return "Candidate: " in (policy := capture("apt-cache", "policy", package)) and (
        "Candidate: (none)" not in policy
    )


def _check_python(names: Sequence[Need]) -> None:
    """Explain a Python of the user's own that lacks headers: no Debian package has those."""
    if any(need.package == "python3-dev" for need in names) and not sys.base_prefix.startswith(
        ("/usr",)
    ):
        raise ToolchainError(
            f"{sys.base_prefix} has no Python headers", "use a Python that has them, or Debian's"
        )


def packages_step(
    paths: Paths,
    name: str = "debian-packages",
    needs: Sequence[Need] = NEEDS,
    after: tuple[str, ...] = (),
    *,
    start: bool = True,
) -> Step:
    """Return the step that installs what is missing.

    Services are not started by it where no systemd runs, and nowhere if `start` is false.
    """

    def is_done() -> bool | str:
        lacking = missing(needs)
        release = os_release().get("PRETTY_NAME", "this Debian")
        return f"all there ({release})" if not lacking else False

    async def run(context: StepContext) -> None:
        lacking = await context.thread(missing, needs)
        _check_python(lacking)
        if not find("apt-get"):
            raise ToolchainError(
                "this is no Debian", "install these yourself: " + ", ".join(n.name for n in lacking)
            )
        root = await context.thread(become_root)
        wanted = [need.package for need in lacking]
        context.say("installing " + " ".join(wanted))
        if "docker-cli" in wanted:
            # apt's lists may be empty on a new machine, and the answer depends on them.
            await context.run(*root, "apt-get", "update", check=False)
            if not await context.thread(_candidate, "docker-cli"):
                wanted.remove("docker-cli")
        script = paths.root / "toolchain" / "apt-install.sh"
        flags = () if start else ("--no-start",)
        await context.run(*root, "sh", script, *flags, *wanted)
        still = await context.thread(missing, needs)
        if still:
            raise ToolchainError(
                "not there after the install: " + ", ".join(need.name for need in still)
            )
        context.conclude(f"installed {len(wanted)} packages")

    return Step(name, run, after, is_done, "Debian packages", lock="apt")
