"""Each model with each shape, really deployed: from its `up` to its `destroy`, and killed engines.

While a stack is up, the suites that know a shop only by its address are run against it: the
contract's and the browser's. Their tests count as those of this folder do.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time

import psutil
import pytest

from probe import models
from probe.target import from_outputs
from shop import catalogue
from tests.e2e.conftest import Suites
from tests.support import ROOT
from tests.support.inner import Inner
from tests.support.probing import (
    Runs,
    assert_is_whole,
    assert_memory_adds_up,
    assert_page_names_the_accelerator,
    measured_run,
    run_probe,
)
from tests.support.record import say
from tests.support.stacks import (
    READY_TIMEOUT_S,
    Deployed,
    Shop,
    Stack,
    kubectl,
    output_of,
)

pytestmark = pytest.mark.e2e
#: What a model does alike with either shape is seen with its own.
own_shape = pytest.mark.own_shape

#: Made-up requests per operation: Docker's have the most, as they cost the least there.
FUZZ_EXAMPLES = {"docker": 20}
OTHER_FUZZ_EXAMPLES = 10
#: Each image gets all inputs of each test in a container, and each way to a shop with one shape.
#: Where both are known from elsewhere, as a guest's are, a test has one of its inputs.
ONE_INPUT = ("--variants", "1")
#: Where axe-core looks at each page; other models' ways lead to the same pages.
ACCESSIBLE = {"docker"}
#: In an emulated machine, too: a request takes ten times as long there, and the services' time-outs
#: for each other are made for hardware.
EMULATED_PATIENCE_S = 90
EMULATED = (*ONE_INPUT, "--patience", str(EMULATED_PATIENCE_S))
EMULATED_CONTRACT = (*EMULATED, "--ignore=tests/contract/test_fuzz.py", "--crowd", "2")
#: Where else what was deployed is started.
ELSEWHERE = {"docker": {"containerd", "podman"}, "kubernetes": {"kubelet"}, "vm": {"sata"}}
#: How many engines are killed in mid-up, per model.
KILLS = {
    "docker": int(os.environ.get("TRIPTYCH_E2E_KILLS", "2")),
    "kubernetes": int(os.environ.get("TRIPTYCH_E2E_KILLS", "1")),
    "vm": int(os.environ.get("TRIPTYCH_E2E_KILLS", "1")),
}


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


def is_emulated(shop: Shop) -> bool:
    return bool(shop.outputs["accelerator"] == "tcg")


def start_contract(suites: Suites, stack: Stack, shop: Shop) -> Inner:
    if not is_emulated(shop):
        examples = FUZZ_EXAMPLES.get(stack.model, OTHER_FUZZ_EXAMPLES)
        inputs = ONE_INPUT if stack.is_guest else ()
        return suites.start(stack, shop, "contract", *inputs, "--fuzz-examples", str(examples))
    say(f"emulated: one input for each test; who is late is asked for {EMULATED_PATIENCE_S} s")
    return suites.start(stack, shop, "contract", *EMULATED_CONTRACT)


def start_storefront(suites: Suites, stack: Stack, shop: Shop) -> Inner:
    axe = () if stack.model in ACCESSIBLE else ("--no-axe",)
    return suites.start(stack, shop, "browser", *axe, *(EMULATED if is_emulated(shop) else ()))


class TestWhileItIsUp:
    """Whoever only reads: side by side with the suites of the contract and the storefront."""

    def test_outputs(self, stack: Stack) -> None:
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

    def test_its_suites_begin(self, stack: Stack, shop: Shop, suites: Suites) -> None:
        """Both at once, and the tests below beside them; one at a time in an emulated machine."""
        start_contract(suites, stack, shop)
        if not is_emulated(shop) and not stack.is_guest:
            start_storefront(suites, stack, shop)

    def test_second_preview_is_empty(self, stack: Stack) -> None:
        stack.preview("--expect-no-changes", "--diff")

    def test_refresh_changes_nothing(self, stack: Stack) -> None:
        stack.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    def test_secrets_stay_secret(self, stack: Stack) -> None:
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
            containers = [inspect[name] for name in ("node", "registry") if inspect.get(name)]
            seen += output_of("docker", "inspect", *containers) if containers else ""
        else:
            seen = output_of("virsh", "-c", inspect["libvirt_uri"], "dumpxml", inspect["domain"])
        assert seen
        state = stack.export()
        for value in credentials:
            assert value not in state
            assert value not in seen

    def test_the_contract(
        self, request: pytest.FixtureRequest, stack: Stack, shop: Shop, suites: Suites
    ) -> None:
        start_contract(suites, stack, shop).finish(request)

    @pytest.mark.no_guest  # people walk through the same pages elsewhere, and the same gateway
    def test_the_storefront(
        self, request: pytest.FixtureRequest, stack: Stack, shop: Shop, suites: Suites
    ) -> None:
        start_storefront(suites, stack, shop).finish(request)

    @pytest.mark.not_compared
    def test_the_probe_measures_it(self, request: pytest.FixtureRequest, stack: Stack) -> None:
        """As a user measures a stack that is up; all others are compared in test_probe.py."""
        done = run_probe("measure", "--stack", stack.name, "--quick", timeout_s=300)
        assert done.returncode == 0, done.stdout + done.stderr
        run = measured_run(done.stdout)
        with Runs(request.node.name) as runs:
            runs.append(run)
            folder = ROOT / "results" / run
            samples = assert_is_whole(folder, stack.model, stack.shape)
            assert_memory_adds_up(samples, stack.model, stack.shape)
            assert_page_names_the_accelerator(folder, samples)


@pytest.mark.breaks("starts its processes anew")
class TestChanges:
    """What is repaired, updated or started elsewhere, and is as it was afterwards."""

    @own_shape
    def test_data_outlive_the_process_and_another_payment_key(
        self, stack: Stack, shop: Shop
    ) -> None:
        """Another key takes new files, not new data; an emulated machine starts once for both."""
        account = shop.register()
        order = shop.buy(account)
        expected = take_away(stack)
        assert expected in stack.up().output
        if not is_emulated(shop):
            healed = Shop(stack.outputs())
            healed.wait_until_ready(READY_TIMEOUT_S[stack.model])
            assert healed.buy(account)["status"] == "paid"
            assert healed.order(order["id"])["id"] == order["id"]
        stack.preview("--expect-no-changes")
        stack.run("config", "set", "--secret", "triptych:stripe_api_key", "sk_test_another1")
        stack.up()
        changed = Shop(stack.outputs())
        changed.wait_until_ready(READY_TIMEOUT_S[stack.model])
        assert changed.buy(account)["status"] == "paid"
        assert changed.order(order["id"])["id"] == order["id"]
        assert "sk_test_another1" not in stack.export()
        stack.preview("--expect-no-changes")

    @own_shape
    def test_where_else_it_runs(self, stack: Stack) -> None:
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

    @own_shape
    @pytest.mark.only_models("docker")
    def test_another_shape_on_a_living_stack(self, stack: Stack, shop: Shop) -> None:
        """It starts empty, and the old shop is found again on the way back."""
        usual, other = catalogue.MODELS["docker"], "monolith"
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


def assert_nothing_is_left(stack: Stack, when: str = "") -> None:
    assert stack.leftovers() == [], when
    assert json.loads(stack.export())["deployment"].get("resources", []) == [], when


@pytest.mark.ends("its stack is destroyed")
class TestTheEnd:
    """Nothing is left: of a stack that was well, and of one whose engine was killed."""

    def test_destroy_leaves_nothing(self, stack: Stack) -> None:
        if stack.may_exist:  # test_cluster.py may have destroyed it, without its cluster.
            stack.destroy()
        assert_nothing_is_left(stack)

    @own_shape
    def test_killed_engines_leave_nothing_that_up_and_destroy_do_not_clear(
        self, stack: Stack, deployed: Deployed
    ) -> None:
        """Kill the engine at random moments of `up`; then `cancel`, `up`, `destroy` must do."""
        whole_s = deployed.took_s[stack.kind]
        seed = int(os.environ.get("TRIPTYCH_E2E_SEED", random.randrange(2**32)))
        say(f"{stack.model}: up took {whole_s:.1f} s; seed {seed} (TRIPTYCH_E2E_SEED repeats it)")
        moments = random.Random(seed)
        for number in range(1, KILLS[stack.model] + 1):
            after_s = moments.uniform(0.2, whole_s)
            engine = stack.start("up", "--yes", "--skip-preview")
            time.sleep(after_s)
            orphans = psutil.Process(engine.pid).children(recursive=True)
            engine.send_signal(signal.SIGKILL)
            engine.communicate(timeout=60)
            say(f"{stack.model}: kill {number} of {KILLS[stack.model]} after {after_s:.2f} s")
            stack.run("cancel", "--yes")
            stack.up()
            stack.preview("--expect-no-changes")
            stack.destroy()
            # Pulumi's own provider for dynamic resources does not notice that its engine is dead.
            for orphan in psutil.wait_procs(orphans, timeout=0)[1]:
                orphan.terminate()
            assert_nothing_is_left(stack, f"killed after {after_s:.2f} s (seed {seed})")
        # Pulumi keeps notes of creations that were cut off; they must not keep a stack from going.
        stack.run("stack", "rm", "--yes")
