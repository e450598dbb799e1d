"""Real stacks by the real Pulumi CLI of this clone, each of its own name, removed afterwards."""

from __future__ import annotations

import functools
import json
import os
import random
import secrets
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from probe import sites
from shop import catalogue
from tests.support import ROOT, ledger, record
from tests.support.record import say

#: Against a hang; how fast a shop starts is no claim of a test. An emulated guest of a busy host
#: takes a quarter of an hour.
READY_TIMEOUT_S = {"docker": 300.0, "kubernetes": 600.0, "vm": 1800.0}
_COMMAND_TIMEOUT_S = 900


class NotSetUp(Exception):
    """The toolchain has not been run in this clone."""


@functools.cache
def _environment() -> dict[str, str]:
    file = ROOT / ".triptych" / "env"
    if not file.exists():
        raise NotSetUp("the toolchain is not set up: run `make build` first")
    exported = subprocess.run(
        ["sh", "-c", '. "$1"; env -0', "sh", str(file)], capture_output=True, check=True, text=True
    ).stdout
    return dict(entry.split("=", 1) for entry in exported.split("\0") if entry)


@dataclass
class Done:
    """A command's end: exit code, everything it printed, and how long it took."""

    code: int
    output: str
    took_s: float

    @property
    def errors(self) -> list[str]:
        """Return the lines in which something is reported as an error."""
        return [line.strip() for line in self.output.splitlines() if "error:" in line]


