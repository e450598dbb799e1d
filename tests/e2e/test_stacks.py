"""Each model with each shape, really deployed: its whole life, bad input, killed engines.

While a stack is up, the suites that know a shop only by its address are run against it: the
contract's and the browser's. Their tests count as those of this folder do.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

from bench.kubectl_side import manifests
from probe import models
from probe.target import from_outputs
from probe.vegeta import Attack, Request
from shop import catalogue
from tests.e2e.conftest import (
    READY_TIMEOUT_S,
    ROOT,
    Shop,
    Stack,
    Stacks,
    beside,
    docker_leftovers,
    output_of,
    say,
)
from tests.e2e.reports import run_inside

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.libvirt]
#: What a model does alike with either shape is seen with its own; conftest.py leaves the other out.
own_shape = pytest.mark.own_shape

MODELS = tuple(catalogue.MODELS)
#: Each model with each shape, its own first; of machines the one that has more to do, before the
#: others' clusters take all there is of the host.
KINDS = [
    pytest.param((model, shape), id=f"{model}-{shape}", marks=beside(model))
    for model, usual in catalogue.MODELS.items()
    for shape in sorted(
        catalogue.SHAPES,
        key=lambda shape, model=model, usual=usual: (shape == usual) == (model == "vm"),
    )
]
#: Made-up requests per operation: a private shop of each shape has had many of them already. In an
#: emulated guest each takes ten times as long.
FUZZ_EXAMPLES = 10
EMULATED_FUZZ_EXAMPLES = 1
#: The services' time-outs for each other are made for hardware.
EMULATED_PATIENCE_S = 90
EMULATED_CROWD = 2
#: Where else what was deployed is started.
ELSEWHERE = {"docker": {"containerd", "podman"}, "kubernetes": {"kubelet"}, "vm": {"sata"}}
#: How many engines are killed in mid-up, per model.
KILLS = {
    "docker": int(os.environ.get("TRIPTYCH_E2E_KILLS", "3")),
    "kubernetes": int(os.environ.get("TRIPTYCH_E2E_KILLS", "1")),
    "vm": int(os.environ.get("TRIPTYCH_E2E_KILLS", "1")),
}


@pytest.fixture(scope="class", params=KINDS)
def stack(request: pytest.FixtureRequest, all_stacks: Stacks):
    """Return one stack that is up, for all tests of the class in their order."""
    model, shape = request.param
    # A model's own shape is what it gets unless told otherwise.
    usual = catalogue.MODELS[model] == shape
    made = all_stacks.make(model, **({} if usual else {"shape": shape}))
    made.up()
    yield made
    all_stacks.remove(made)


@pytest.fixture
def shop(stack: Stack) -> Shop:
    return Shop(stack.outputs())


def take_away(stack: Stack) -> str:
    """Take away, behind Pulumi's back, what does the work; return what `up` has to say then."""
    inspect = stack.outputs()["inspect"]
    if stack.model == "docker":
        names = [name for service, name in inspect["containers"].items() if service != "gateway"]
        output_of("docker", "rm", "--force", *names)
        return f"{len(names)} created"
    if stack.model == "kubernetes":
        output_of("docker", "stop", "--time", "1", inspect["node"])
        # The cluster, its provider, and the watch over the pods.
        return "3 updated"
    output_of("virsh", "--connect", inspect["libvirt_uri"], "destroy", inspect["domain"])
    return "1 updated"


def kubectl(stack: Stack, *command: str, namespace: str | None = None) -> str:
    """Return what kubectl prints of the stack's cluster; by default of the shop's namespace."""
    inspect = stack.outputs()["inspect"]
    where = inspect["namespace"] if namespace is None else namespace
    return output_of(
        str(ROOT / ".triptych" / "bin" / "kubectl"),
        f"--kubeconfig={inspect['kubeconfig']}",
        *([f"--namespace={where}"] if where else []),
        *command,
    )


@pytest.fixture
def address(stack: Stack, shop: Shop, tmp_path: Path) -> list[str]:
    """Return the options that tell a suite where the shop is; it is ready."""
    shop.wait_until_ready(READY_TIMEOUT_S[stack.model])
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(shop.outputs["ca_certificate"])
    return ["--base-url", shop.outputs["storefront_url"], "--ca-file", str(ca_file)]


