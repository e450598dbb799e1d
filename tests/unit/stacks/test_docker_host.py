"""Preflight of Docker."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from stacks import docker_host
from stacks.artefacts import Image
from stacks.hosts import PreflightError
from tests.support.docker_fakes import OURS, FakeDocker, container, published


def check_docker(host: FakeDocker, port: int, images: Mapping[str, Image] | None = None) -> None:
    docker_host.check(
        host,
        stack="unit",
        containers=("triptych-unit-gateway", "triptych-unit-monolith"),
        gateway="triptych-unit-gateway",
        address="127.0.0.1",
        port=port,
        images=images or {},
    )


class TestDocker:
    def test_nothing_in_the_way(self, free_port: int) -> None:
        check_docker(FakeDocker(container("someone-elses")), free_port)

    def test_foreign_container_of_our_name(self, free_port: int) -> None:
        host = FakeDocker(container("triptych-unit-monolith", {"triptych.stack": "other"}))
        with pytest.raises(PreflightError, match=r'"triptych-unit-monolith".*does not belong'):
            check_docker(host, free_port)

    def test_own_gateway_may_have_the_port(self) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            gateway = container("triptych-unit-gateway", OURS, [published(port)])
            check_docker(FakeDocker(gateway), port)

    def test_own_gateway_on_another_port_is_no_excuse(self) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            gateway = container("triptych-unit-gateway", OURS, [published(1)])
            with pytest.raises(PreflightError, match=f"port {port} .* another program"):
                check_docker(FakeDocker(gateway), port)

    @pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0"])
    def test_port_of_another_container(self, free_port: int, ip: str) -> None:
        host = FakeDocker(container("web", ports=[published(free_port, ip)]))
        with pytest.raises(PreflightError, match=r'gateway_port.*container "web"'):
            check_docker(host, free_port)

    def test_same_port_on_another_address_is_free(self, free_port: int) -> None:
        check_docker(
            FakeDocker(container("web", ports=[published(free_port, "10.0.0.1")])), free_port
        )

    def test_disk_too_small_for_the_missing_images(self, free_port: int, tmp_path: Path) -> None:
        images = {"monolith": Image(ref="r/monolith:1", unpacked_bytes=2**60)}
        with pytest.raises(PreflightError, match=r"disk too small: .* MiB in /.* are free"):
            check_docker(FakeDocker(root=str(tmp_path)), free_port, images)
        # An image that is there already needs no more room.
        check_docker(FakeDocker(root=str(tmp_path), images=["r/monolith:1"]), free_port, images)

    def test_no_daemon(self) -> None:
        host = docker_host.DockerHost("unix:///nonexistent/docker.sock")
        with pytest.raises(PreflightError, match=r"no Docker daemon answers at unix:///nonexist"):
            host.client()

    def test_no_permission(self) -> None:
        error = Exception("x")
        error.__cause__ = PermissionError(13, "Permission denied")
        text = docker_host.DockerHost(None)._refusal(error)
        assert text.startswith("no permission to use the Docker daemon")
        assert "\n" not in text

    def test_where_the_daemon_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "ssh://me@far")
        assert docker_host.DockerHost(None).address == "ssh://me@far"
        assert not docker_host.DockerHost(None).is_local
        assert docker_host.DockerHost("unix:///run/x.sock").is_local
