"""Real stacks by the real Pulumi CLI of this clone, each of its own name, removed afterwards."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from shop import catalogue
from tests.conftest import leave_out

ROOT = Path(__file__).resolve().parents[2]
#: Under emulation a guest's start takes minutes on a busy machine.
READY_TIMEOUT_S = {"docker": 120.0, "kubernetes": 240.0, "vm": 600.0}
_COMMAND_TIMEOUT_S = 900


def beside(model: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a test of this model: one of a machine runs beside the others."""
    return [pytest.mark.machine] if model == "vm" else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a stack of another shape than its model's own would show once more."""
    out = {item for item in items if item.get_closest_marker("own_shape") and not _is_own(item)}
    leave_out(config, items, out)


def _is_own(item: pytest.Item) -> bool:
    model, shape = item.callspec.params["stack"]  # type: ignore[attr-defined]
    return catalogue.MODELS[model] == shape


_session: pytest.Session | None = None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the session: progress goes to its terminal, past what is captured."""
    global _session
    _session = session


def say(text: str) -> None:
    """Print progress, at once."""
    if _session is None:
        return
    plugins = _session.config.pluginmanager
    capture, terminal = (plugins.get_plugin(n) for n in ("capturemanager", "terminalreporter"))
    if capture is not None and terminal is not None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"  {time.strftime('%H:%M:%S')} {text}")


def _environment() -> dict[str, str]:
    file = ROOT / ".triptych" / "env"
    if not file.exists():
        pytest.fail("the toolchain is not set up: run `make build` first")
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

    @property
    def prefix(self) -> str:
        return f"triptych-{self.name}"

    @property
    def shape(self) -> str:
        return self.config.get("shape", catalogue.MODELS[self.model])

    @property
    def kind(self) -> str:
        return f"{self.model}-{self.shape}"

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
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
        for key, value in config.items():
            self.run("config", "set", f"triptych:{key}", value)
            self.config[key] = value

    def up(self, *more: str, code: int | None = 0) -> Done:
        return self.run("up", "--yes", "--skip-preview", *more, code=code)

    def preview(self, *more: str, code: int | None = 0) -> Done:
        return self.run("preview", *more, code=code)

    def destroy(self) -> Done:
        return self.run("destroy", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
        stack = Stack(model, f"e2e-{model}-{secrets.token_hex(3)}", self._environment)
        self._made.append(stack)
        stack.run("stack", "init", "--no-select")
        port, subnet = {"gateway_port": str(free_port())}, {"vm_subnet": free_subnet()}
        own = {"docker": port, "kubernetes": port, "vm": subnet, "dev": {**port, **subnet}}
        stack.set(model=model, **{**own[model], **config})
        return stack

    def remove(self, stack: Stack) -> None:
        self._made.remove(stack)
        stack.run("cancel", "--yes", code=None)
        stack.run("destroy", "--yes", "--skip-preview", code=None)
        stack.run("stack", "rm", "--yes", "--force", code=None)
        (ROOT / f"Pulumi.{stack.name}.yaml").unlink(missing_ok=True)
        _sweep(stack)

    def remove_all(self) -> None:
        for stack in list(self._made):
            self.remove(stack)


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


@pytest.fixture(scope="session")
def all_stacks() -> Iterator[Stacks]:
    made = Stacks()
    yield made
    made.remove_all()


@pytest.fixture
def stacks(all_stacks: Stacks) -> Iterator[Stacks]:
    """Make stacks that go when the test ends."""
    before = list(all_stacks._made)
    yield all_stacks
    for stack in [s for s in all_stacks._made if s not in before]:
        all_stacks.remove(stack)


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
                answer = self._client.get("/health/ready", timeout=5)
                if answer.status_code == 200:
                    took_s = time.monotonic() - started_s
                    say(f"ready after {took_s:.1f} s")
                    return took_s
                last = answer.status_code
            except httpx.HTTPError as error:
                last = error
            time.sleep(0.1)
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
