"""Where stacks are put."""

from __future__ import annotations

import ipaddress
import random
import socket
from pathlib import Path

import pytest

from probe import sites
from probe.errors import ProbeError


def test_a_free_port_is_none_that_a_connection_could_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "_FIRST_PORT", 29_990)
    monkeypatch.setattr(sites, "_ephemeral_ports", lambda: (30_000, 65_530))
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", sites.free_port()))
        found = {sites.free_port() for _ in range(50)}
        assert found <= {*range(29_990, 30_000), *range(65_531, 65_536)} - {busy.getsockname()[1]}
    monkeypatch.setattr(sites, "_ephemeral_ports", lambda: (1, 65_535))
    with pytest.raises(ProbeError, match="no TCP port"):
        sites.free_port()


def test_the_kernel_says_which_ports_it_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = tmp_path / "ip_local_port_range"
    monkeypatch.setattr(sites, "_EPHEMERAL", said)
    assert sites._ephemeral_ports() == (32768, 60999)
    said.write_text("1024\t65535\n")
    assert sites._ephemeral_ports() == (1024, 65535)


def test_a_free_subnet_overlaps_none_that_is_taken() -> None:
    taken = [ipaddress.IPv4Network("10.91.0.0/17"), ipaddress.IPv4Network("10.91.128.0/18")]
    for seed in range(20):
        found = ipaddress.IPv4Network(sites.free_subnet(random.Random(seed), taken))
        assert not any(found.overlaps(other) for other in taken)
    with pytest.raises(ProbeError, match="no free /24"):
        sites.free_subnet(random.Random(0), [ipaddress.IPv4Network("10.0.0.0/8")])
