"""What only a cluster can do or refuse."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from bench.kubectl_side import manifests
from probe.engine import UpResult
from probe.experiments.base import Context, Plan
from probe.experiments.rollout import Rollout
from probe.target import from_outputs
from probe.vegeta import Attack, Request
from shop import catalogue
from tests.support import ROOT
from tests.support.probing import overlaps, updates
from tests.support.record import say
from tests.support.stacks import (
    READY_TIMEOUT_S,
    Shop,
    Stack,
    docker_leftovers,
    kubectl,
    output_of,
    wait_for,
)
from tests.support.updates import assert_none_lost

pytestmark = pytest.mark.e2e
#: About a cluster of the stack's own.
own_cluster = pytest.mark.own_cluster


#: How long an edge that is there may take to open on a busy host; one that is not is silent.
EDGE_OPENS_S = 60
EDGE_IS_SILENT_S = 10


def reached(stack: Stack, service: str, targets: Iterable[str], within_s: float) -> set[str]:
    """Return to which of `host:port`s, tried at once, a service's pod can open a connection."""
    script = " ".join(
        f"(exec 3<>/dev/tcp/{target.replace(':', '/')} && echo {target}) 2>/dev/null &"
        for target in targets
    )
    # timeout ends the whole group of processes.
    bounded = f"timeout {within_s} bash -c '{script} wait' || true"
    pod = ("exec", f"deployment/{service}", "--", "/bin/bash", "-c", bounded)
    return set(kubectl(stack, *pod).split())


def attack(shop: Shop, paths: Iterable[str], *, rate: float, seconds: float) -> Attack:
    url, authority = shop.outputs["storefront_url"], shop.outputs["ca_certificate"]
    requests = [Request("GET", path, shop.authorization) for path in paths]
    return Attack(url, requests, rate=rate, seconds=seconds, ca=authority)


def pods(stack: Stack) -> set[str]:
    names = kubectl(stack, "get", "pods", "--output=name").split()
    return {name.removeprefix("pod/") for name in names}


def replicas(stack: Stack, service: str) -> int:
    query = ("get", f"deployment/{service}", "--output=jsonpath={.status.readyReplicas}")
    return int(kubectl(stack, *query) or 0)


@own_cluster
class TestWhileItIsUp:
    @pytest.mark.usefixtures("shop")  # who is not ready has no endpoint yet
    def test_the_edges_of_the_model_are_open_and_no_others(self, stack: Stack) -> None:
        services = {s.name: s for s in catalogue.services(stack.shape)}
        # The world, the API server, and the node's own port of the kubelet.
        outside = ("1.1.1.1:443", "kubernetes.default.svc:443")
        for name in ("cart", "frontend", "gateway"):
            others = {s.address for s in services.values() if s.name != name}
            needed = {services[need].address for need in services[name].needs}
            assert reached(stack, name, needed, EDGE_OPENS_S) == needed, name
            refused = (others - needed) | set(outside)
            assert reached(stack, name, refused, EDGE_IS_SILENT_S) == set(), name

    def test_services_and_policies_share_no_table(self, stack: Stack) -> None:
        """The enforcer puts its table back as it had read it, and others' rules with it."""
        node = stack.outputs()["inspect"]["node"]
        table = output_of("docker", "exec", node, "iptables-save", "-t", "filter")
        chains = {line.split()[0] for line in table.splitlines() if line.startswith(":")}
        assert any(chain.startswith(":KUBE-POD-FW-") for chain in chains)
        assert not {":KUBE-SERVICES", ":KUBE-FORWARD", ":KUBE-PROXY-FIREWALL"} & chains

    def test_a_pod_that_may_more_than_restricted_is_refused(self, stack: Stack) -> None:
        process = subprocess.run(
            [
                str(ROOT / ".triptych" / "bin" / "kubectl"),
                f"--kubeconfig={stack.outputs()['inspect']['kubeconfig']}",
                f"--namespace={stack.prefix}",
                *("run", "intruder", "--image=x", "--privileged", "--dry-run=server"),
            ],
            capture_output=True,
            check=False,
            text=True,
        )
        assert process.returncode != 0
        assert "violates PodSecurity" in process.stderr

    def test_pods_have_no_token(self, stack: Stack) -> None:
        script = "ls /var/run/secrets/kubernetes.io 2>/dev/null || echo none"
        pod = ("exec", "deployment/auth", "--", "/bin/bash", "-c", script)
        assert kubectl(stack, *pod).strip() == "none"

    def test_all_that_is_declared_is_valid(self, stack: Stack, tmp_path: Path) -> None:
        """Each object against the API server's own schemas; an unknown field is an error."""
        objects = manifests(json.loads(stack.export("--show-secrets")), stack.prefix)
        assert {o["kind"] for o in objects} >= {
            "ConfigMap",
            "Deployment",
            "HorizontalPodAutoscaler",
            "Ingress",
            "Namespace",
            "NetworkPolicy",
            "PersistentVolumeClaim",
            "PodDisruptionBudget",
            "Secret",
            "Service",
            "ServiceAccount",
            "StatefulSet",
        }
        file = tmp_path / "objects.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        options = ("--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server")
        answer = kubectl(stack, "apply", *options, "--filename", str(file), namespace="")
        assert len(answer.splitlines()) == len(objects)