class TestLife:
    """The tests build on each other: one stack from its `up` to its `destroy`."""

    def test_outputs(self, stack: Stack):
        outputs = stack.outputs()
        assert outputs["model"] == stack.model
        assert outputs["shape"] == stack.shape
        assert outputs["prefix"] == stack.prefix
        assert outputs["accelerator"] in (("kvm", "tcg") if stack.model == "vm" else ("none",))
        assert set(outputs) == {
            "accelerator",
            "ca_certificate",
            "endpoints",
            "inspect",
            "limits",
            "model",
            "prefix",
            "readiness_probe",
            "shape",
            "storefront_url",
        }

    def test_second_preview_is_empty(self, stack: Stack):
        stack.preview("--expect-no-changes", "--diff")

    def test_the_contract(
        self, request: pytest.FixtureRequest, stack: Stack, shop: Shop, address: list[str]
    ):
        emulated = shop.outputs["accelerator"] == "tcg"
        examples = EMULATED_FUZZ_EXAMPLES if emulated else FUZZ_EXAMPLES
        options = ["--fuzz-examples", str(examples)]
        if emulated:
            say(f"emulated: who is late is asked again for {EMULATED_PATIENCE_S} s")
            options += ["--patience", str(EMULATED_PATIENCE_S), "--crowd", str(EMULATED_CROWD)]
        arguments = ("tests/contract", *address, *options)
        run_inside(request, stack.kind, *arguments, environment=stack.environment)

    def test_the_storefront(
        self, request: pytest.FixtureRequest, stack: Stack, shop: Shop, address: list[str]
    ):
        emulated = shop.outputs["accelerator"] == "tcg"
        options = ["--patience", str(EMULATED_PATIENCE_S)] if emulated else []
        arguments = ("tests/browser", *address, *options)
        run_inside(request, stack.kind, *arguments, environment=stack.environment)

    def test_refresh_changes_nothing(self, stack: Stack):
        stack.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    def test_secrets_stay_secret(self, stack: Stack):
        credentials = secret_values(stack)
        assert len(credentials) >= 5
        inspect = stack.outputs()["inspect"]
        if stack.model == "docker":
            names = output_of(
                "docker", "ps", "-aq", "--filter", f"label=triptych.stack={stack.name}"
            ).split()
            seen = output_of("docker", "inspect", *names)
        elif stack.model == "kubernetes":
            seen = kubectl(stack, "get", "all,configmaps,ingresses", "--output=yaml")
            seen += output_of("docker", "inspect", inspect["node"], inspect["registry"])
        else:
            seen = output_of("virsh", "-c", inspect["libvirt_uri"], "dumpxml", inspect["domain"])
        state = stack.export()
        for value in credentials:
            assert value not in state
            assert value not in seen

    @own_shape
    def test_data_outlive_the_process(self, stack: Stack, shop: Shop):
        account = shop.register()
        order = shop.buy(account)
        expected = take_away(stack)
        assert expected in stack.up().output
        healed = Shop(stack.outputs())
        healed.wait_until_ready(READY_TIMEOUT_S[stack.model])
        assert healed.buy(account)["status"] == "paid"
        assert healed.order(order["id"])["id"] == order["id"]
        stack.preview("--expect-no-changes")

    @own_shape
    def test_another_payment_key_takes_new_files_not_new_data(self, stack: Stack, shop: Shop):
        account = shop.register()
        stack.run("config", "set", "--secret", "triptych:stripe_api_key", "sk_test_another1")
        stack.up()
        changed = Shop(stack.outputs())
        changed.wait_until_ready(READY_TIMEOUT_S[stack.model])
        assert changed.buy(account)["status"] == "paid"
        assert "sk_test_another1" not in stack.export()
        stack.preview("--expect-no-changes")

    @own_shape
    def test_where_else_it_runs(self, stack: Stack):
        wanted = ELSEWHERE[stack.model]
        inspector = models.inspector(from_outputs(stack.name, stack.outputs()))
        try:
            with inspector.environments() as environments:
                tried = {e.name: e.trial() for e in environments if e.name in wanted}
        finally:
            inspector.close()
        assert set(tried) == wanted
        assert not [how for works, how in tried.values() if not works]
        # The stack's own is as it was.
        stack.preview("--expect-no-changes")

    def test_destroy_leaves_nothing(self, stack: Stack):
        stack.destroy()
        assert stack.leftovers() == []
        assert json.loads(stack.export())["deployment"].get("resources", []) == []


