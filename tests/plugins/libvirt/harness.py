"""Names, clean-up and operations for the tests of the libvirt plugin."""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import libvirt

from plugins.bridge import Operation
from plugins.bridge.journal import Journal

ROOT = Path(__file__).parents[3]
URI = "qemu:///system"


def random_prefix() -> str:
    """Name prefix of everything a test makes."""
    return f"ttest-{secrets.token_hex(4)}"


def random_subnet() -> str:
    """First three numbers of a /24 that nobody else is likely to use."""
    return f"10.{random.randint(200, 249)}.{random.randint(1, 250)}"


def remove_all(prefix: str) -> None:
    """Remove whatever libvirt still has under a prefix, also after a failed test."""
    connection = libvirt.open(URI)
    for domain in connection.listAllDomains():
        if domain.name().startswith(prefix):
            with contextlib.suppress(libvirt.libvirtError):
                domain.destroy()
            with contextlib.suppress(libvirt.libvirtError):  # one without a definition is gone
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    for network in connection.listAllNetworks():
        if network.name().startswith(prefix):
            with contextlib.suppress(libvirt.libvirtError):
                network.destroy()
            network.undefine()
    for pool in connection.listAllStoragePools():
        if not pool.name().startswith(prefix):
            continue
        if pool.isActive():
            with contextlib.suppress(libvirt.libvirtError):
                pool.refresh(0)
            for volume in pool.listAllVolumes():
                with contextlib.suppress(libvirt.libvirtError):
                    volume.delete(0)
            pool.destroy()
        with contextlib.suppress(libvirt.libvirtError):
            pool.delete(0)
        pool.undefine()
    connection.close()


def names(prefix: str) -> list[str]:
    """Names of everything that libvirt has under a prefix."""
    connection = libvirt.open(URI)
    found = [
        item.name()
        for items in (
            connection.listAllDomains(),
            connection.listAllNetworks(),
            connection.listAllStoragePools(),
        )
        for item in items
        if item.name().startswith(prefix)
    ]
    connection.close()
    return sorted(found)


@contextlib.contextmanager
def cleaned_up() -> Iterator[str]:
    """Give a prefix and remove everything under it in the end."""
    prefix = random_prefix()
    try:
        yield prefix
    finally:
        remove_all(prefix)


@dataclass
class Said:
    """What a resource said while it worked."""

    warnings: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)


def operation(home: Path, token: str, name: str, said: Said | None = None) -> Operation:
    """Make an operation as the bridge makes it for one call."""
    said = said or Said()
    journal = Journal("libvirt", home)

    def log(severity: str, text: str, ephemeral: bool) -> None:
        (said.statuses if ephemeral else said.warnings).append(text)

    urn = f"urn:pulumi:test::test::{token}::{name}"
    return Operation(urn, journal, threading.Event(), log)
