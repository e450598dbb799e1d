"""Ports and addresses of this host."""

from __future__ import annotations

import socket

import pytest

from stacks import hosts
from stacks.hosts import PreflightError


def test_refused_port_range_is_not_called_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        socket.socket, "bind", lambda *_: (_ for _ in ()).throw(PermissionError(13))
    )
    assert hosts.port_is_free("127.0.0.1", 443)


def test_an_address_that_is_not_this_hosts() -> None:
    with pytest.raises(PreflightError, match=r"bind_address: this host has no address 192.0.2.77"):
        hosts.port_is_free("192.0.2.77", 8443)