def test_another_shape_on_a_living_stack(stacks: Stacks):
    """It starts empty, and the old shop is found again on the way back."""
    usual, other = catalogue.MODELS["docker"], "monolith"
    stack = stacks.make("docker")
    stack.up()
    shop = Shop(stack.outputs())
    shop.wait_until_ready(READY_TIMEOUT_S["docker"])
    account = shop.register()
    order = shop.buy(account)
    for shape in (other, usual):
        stack.set(shape=shape)
        stack.up()
        stack.preview("--expect-no-changes")
        shop = Shop(stack.outputs())
        assert shop.outputs["shape"] == shape
        shop.wait_until_ready(READY_TIMEOUT_S["docker"])
        assert set(shop.outputs["inspect"]["containers"]) == {
            service.name for service in catalogue.services(shape)
        }
        if shape == other:
            assert shop.log_in(account) == 401
            assert shop.buy(shop.register())["status"] == "paid"
    assert shop.log_in(account) == 200
    assert shop.order(order["id"])["status"] == "paid"
    stack.destroy()
    assert stack.leftovers() == []


class TestKubernetes:
    """What only a cluster can do or refuse."""

    @pytest.fixture(scope="class")
    def stack(self, all_stacks: Stacks):
        made = all_stacks.make("kubernetes")
        made.up()
        Shop(made.outputs()).wait_until_ready(READY_TIMEOUT_S["kubernetes"])
        yield made
        all_stacks.remove(made)

    @staticmethod
    def reaches(stack: Stack, service: str, target: str) -> bool:
        """Return whether a service's pod can open a connection to `host port` in 3 s."""
        host, port = target.split(":")
        script = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{host}/{port}' 2>/dev/null && echo open"
        pod = ("exec", f"deployment/{service}", "--", "/bin/bash", "-c", f"{script} || true")
        return "open" in kubectl(stack, *pod)

    def test_the_edges_of_the_model_are_open_and_no_others(self, stack: Stack):
        services = {s.name: s for s in catalogue.services(stack.shape)}
        for name in ("cart", "frontend", "gateway"):
            for target in services.values():
                if target.name != name:
                    open_ = self.reaches(stack, name, target.address)
                    assert open_ == (target.name in services[name].needs), (name, target.name)
        # The world, the API server, and the node's own port of the kubelet.
        for target in ("1.1.1.1:443", "kubernetes.default.svc:443"):
            assert not self.reaches(stack, "cart", target), target

    def test_services_and_policies_share_no_table(self, stack: Stack):
        """The enforcer puts its table back as it had read it, and others' rules with it."""
        node = stack.outputs()["inspect"]["node"]
        table = output_of("docker", "exec", node, "iptables-save", "-t", "filter")
        chains = {line.split()[0] for line in table.splitlines() if line.startswith(":")}
        assert any(chain.startswith(":KUBE-POD-FW-") for chain in chains)
        assert not {":KUBE-SERVICES", ":KUBE-FORWARD", ":KUBE-PROXY-FIREWALL"} & chains

    def test_a_pod_that_may_more_than_restricted_is_refused(self, stack: Stack):
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

    def test_pods_have_no_token(self, stack: Stack):
        script = "ls /var/run/secrets/kubernetes.io 2>/dev/null || echo none"
        pod = ("exec", "deployment/auth", "--", "/bin/bash", "-c", script)
        assert kubectl(stack, *pod).strip() == "none"

    def test_all_that_is_declared_is_valid(self, stack: Stack, tmp_path: Path):
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

    def test_an_update_and_its_rollback_lose_no_request(self, stack: Stack, shop: Shop):
        """Every pod without data is replaced, and again, while customers look around."""
        asked = ("products?q=lamp", "products/1", "cart", "orders")
        paths = ("/", "/health/ready", *(f"/api/v1/{what}" for what in asked))
        assert shop.log_in(shop.register()) == 200
        before = self.pods(stack)
        attack = self.attack(shop, paths, rate=12, seconds=300)
        try:
            for change in ("restart", "undo"):
                kubectl(stack, "rollout", change, "deployment")
                for name in kubectl(stack, "get", "deployment", "--output=name").split():
                    kubectl(stack, "rollout", "status", name, "--timeout=180s")
            # What is drained is still asked for a while.
            time.sleep(5)
        finally:
            answers = attack.stop()
        assert not {p for p in before & self.pods(stack) if not p.startswith(catalogue.DATASTORES)}
        assert len(answers) > 100
        assert not [(answer.path, answer.note) for answer in answers if not answer.good]

    @staticmethod
    def attack(shop: Shop, paths: Iterable[str], *, rate: float, seconds: float) -> Attack:
        url, authority = shop.outputs["storefront_url"], shop.outputs["ca_certificate"]
        requests = [Request("GET", path, shop.authorization) for path in paths]
        return Attack(url, requests, rate=rate, seconds=seconds, ca=authority)

    @staticmethod
    def pods(stack: Stack) -> set[str]:
        names = kubectl(stack, "get", "pods", "--output=name").split()
        return {name.removeprefix("pod/") for name in names}

    @staticmethod
    def replicas(stack: Stack, service: str) -> int:
        query = ("get", f"deployment/{service}", "--output=jsonpath={.status.readyReplicas}")
        return int(kubectl(stack, *query) or 0)

    def test_pods_are_added_under_load_and_taken_away_again(self, stack: Stack, shop: Shop):
        assert self.replicas(stack, "products") == 1
        # Each search is another one, which no cache answers.
        paths = [f"/api/v1/products?q=lamp{number}" for number in range(500)]
        attack = self.attack(shop, paths, rate=60, seconds=240)
        try:
            wait_for(lambda: self.replicas(stack, "products") > 1, "another pod", 240)
        finally:
            attack.stop()
        said = kubectl(stack, "get", "events", "--field-selector=reason=SuccessfulRescale")
        assert "cpu resource above target" in said
        wait_for(lambda: self.replicas(stack, "products") == 1, "a single pod again", 300)

    def test_a_cluster_that_went_is_made_again(self, stack: Stack):
        output_of("docker", "rm", "--force", "--volumes", stack.outputs()["inspect"]["node"])
        stack.up()
        shop = Shop(stack.outputs())
        shop.wait_until_ready(READY_TIMEOUT_S["kubernetes"])
        assert shop.buy(shop.register())["status"] == "paid"
        stack.preview("--expect-no-changes")

    def test_an_image_that_can_not_be_pulled_is_one_line(self, stack: Stack):
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

    def test_in_a_cluster_that_exists(self, stack: Stack, stacks: Stacks, tmp_path: Path):
        """The first stack's cluster is the user's of a second one."""
        inspect = stack.outputs()["inspect"]
        guest = stacks.make(
            "kubernetes",
            cluster="existing",
            kubeconfig=inspect["kubeconfig"],
            context=inspect["context"],
            registry="127.0.0.1:5085",
            storefront_host=f"shop.triptych.test:{stack.config['gateway_port']}",
        )
        guest.up()
        guest.preview("--expect-no-changes")
        answer = kubectl(stack, "get", "ingress", "--output=name", namespace=guest.prefix)
        assert answer.strip() == "ingress.networking.k8s.io/gateway"
        assert docker_leftovers(guest.name) == []
        guest.destroy()
        assert guest.prefix not in kubectl(stack, "get", "namespaces", "--output=name")
        # The user's own are all still there.
        stack.preview("--expect-no-changes")

    def test_destroy_without_a_cluster(self, stack: Stack):
        output_of("docker", "rm", "--force", "--volumes", stack.outputs()["inspect"]["node"])
        stack.destroy()
        assert stack.leftovers() == []
        assert json.loads(stack.export())["deployment"].get("resources", []) == []


