"""What a user may get wrong: each gives one clear line, and leaves everything as it was."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.stacks import Stack, Stacks, output_of

pytestmark = pytest.mark.e2e


class TestBadInput:
    """Each gives one clear line and exit code 1, and leaves everything as it was."""

    @staticmethod
    def refused(stack: Stack, *words: str) -> None:
        done = stack.preview(code=None)
        assert done.code != 0
        assert "Traceback" not in done.output
        lines = [line for line in done.errors if "triptych" in line or words[0] in line]
        assert lines, done.output
        for word in words:
            assert word in lines[-1], lines

    @pytest.mark.parametrize(
        ("key", "value"),
        [("shape", "nonsense"), ("model", "swarm"), ("vm_accelerator", "hvf")],
    )
    def test_unknown_value(self, stacks: Stacks, key: str, value: str) -> None:
        stack = stacks.make("docker")
        stack.set(**{key: value})
        self.refused(stack, f"triptych:{key}", value, "must be")

    def test_unknown_key(self, stacks: Stacks) -> None:
        stack = stacks.make("docker", gatway_port="1")
        self.refused(stack, "gatway_port", "unknown", "gateway_port")

    def test_port_taken(self, stacks: Stacks) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = str(other.getsockname()[1])
            stack = stacks.make("docker", gateway_port=port)
            self.refused(stack, "triptych:gateway_port", port, "taken")
            assert stack.up(code=None).code != 0
        assert stack.leftovers() == []

    def test_no_docker_daemon(self, stacks: Stacks) -> None:
        stack = stacks.make("docker", docker_host="unix:///nonexistent/docker.sock")
        self.refused(stack, "no Docker daemon", "/nonexistent/docker.sock", "start it")

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"kubeconfig": "/nowhere/config"}, ("triptych:kubeconfig", "/nowhere/config")),
            ({"context": ""}, ("triptych:context", "not set")),
            ({"storefront_host": "https://x"}, ("triptych:storefront_host", "https://x")),
        ],
        ids=["no-kubeconfig", "no-context", "no-host"],
    )
    def test_a_cluster_that_exists(
        self, stacks: Stacks, config: dict[str, str], words: tuple[str, ...]
    ) -> None:
        usual = {"context": "mine", "registry": "r.example", "storefront_host": "shop.example"}
        stack = stacks.make("kubernetes", cluster="existing", **{**usual, **config})
        self.refused(stack, *words)

    @pytest.mark.parametrize(
        ("user", "word"),
        [("me", "127.0.0.1:1"), ("", "no credentials")],
        ids=["away", "nobody"],
    )
    def test_a_cluster_that_is_not_reached(
        self, stacks: Stacks, tmp_path: Path, user: str, word: str
    ) -> None:
        file = tmp_path / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "far", "cluster": {"server": "https://127.0.0.1:1"}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "far", "context": {"cluster": "far", "user": user}}],
        }
        file.write_text(json.dumps(content))
        stack = stacks.make(
            "kubernetes",
            cluster="existing",
            kubeconfig=str(file),
            context="far",
            registry="r.example",
            storefront_host="shop.example",
        )
        self.refused(stack, "the cluster of context far", word)

    def test_foreign_cluster_of_that_name(self, stacks: Stacks) -> None:
        stack = stacks.make("kubernetes")
        image = output_of("docker", "images", "--quiet").split()[0]
        label = f"io.x-k8s.kind.cluster={stack.prefix}"
        name = f"{stack.prefix}-control-plane"
        container = output_of("docker", "create", "--name", name, "--label", label, image, "true")
        try:
            self.refused(stack, stack.prefix, "does not belong to this stack")
        finally:
            subprocess.run(["docker", "rm", container.strip()], check=True, capture_output=True)

    def test_no_libvirt_daemon(self, stacks: Stacks) -> None:
        uri = "qemu+unix:///system?socket=/nonexistent/libvirt.sock"
        stack = stacks.make("vm", libvirt_uri=uri)
        self.refused(stack, "no libvirt daemon", "/nonexistent/libvirt.sock", "start libvirtd")

    def test_subnet_taken(self, stacks: Stacks) -> None:
        routes = output_of("ip", "-4", "route").splitlines()
        taken = next(
            r.split()[0]
            for r in routes
            if not r.startswith("default") and r.startswith(("10.", "172.", "192.168."))
        )
        stack = stacks.make("vm", vm_subnet=taken)
        self.refused(stack, "triptych:vm_subnet", taken, "another subnet")

    def test_foreign_container_of_that_name(self, stacks: Stacks) -> None:
        stack = stacks.make("docker")
        name = f"{stack.prefix}-gateway"
        image = output_of("docker", "images", "--quiet").split()[0]
        container = output_of("docker", "create", "--name", name, image, "true").strip()
        try:
            self.refused(stack, name, "does not belong to this stack")
            assert stack.up(code=None).code != 0
            assert output_of("docker", "inspect", "--format", "{{.Id}}", name).strip() == container
        finally:
            subprocess.run(["docker", "rm", container], check=True, capture_output=True)

    def test_foreign_domain_of_that_name(self, stacks: Stacks, tmp_path: Path) -> None:
        stack = stacks.make("vm")
        xml = tmp_path / "domain.xml"
        xml.write_text(
            f"<domain type='qemu'><name>{stack.prefix}</name><memory>65536</memory>"
            "<os><type>hvm</type></os></domain>"
        )
        virsh = ("virsh", "--connect", "qemu:///system")
        output_of(*virsh, "define", str(xml))
        try:
            self.refused(stack, stack.prefix, "does not belong to this stack")
        finally:
            output_of(*virsh, "undefine", stack.prefix)