@dataclass
class Stack:
    """One stack of this project, on the command line as a user has it."""

    model: str
    name: str
    environment: dict[str, str]
    config: dict[str, str] = field(default_factory=dict)
    #: Whether an engine may have made something that `destroy` has not taken away again.
    may_exist: bool = False
    _outputs: dict[str, Any] | None = None

    @property
    def prefix(self) -> str:
        return f"triptych-{self.name}"

    @property
    def shape(self) -> str:
        return self.config.get("shape", catalogue.MODELS.get(self.model, ""))

    @property
    def kind(self) -> str:
        return f"{self.model}-{self.shape}"

    @property
    def is_guest(self) -> bool:
        """Whether it is in a cluster that is not its own."""
        return self.config.get("cluster") == "existing"

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        self._outputs = None
        if command[0] == "up":
            if not self.may_exist:
                record.deployed(self.model, self.shape, self.name)
            self.may_exist = True
        return subprocess.Popen(
            ["pulumi", *command, "--stack", self.name, "--non-interactive"],
            cwd=ROOT,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A group of its own, so that a test can see what the engine's death leaves running.
            start_new_session=True,
        )

    def run(self, *command: str, code: int | None = 0, **variables: str) -> Done:
        started_s = time.monotonic()
        process = self.start(*command, **variables)
        try:
            output, _ = process.communicate(timeout=_COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
            raise AssertionError(f"pulumi {' '.join(command)} hangs:\n{output}") from None
        took_s = time.monotonic() - started_s
        say(f"pulumi {' '.join(command)} ({self.name}): code {process.returncode}, {took_s:.1f} s")
        if code is not None:
            assert process.returncode == code, f"pulumi {' '.join(command)}:\n{output}"
        return Done(process.returncode, output, took_s)

    def set(self, **config: str) -> None:
        pairs = [f"triptych:{key}={value}" for key, value in config.items()]
        options = [word for pair in pairs for word in ("--plaintext", pair)]
        self.run("config", "set-all", *options)
        self.config |= config

    def up(self, *more: str, code: int | None = 0) -> Done:
        return self.run("up", "--yes", "--skip-preview", *more, code=code)

    def preview(self, *more: str, code: int | None = 0) -> Done:
        return self.run("preview", *more, code=code)

    def destroy(self) -> Done:
        done = self.run("destroy", "--yes", "--skip-preview")
        self.may_exist = False
        return done

    def outputs(self) -> dict[str, Any]:
        """Return the outputs; asked for again after each command."""
        if self._outputs is None:
            self._outputs = self._ask_outputs()
        return self._outputs

    def _ask_outputs(self) -> dict[str, Any]:
        process = subprocess.run(
            ["pulumi", "stack", "output", "--json", "--stack", self.name],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            check=True,
            text=True,
        )
        outputs: dict[str, Any] = json.loads(process.stdout)
        return outputs

    def export(self, *more: str) -> str:
        process = subprocess.run(
            ["pulumi", "stack", "export", *more, "--stack", self.name],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            check=True,
            text=True,
        )
        return process.stdout

    def leftovers(self) -> list[str]:
        """Return what the daemons still have of this stack."""
        return (
            docker_leftovers(self.name)
            + kind_leftovers(self.prefix)
            + libvirt_leftovers(self.prefix)
        )


def docker_leftovers(stack: str) -> list[str]:
    found = []
    for kind, command in (
        ("container", ["ps", "--all", "--quiet"]),
        ("volume", ["volume", "ls", "--quiet"]),
        ("network", ["network", "ls", "--quiet"]),
    ):
        ids = output_of("docker", *command, "--filter", f"label=triptych.stack={stack}").split()
        found += [f"{kind} {identity}" for identity in ids]
    return found


def kind_leftovers(prefix: str) -> list[str]:
    """Return the nodes of the stack's cluster and the file with its kubeconfig."""
    label = f"label=io.x-k8s.kind.cluster={prefix}"
    ids = output_of("docker", "ps", "--all", "--quiet", "--filter", label).split()
    file = ROOT / ".triptych" / "kubeconfig" / prefix
    return [f"container {i}" for i in ids] + ([f"directory {file}"] if file.exists() else [])


def libvirt_leftovers(prefix: str) -> list[str]:
    found = []
    for kind, command in (
        ("domain", ["list", "--all", "--name"]),
        ("pool", ["pool-list", "--all", "--name"]),
        ("network", ["net-list", "--all", "--name"]),
    ):
        names = output_of("virsh", "--connect", "qemu:///system", *command).split()
        found += [f"{kind} {name}" for name in names if name.startswith(prefix)]
    pool = Path("/var/lib/libvirt/triptych") / prefix.removeprefix("triptych-")
    if pool.exists():
        found.append(f"directory {pool}")
    return found


def output_of(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def cluster_state(kubeconfig: str) -> str:
    """Return what a cluster says of itself: pods, latest events, logs of who is not ready."""

    def ask(*command: str) -> str:
        binary = str(ROOT / ".triptych" / "bin" / "kubectl")
        argv = [binary, f"--kubeconfig={kubeconfig}", "--request-timeout=10s", *command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        return done.stdout or done.stderr

    events = ask("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp").splitlines()
    said = [ask("get", "pods", "--all-namespaces", "--output=wide"), *events[-15:]]
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    names = "{.metadata.namespace} {.metadata.name} {.metadata.labels.k8s-app}"
    rows = ask(
        "get",
        "pods",
        "--all-namespaces",
        f'--output=jsonpath={{range .items[*]}}{names} {ready}{{"\\n"}}{{end}}',
    )
    for row in rows.splitlines():
        namespace, name, *rest = row.split()
        # The enforcer of the network policies says of itself that it is well when it is not.
        if rest[-1:] != ["True"] or rest[0] == "kube-router":
            log = ask("logs", f"--namespace={namespace}", "--tail=15", name)
            said.append(f"{namespace}/{name} says:\n{log}")
    return "\n".join(said)


def free_subnet() -> str:
    routes = output_of("ip", "-4", "route")
    while True:
        start = f"10.{random.randint(100, 199)}.{random.randint(0, 255)}"
        if f"{start}." not in routes:
            return f"{start}.0/24"


class Stacks:
    """Makes stacks, and takes away all that they made."""

    def __init__(self) -> None:
        self._environment = _environment()
        self._made: list[Stack] = []

    def make(self, model: str, **config: str) -> Stack:
        """Return a new stack, which is not up, at addresses that are free."""
        stack = Stack(model, f"e2e-{model}-{secrets.token_hex(3)}", self._environment)
        ledger.made("stack", stack.name)
        self._made.append(stack)
        stack.run("stack", "init", "--no-select")
        port, subnet = {"gateway_port": str(sites.free_port())}, {"vm_subnet": free_subnet()}
        own = {"docker": port, "kubernetes": port, "vm": subnet, "dev": {**port, **subnet}}
        stack.set(model=model, **{**own[model], **config})
        return stack

    def remove(self, stack: Stack) -> None:
        """Take a stack away with everything that it made."""
        self._made.remove(stack)
        _remove(stack)

    def remove_since(self, before: Sequence[Stack]) -> None:
        """Take away what was made since, the latest first: it may be a guest of an earlier one."""
        for stack in [s for s in reversed(self._made) if s not in before]:
            self.remove(stack)

    def all(self) -> tuple[Stack, ...]:
        """Return those that are there."""
        return tuple(self._made)


def _remove(stack: Stack) -> None:
    if stack.may_exist:
        stack.run("cancel", "--yes", code=None)
        stack.run("destroy", "--yes", "--skip-preview", code=None)
    stack.run("stack", "rm", "--yes", "--force", code=None)
    (ROOT / f"Pulumi.{stack.name}.yaml").unlink(missing_ok=True)
    _sweep(stack)
    ledger.removed(stack.name)


def remove_abandoned() -> list[str]:
    """Take away the stacks that an earlier, killed test run of this clone left; return their names.

    Whether a stack is another clone's is no question: they are taken from this clone's ledger.
    """
    names = []
    for entry in ledger.abandoned():
        if entry.kind == "stack":
            model = entry.name.split("-")[1]
            _remove(Stack(model, entry.name, _environment(), may_exist=True))
            names.append(entry.name)
    return names


def _sweep(stack: Stack) -> None:
    """Take away by hand what a failed test left, so that it does not disturb the next one."""
    for entry in stack.leftovers():
        kind, _, name = entry.partition(" ")
        virsh = ["virsh", "--connect", "qemu:///system"]
        commands: dict[str, list[Sequence[str]]] = {
            "container": [["docker", "rm", "--force", "--volumes", name]],
            "volume": [["docker", "volume", "rm", "--force", name]],
            "domain": [[*virsh, "destroy", name], [*virsh, "undefine", name]],
            "pool": [[*virsh, "pool-destroy", name], [*virsh, "pool-undefine", name]],
            "network": [["docker", "network", "rm", name]]
            if not name.startswith("triptych-")
            else [[*virsh, "net-destroy", name], [*virsh, "net-undefine", name]],
            "directory": [["rm", "--recursive", "--force", name]],
        }
        for command in commands[kind]:
            subprocess.run(command, capture_output=True, check=False)


class Deployed:
    """The stacks that are up for all tests of this process: one for each model and shape.

    Each is brought up when first asked for, and once: if that failed, whoever asks is told the same
    again. In Kubernetes the shape that is not the model's own is a guest in the other's cluster.
    """

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._up: dict[str, Stack | Exception] = {}
        #: How long each `up` took.
        self.took_s: dict[str, float] = {}

    def get(self, model: str, shape: str) -> Stack:
        """Return the stack, which is up, and stays as tests leave it."""
        kind = f"{model}-{shape}"
        if kind not in self._up:
            try:
                self._up[kind] = self._bring_up(model, shape)
            except Exception as error:
                self._up[kind] = error
        found = self._up[kind]
        if isinstance(found, Exception):
            raise AssertionError(f"{kind} did not come up: {found}") from found
        return found

    def _bring_up(self, model: str, shape: str) -> Stack:
        # A model's own shape is what it gets unless told otherwise.
        usual = catalogue.MODELS[model]
        config = {} if shape == usual else {"shape": shape}
        if model == "kubernetes" and config:
            config |= in_cluster_of(self.get(model, usual))
        stack = self._stacks.make(model, **config)
        self.took_s[stack.kind] = stack.up().took_s
        return stack


def in_cluster_of(host: Stack) -> dict[str, str]:
    """Return the configuration of a stack that is a guest in another one's cluster."""
    inspect = host.outputs()["inspect"]
    return {
        "cluster": "existing",
        "kubeconfig": inspect["kubeconfig"],
        "context": inspect["context"],
        "registry": "127.0.0.1:5085",
        # A name that leads here without anybody's help; the host answers to its address.
        "storefront_host": f"localhost:{host.config['gateway_port']}",
    }


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


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Wait until something is so, asking once a second."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what}: not within {timeout_s:g} s"
        time.sleep(1)


class Shop:
    """A customer of a deployed shop: speaks HTTPS, trusts the stack's own authority alone."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        context = ssl.create_default_context(cadata=outputs["ca_certificate"])
        self.outputs = outputs
        self._client = httpx.Client(
            base_url=outputs["storefront_url"], verify=context, timeout=30, trust_env=False
        )

    def wait_until_ready(self, timeout_s: float) -> float:
        """Wait for the ready endpoint; return how long it took."""
        started_s = time.monotonic()
        last: object = "nothing was tried"
        while time.monotonic() - started_s < timeout_s:
            try:
                answer = self._client.get("/health/ready")
                if answer.status_code == 200:
                    took_s = time.monotonic() - started_s
                    say(f"ready after {took_s:.1f} s")
                    return took_s
                last = answer.status_code
            except httpx.HTTPError as error:
                last = error
            # Who asks again and again takes what an emulated machine has to start with.
            time.sleep(0.1 + (time.monotonic() - started_s) / 20)
        raise AssertionError(f"not ready after {timeout_s:.0f} s: {last!r}{self._evidence()}")

    def _evidence(self) -> str:
        inspect = self.outputs["inspect"]
        log = inspect.get("console_log")
        if log and os.access(log, os.R_OK):
            lines = Path(log).read_text(errors="replace").splitlines()[-15:]
            return "\nlast lines of the console:\n" + "\n".join(lines)
        if self.outputs["model"] == "kubernetes":
            return "\n" + cluster_state(inspect["kubeconfig"])
        return ""

    def register(self) -> dict[str, str]:
        account = {
            "email": f"{secrets.token_hex(6)}@shop.example",
            "password": secrets.token_urlsafe(16),
            "name": "End to End",
        }
        answer = self._client.post("/api/v1/auth/register", json=account)
        if "retry-after" in answer.headers:  # late, and then it is there, or is not
            answer = self._insist("POST", "/api/v1/auth/register", json=account)
            assert answer.status_code in (201, 409), answer.text
        else:
            self._expect(201, answer)
        return account

    def log_in(self, account: dict[str, str]) -> int:
        """Return the answer's status; with 200, be this customer from now on."""
        credentials = {key: account[key] for key in ("email", "password")}
        answer = self._insist("POST", "/api/v1/auth/login", json=credentials)
        if answer.status_code == 200:
            self._client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer.status_code

    @property
    def authorization(self) -> dict[str, str]:
        """The header of the customer that is logged in, if any is."""
        name = "authorization"
        return {name: self._client.headers[name]} if name in self._client.headers else {}

    def buy(self, account: dict[str, str]) -> dict[str, Any]:
        """Do one business transaction: log in, look, fill the cart, pay."""
        assert self.log_in(account) == 200
        products = self._expect(200, self._insist("GET", "/api/v1/products"))
        assert products["total"] == 10_000
        line = f"/api/v1/cart/items/{products['items'][0]['id']}"
        self._expect(200, self._insist("PUT", line, json={"quantity": 2}))
        key = {"Idempotency-Key": secrets.token_hex(16)}
        body = {"payment_method": "pm_card_visa"}
        paid = self._insist("POST", "/api/v1/checkout", json=body, headers=key)
        order = self._expect(201, paid)
        assert order["status"] == "paid", order
        return order

    def _insist(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Ask what may be asked twice; as the API wants it, again when an answer says when."""
        deadline_s = time.monotonic() + 120
        while True:
            answer = self._client.request(method, path, **request)
            again = "retry-after" in answer.headers and answer.status_code in (409, 503, 504)
            if not again or time.monotonic() > deadline_s:
                return answer
            time.sleep(float(answer.headers["retry-after"]))

    def order(self, identity: object) -> dict[str, Any]:
        return self._expect(200, self._client.get(f"/api/v1/orders/{identity}"))

    def _expect(self, status: int, answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == status, answer.text
        body: dict[str, Any] = answer.json()
        return body