def test_all_models_side_by_side(stacks: Stacks):
    """One `up`, three shops, each at its own address; one `destroy`, and nothing is left."""
    stack = stacks.make("dev")
    stack.up()
    outputs = stack.outputs()
    shops = {model: Shop(outputs[model]) for model in MODELS}
    assert len({shop.outputs["storefront_url"] for shop in shops.values()}) == len(MODELS)
    for model, shop in shops.items():
        shop.wait_until_ready(READY_TIMEOUT_S[model])
        assert shop.buy(shop.register())["status"] == "paid"
    stack.preview("--expect-no-changes")
    stack.destroy()
    for model in MODELS:
        assert Stack(model, f"{stack.name}-{model}", stack.environment).leftovers() == []


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Wait until something is so, asking once a second."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what}: not within {timeout_s:g} s"
        time.sleep(1)


def secret_values(stack: Stack) -> list[str]:
    """Return a line of each secret that the stack made; PEM's armour is no secret."""
    state = json.loads(stack.export("--show-secrets"))
    (resource,) = (
        r for r in state["deployment"]["resources"] if r["urn"].endswith("::credentials")
    )
    values = []
    for value in resource["outputs"].values():
        if isinstance(value, dict) and "plaintext" in value:
            text = str(json.loads(value["plaintext"]))
            values.append(text.splitlines()[1] if text.startswith("-----") else text)
    return values


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
    def test_unknown_value(self, stacks: Stacks, key: str, value: str):
        stack = stacks.make("docker")
        stack.set(**{key: value})
        self.refused(stack, f"triptych:{key}", value, "must be")

    def test_unknown_key(self, stacks: Stacks):
        stack = stacks.make("docker", gatway_port="1")
        self.refused(stack, "gatway_port", "unknown", "gateway_port")

    def test_port_taken(self, stacks: Stacks):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = str(other.getsockname()[1])
            stack = stacks.make("docker", gateway_port=port)
            self.refused(stack, "triptych:gateway_port", port, "taken")
            assert stack.up(code=None).code != 0
        assert stack.leftovers() == []

    def test_no_docker_daemon(self, stacks: Stacks):
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
    def test_a_cluster_that_exists(self, stacks: Stacks, config: dict[str, str], words):
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
    ):
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

    def test_foreign_cluster_of_that_name(self, stacks: Stacks):
        stack = stacks.make("kubernetes")
        image = output_of("docker", "images", "--quiet").split()[0]
        label = f"io.x-k8s.kind.cluster={stack.prefix}"
        name = f"{stack.prefix}-control-plane"
        container = output_of("docker", "create", "--name", name, "--label", label, image, "true")
        try:
            self.refused(stack, stack.prefix, "does not belong to this stack")
        finally:
            subprocess.run(["docker", "rm", container.strip()], check=True, capture_output=True)

    def test_no_libvirt_daemon(self, stacks: Stacks):
        uri = "qemu+unix:///system?socket=/nonexistent/libvirt.sock"
        stack = stacks.make("vm", libvirt_uri=uri)
        self.refused(stack, "no libvirt daemon", "/nonexistent/libvirt.sock", "start libvirtd")

    def test_subnet_taken(self, stacks: Stacks):
        routes = output_of("ip", "-4", "route").splitlines()
        taken = next(
            r.split()[0]
            for r in routes
            if not r.startswith("default") and r.startswith(("10.", "172.", "192.168."))
        )
        stack = stacks.make("vm", vm_subnet=taken)
        self.refused(stack, "triptych:vm_subnet", taken, "another subnet")

    def test_foreign_container_of_that_name(self, stacks: Stacks):
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

    def test_foreign_domain_of_that_name(self, stacks: Stacks, tmp_path):
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


