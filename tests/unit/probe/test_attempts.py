"""The script of attempts."""

from __future__ import annotations

import socket
from pathlib import Path

from probe import attempts
from probe.experiments import isolation
from probe.experiments.isolation import listening


def test_who_is_reached_is_told() -> None:
    with listening("127.0.0.1") as (address, port):
        assert attempts.connects(address, str(port)) == (True, "127.0.0.1 answered")
    assert attempts.connects(address, str(port))[0] is False
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert attempts.connects("127.0.0.1", str(server.getsockname()[1]))[0]


def test_modules_that_isolate_stand_alone() -> None:
    """The script goes into a service as it is, so it may import nothing of ours."""
    text = Path(attempts.__file__).read_text(encoding="utf-8")
    assert "from probe" not in text
    assert "import probe" not in text
    assert isolation.Isolation.name == "isolation"