@pytest.mark.guest
def test_a_guest_is_in_its_hosts_cluster_alone(stack: Stack) -> None:
    answer = kubectl(stack, "get", "ingress", "--output=name")
    assert answer.strip() == "ingress.networking.k8s.io/gateway"
    assert docker_leftovers(stack.name) == []


@own_cluster
@pytest.mark.measures_host
class TestUnderLoad:
    def test_an_update_and_its_rollback_lose_no_request(self, stack: Stack, shop: Shop) -> None:
        """Every pod without data is replaced, and again, while customers look around."""
        asked = ("products?q=lamp", "products/1", "cart", "orders")
        paths = ("/", "/health/ready", *(f"/api/v1/{what}" for what in asked))
        assert shop.log_in(shop.register()) == 200
        before = pods(stack)
        load = attack(shop, paths, rate=12, seconds=300)
        try:
            for change in ("restart", "undo"):
                kubectl(stack, "rollout", change, "deployment")
                for name in kubectl(stack, "get", "deployment", "--output=name").split():
                    kubectl(stack, "rollout", "status", name, "--timeout=180s")
            # What is drained is still asked for a while.
            time.sleep(5)
        finally:
            answers = load.stop()
        assert not {p for p in before & pods(stack) if not p.startswith(catalogue.DATASTORES)}
        assert_none_lost(answers)

    def test_an_update_fails_no_request_in_the_probes_eyes(self, stack: Stack, shop: Shop) -> None:
        """With the test in the place of the probe's engine: it updates no stack but its own."""

        def redeploy(changed: Mapping[str, str | None]) -> UpResult:
            began_s = time.monotonic()
            for key, value in changed.items():
                change = ("rm", f"triptych:{key}") if value is None else ("set", f"triptych:{key}")
                stack.run("config", *change, *(["--secret", value] if value else []))
            done = stack.up(code=None)
            return UpResult(began_s, error="" if done.code == 0 else done.output)

        context = Context(
            *("test", stack.model, stack.shape, 1, "warm"),
            first=False,
            plan=Plan.quick(),
            root=ROOT,
            target=from_outputs(stack.name, stack.outputs()),
            redeploy=redeploy,
            say=say,
        )
        samples = Rollout().measure(context)
        assert not [s for s in samples if s.outcome == "failed"]
        assert updates(samples) == {"update": 0, "rollback": 0}
        # Pods may answer side by side.
        assert len(overlaps(samples)) == 2
        assert None not in overlaps(samples)

    def test_pods_are_added(self, stack: Stack, shop: Shop) -> None:
        assert replicas(stack, "products") == 1
        # Each search is another one, which no cache answers.
        paths = [f"/api/v1/products?q=lamp{number}" for number in range(500)]
        load = attack(shop, paths, rate=60, seconds=240)
        try:
            wait_for(lambda: replicas(stack, "products") > 1, "another pod", 240)
        finally:
            load.stop()
        said = kubectl(stack, "get", "events", "--field-selector=reason=SuccessfulRescale")
        assert "cpu resource above target" in said


@own_cluster
@pytest.mark.follows
class TestAfterwards:
    def test_pods_are_taken_away_again(self, stack: Stack) -> None:
        wait_for(lambda: replicas(stack, "products") == 1, "a single pod again", 300)

    def test_a_guest_leaves_it_as_it_was(self, stack: Stack) -> None:
        """The guest's own tests have ended with its `destroy`."""
        namespaces = kubectl(stack, "get", "namespaces", "--output=name", namespace="").split()
        own = [name for name in namespaces if name.startswith("namespace/triptych-e2e-")]
        assert own == [f"namespace/{stack.prefix}"]
        stack.preview("--expect-no-changes")


@own_cluster
@pytest.mark.breaks("takes away the cluster, or its images")
class TestBroken:
    def test_a_cluster_that_went_is_made_again(self, stack: Stack) -> None:
        output_of("docker", "rm", "--force", "--volumes", stack.outputs()["inspect"]["node"])
        stack.up()
        shop = Shop(stack.outputs())
        shop.wait_until_ready(READY_TIMEOUT_S["kubernetes"])
        assert shop.buy(shop.register())["status"] == "paid"
        stack.preview("--expect-no-changes")

    def test_an_image_that_can_not_be_pulled_is_one_line(self, stack: Stack) -> None:
        stack.set(registry="127.0.0.1:1")
        try:
            done = stack.up(code=None)
            assert done.code != 0
            line = next(line for line in done.errors if "can't be pulled" in line)
            assert "127.0.0.1:1/triptych/" in line
        finally:
            stack.run("config", "rm", "triptych:registry")
        stack.up()
        Shop(stack.outputs()).wait_until_ready(READY_TIMEOUT_S["kubernetes"])
        stack.preview("--expect-no-changes")


@own_cluster
@pytest.mark.ends("its stack is destroyed")
def test_destroy_without_a_cluster(stack: Stack) -> None:
    output_of("docker", "rm", "--force", "--volumes", stack.outputs()["inspect"]["node"])
    stack.destroy()
    assert stack.leftovers() == []
    assert json.loads(stack.export())["deployment"].get("resources", []) == []