@pytest.mark.parametrize("model", [pytest.param(m, marks=beside(m)) for m in MODELS])
def test_killed_engines_leave_nothing_that_up_and_destroy_do_not_clear(stacks: Stacks, model: str):
    """Kill the engine at random moments of `up`; then `cancel`, `up`, `destroy` must do."""
    stack = stacks.make(model)
    whole_s = stack.up().took_s
    stack.destroy()
    seed = int(os.environ.get("TRIPTYCH_E2E_SEED", random.randrange(2**32)))
    say(f"{model}: up takes {whole_s:.1f} s; seed {seed} (TRIPTYCH_E2E_SEED repeats it)")
    moments = random.Random(seed)
    for number in range(1, KILLS[model] + 1):
        after_s = moments.uniform(0.2, whole_s)
        engine = stack.start("up", "--yes", "--skip-preview")
        time.sleep(after_s)
        orphans = psutil.Process(engine.pid).children(recursive=True)
        engine.send_signal(signal.SIGKILL)
        engine.communicate(timeout=60)
        say(f"{model}: kill {number} of {KILLS[model]} after {after_s:.2f} s")
        stack.run("cancel", "--yes")
        stack.up()
        stack.preview("--expect-no-changes")
        stack.destroy()
        # Pulumi's own provider for dynamic resources does not notice that its engine is dead.
        for orphan in psutil.wait_procs(orphans, timeout=0)[1]:
            orphan.terminate()
        assert stack.leftovers() == [], f"killed after {after_s:.2f} s (seed {seed})"
        assert json.loads(stack.export())["deployment"].get("resources", []) == []
    # Pulumi keeps notes of creations that were cut off; they must not keep a stack from going.
    stack.run("stack", "rm", "--yes")
